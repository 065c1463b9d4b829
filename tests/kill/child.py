"""Runs a command in a process that has the libraries in memory; `run` gives its words, and the file for its output."""

from __future__ import annotations

import os
import sys

from napari_cpclnet import cli


def call(words: list[str], said: str) -> None:
    """Run a command, and end the process with its status."""
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    try:
        cli.main(words)
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(end.code or 0))


call(globals()["words"], globals()["said"])
