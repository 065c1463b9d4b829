"""Training episodes: slices drawn from phantoms and scans, with random appearance."""
