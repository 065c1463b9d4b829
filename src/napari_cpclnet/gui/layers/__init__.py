"""Scans, labels and results as napari's layers, and their undo. No Qt."""
