"""Files appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from napari_cpclnet.errors import OutputError


@contextmanager
def whole_file(path: Path, what: str) -> Iterator[Path]:
    """Give a temporary path beside `path`, and move it to `path` if the block ends well.

    Parameters
    ----------
    path : Path
        Its folder is made if it is missing.
    what : str
        What is written, for the sentence to the user: "the weights".

    Raises
    ------
    OutputError
        If the folder or the file cannot be written; nothing is left behind, an older file stays.
    """
    # with the suffix, by which libraries choose a format, and without the name, which may be near the longest allowed
    _, dot, suffix = path.name.partition(".")
    temporary = path.with_name(f".{secrets.token_hex(6)}{dot}{suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:  # safetensors wraps errors of the disk in its own
        msg = f"Cannot write {what} to '{path}': {getattr(error, 'strerror', None) or error}."
        raise OutputError(msg) from error
