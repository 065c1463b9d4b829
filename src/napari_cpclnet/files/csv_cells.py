"""Escaping of CSV cells that a spreadsheet would take for formulas."""

from __future__ import annotations

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that spreadsheets compute."""


def cell(text: str) -> str:
    """Text for a cell: with an apostrophe in front, by which spreadsheets know plain text, where it needs one."""
    return f"'{text}" if text.lstrip("'").startswith(FORMULA) else text


def text_of(found: str) -> str:
    """Text that `cell` put into a cell."""
    return found[1:] if found.startswith("'") and found.lstrip("'").startswith(FORMULA) else found
