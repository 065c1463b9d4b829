"""Structures of the test scans with a few painted slices: what the benchmarks of this folder go through."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.evaluation.protocols import choose_slices
from napari_cpclnet.imaging import Volume
from napari_cpclnet.imaging.cases import read_cases

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "accuracy"))

from make_cases import write_table

SHOTS = 5


@dataclass(frozen=True, eq=False)
class Structure:
    """One structure of one scan; slices run along the first array axis."""

    set: str
    name: str
    volume: Volume
    mask: NDArray[np.bool_]
    slices: tuple[int, ...]

    @property
    def rest(self) -> NDArray[np.bool_]:
        """Which slices were not painted."""
        open_slices = np.ones(len(self.mask), bool)
        open_slices[list(self.slices)] = False
        return open_slices


def structures(data: Path, sets: Sequence[str]) -> Iterator[Structure]:
    """All structures of some sets, with five painted slices each; those that show on fewer are left out."""
    with tempfile.TemporaryDirectory() as folder:
        for name in sets:
            table = Path(folder) / f"{name}.csv"
            write_table(table, data, [name])
            for case in read_cases(table):
                volume = case.read_image()
                labels = case.read_label(like=volume).labels
                group = f"{name} {case.modality}" if name != "wide" else case.image.parent.name
                for value, organ in case.classes.items():
                    mask = labels == value
                    slices = choose_slices(np.count_nonzero(mask, (1, 2)), SHOTS)
                    found = Structure(group, f"{case.image.name} {organ}", volume, mask, slices)
                    if len(slices) > 1 and mask[found.rest].any():
                        yield found


def dice(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Dice of two masks."""
    return float(
        2 * np.count_nonzero(found & truth) / max(1, np.count_nonzero(found) + np.count_nonzero(truth))
    )


__all__ = ["SHOTS", "Structure", "dice", "structures"]
