"""Bounded reading of text and JSON that others wrote: limits of size and nesting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MOST_BYTES = 64 << 20
DEEPEST = 64


class BoundsError(ValueError):
    """Text that is larger or more nested than anything that is meant; the sentence says which."""


def read_text(path: Path, most: int = MOST_BYTES, encoding: str = "utf-8") -> str:
    """Text of an ordinary file of so many bytes at most.

    Raises
    ------
    OSError, UnicodeDecodeError
        If it cannot be opened, or is no text.
    BoundsError
        If it is larger, or no ordinary file.
    """
    status = path.stat()
    if not path.is_file():
        raise BoundsError("it is no ordinary file")
    if status.st_size > most:
        raise BoundsError(f"it is larger than {most >> 20} MB")
    return path.read_text(encoding=encoding)


def load_json(text: str) -> Any:
    """Value of a JSON text.

    Raises
    ------
    ValueError
        If it is no JSON.
    BoundsError
        If it is nested more than 64 times, which everything that walks through the value could not bear.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise BoundsError("it is nested too deeply") from error
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise BoundsError("it is nested too deeply")
        inside = [one for one in level if isinstance(one, (dict, list))]
        level = [item for one in inside for item in (one.values() if isinstance(one, dict) else one)]
    return value


def shown(value: object, most: int = 60) -> str:
    """Value for a sentence: on one line, and cut if it is long."""
    text = " ".join(str(value)[: 4 * most].split())
    return text if len(text) <= most else f"{text[: most - 3]}..."
