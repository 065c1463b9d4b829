"""Contributions that the manifest names: reader, writers, sample data, CT windows."""
