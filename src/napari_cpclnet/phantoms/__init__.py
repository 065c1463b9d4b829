"""Made bodies with labels: anatomy, whole phantoms, scans of them, and those of the demo."""
