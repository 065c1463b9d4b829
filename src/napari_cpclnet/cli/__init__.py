"""The command line: one module per command, put together in :mod:`~napari_cpclnet.cli.app`."""

from napari_cpclnet.cli.app import main

__all__ = ["main"]
