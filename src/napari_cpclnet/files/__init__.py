"""Files, as all rooms want them: whole or not at all, text within bounds, a folder for one process."""
