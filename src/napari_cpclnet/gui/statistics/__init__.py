"""The table of statistics beside the panel."""
