"""Tab 'Segment': paint a few slices of one scan, tick the scans to label, run."""
