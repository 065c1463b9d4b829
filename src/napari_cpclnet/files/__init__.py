"""File helpers: atomic writes, bounded reading of text, locks on folders, arrays in temporary files."""
