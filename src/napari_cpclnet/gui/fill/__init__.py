"""*Fill between slices*: its tick box, the worker behind it, the preview, and how it becomes paint."""
