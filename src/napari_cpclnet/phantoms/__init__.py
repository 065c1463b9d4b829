"""Procedural phantoms: made bodies with labels, scans of them, and those of the demo."""
