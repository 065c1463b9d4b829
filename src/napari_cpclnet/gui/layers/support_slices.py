"""A scan with the labels painted on its voxels, and one slice of them. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_cpclnet.gui.layers.scan_layers import geometry_of, slice_axis

if TYPE_CHECKING:
    from napari.layers import Image, Labels


@dataclass(frozen=True)
class SupportPair:
    """A scan and the labels painted on its voxels."""

    scan: Image
    labels: Labels

    def axis(self, plane: str) -> int:
        """Array axis that is sliced in a plane."""
        return slice_axis(geometry_of(self.scan), plane)


@dataclass(frozen=True)
class PaintedSlice:
    """One slice of a pair, painted or marked as free of the classes.

    ``index`` counts along the array axis of ``plane``; ``values`` are the label values on it; ``ticked``: whether a
    run learns from it; ``stamp``: another number whenever the paint is another; ``crossed``: only strokes of another
    view are on it, so that it is not complete unless the user says so; ``partial``: what is not painted on it is
    unknown.
    """

    pair: SupportPair
    index: int
    plane: str
    values: tuple[int, ...]
    ticked: bool
    absent: bool
    stamp: int = 0
    crossed: bool = False
    partial: bool = False

    @property
    def key(self) -> tuple[str, int]:
        """What tells the slices of one pair apart."""
        return self.plane, self.index
