"""The table of the page on structures, put together from the measured tables in ``benchmarks/accuracy``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ACCURACY = Path(__file__).parents[2] / "benchmarks" / "accuracy"
OURS = "CPCLNet"
PAINTED = "CPCLNet, 5"
GOOD, START = 0.8, 0.6
Row = dict[str, str]


def structure_table() -> str:
    """Dice of every structure that was measured: in the painted scan, in others of its modality, and across modalities.

    Raises
    ------
    ValueError
        If the tables are not as they were when this was written.
    """
    painted = dict(painted_scan())
    others = dict(other_patients())
    names = [*others, *(name for name in painted if name not in others)]
    if len(names) < 10:
        raise ValueError(f"Only {len(names)} structures were found in the tables of {ACCURACY}.")
    lines = [
        "| structure | in the painted scan | other patients, same modality | other modality | verdict |",
        "|---|---|---|---|---|",
    ]
    rows = [(name, painted.get(name), *others.get(name, (None, None))) for name in names]
    for name, inside, same, crossed in sorted(rows, key=lambda row: -max(row[2] or 0, row[3] or 0)):
        numbers = " | ".join("" if one is None else f"{one:.2f}" for one in (inside, same, crossed))
        lines.append(
            f"| {name} | {numbers} | {verdict([one for one in (same, crossed) if one is not None])} |"
        )
    return "\n".join(lines)


def verdict(dice: list[float]) -> str:
    """What the lowest Dice in other patients' scans means for the work."""
    if not dice:
        return ""
    if min(dice) >= GOOD:
        return "works"
    return "a start" if min(dice) >= START else "paint there"


def other_patients() -> Iterator[tuple[str, tuple[float | None, float | None]]]:
    """Structure with its mean Dice in scans of the same and of another modality; means over all pairings."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for file in ("README.md", "wide.md", "sarcoma.md"):
        for row in rows(ACCURACY / file):
            if row.get("method") != OURS:
                continue
            support, query = row.pop("support to query").split(" to ")
            for name, cell in row.items():
                if name not in ("method", "mean") and (dice := number(cell)) is not None:
                    found.setdefault(name, ([], []))[support != query].append(dice)
    for name, sides in found.items():
        # structures that are in both files were measured the same way, and say the same
        same, crossed = (sorted(set(side)) for side in sides)
        yield name, (mean(same), mean(crossed))


def painted_scan() -> Iterator[tuple[str, float]]:
    """Structure with its mean Dice in the rest of the scan that was painted; of several scanners the mean."""
    found: dict[str, list[float]] = {}
    was_bold = True
    for row in rows(ACCURACY / "same_scan.md"):
        text, dice = row.get("", ""), number(row.get(PAINTED, ""))
        bold = text.startswith("**")
        # a bold row below others is their mean, one that stands alone a data set with one structure
        if dice is not None and not (bold and not was_bold):
            name = text.strip("*").partition(",")[0]
            found.setdefault(NAMES.get(name, name), []).append(dice)
        was_bold = bold
    for name, values in found.items():
        yield name, sum(values) / len(values)


NAMES = {"sarcoma": "tumour", "cord": "spinal cord", "vb2": "vertebral bodies"}
"""What the data sets of one structure hold."""


def rows(path: Path) -> Iterator[Row]:
    """Rows of all tables of a page, by the heads of their columns."""
    heads: list[str] | None = None
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            heads = None
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.strip() else []
        if line.startswith("|  |"):
            cells = ["", *[cell.strip() for cell in line.split("|")[2:-1]]]
        if heads is None:
            heads = cells
        elif not set(line) <= set("|-: "):
            yield dict(zip(heads, cells, strict=False))


def number(cell: str) -> float | None:
    """The number that a cell begins with."""
    match = re.match(r"\**(\d\.\d+)", cell)
    return float(match[1]) if match else None


def mean(values: list[float]) -> float | None:
    """Mean of what there is."""
    return sum(values) / len(values) if values else None
