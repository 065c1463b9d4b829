"""Notes that a command prints for a scan: what was assumed while reading, and how classes were found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from napari_cpclnet.project import FOUND_BY

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Segmentation, Volume
    from napari_cpclnet.segmentation import Summary


def echo_notes(found: Volume | Segmentation) -> None:
    """Say what was assumed or changed while reading."""
    for note in found.notes:
        typer.echo(f"Note on {found.name}: {note}", err=True)


def finding_notes(summary: Summary) -> Iterator[str]:
    """How the classes of a scan were found: a line for each way, with the classes that were found so."""
    found: dict[str, list[str]] = defaultdict(list)
    for one in summary.classes:
        if one.seems_absent:
            found["Probably not found (paint a slice of this scan, or look whether it is absent)"].append(
                one.name
            )
        elif one.means:
            found[f"Found by {FOUND_BY[one.means]}"].append(one.name)
    for one in summary.classes:
        if one.goes_on:
            found["Taken to end at the outermost painted slices (paint to the ends if it goes on)"].append(
                one.name
            )
    yield from (f"{how}: {', '.join(names)}." for how, names in found.items())
