"""Mending labels by points, scribbles and areas."""
