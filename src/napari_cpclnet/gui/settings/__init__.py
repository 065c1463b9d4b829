"""Preferences: options of a run, and napari's preferences page. No Qt."""
