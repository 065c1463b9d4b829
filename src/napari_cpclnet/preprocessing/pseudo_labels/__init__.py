"""Regions of scans that nobody annotated, as classes to train on."""
