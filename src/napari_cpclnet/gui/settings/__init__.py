"""What the user can set: options of a run, and napari's preferences page. No Qt."""
