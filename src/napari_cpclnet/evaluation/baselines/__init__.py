"""Simple methods that the network has to beat, one per module."""
