"""Which slice of one scan shows the same level of the body as a slice of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_cpclnet.model.body_level import positions_mm

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume
    from napari_cpclnet.segmentation.segmenter import Segmenter


@dataclass(frozen=True)
class SliceLevels:
    """Levels of the axial slices of a scan, 0 at the iliac crest and 1 at the dome of the liver, as one line.

    Parameters
    ----------
    axis
        Array axis (z, y, x) that is sliced.
    start
        Level of slice 0.
    step
        From a slice to the next.
    """

    axis: int
    start: float
    step: float

    @classmethod
    def of(cls, segmenter: Segmenter, volume: Volume) -> SliceLevels | None:
        """Levels of a scan as the network estimates them; takes seconds.

        Returns
        -------
        SliceLevels or None
            None where the estimates lie on no line, as in a limb, or the scan is too short for one.
        """
        scan = segmenter.scan(volume, "axial")
        if scan.line is None:
            return None
        first, second = (float(v) for v in scan.line.at(positions_mm(volume, scan.grid, (0, 1))))
        return cls(scan.grid.axis, first, second - first)

    def at(self, index: float) -> float:
        """Level of a slice, or between two."""
        return self.start + self.step * index

    def index_of(self, level: float) -> float:
        """Slice at a level, counted on beyond the scan's ends."""
        return (level - self.start) / self.step
