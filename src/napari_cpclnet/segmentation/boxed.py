"""Label maps and masks of which only the box around what they show is in memory.

A label map of 512 x 512 x 600 voxels takes 150 MB, and so does a mask of each of its classes; an organ fills little of
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Boxed:
    """An array (z, y, x) that is zero outside of a box.

    Parameters
    ----------
    shape : tuple of int
        Of the whole array.
    box : tuple of slice
        Empty where nothing is.
    array : ndarray, shape of the box

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((4, 8, 8), np.uint8)
    >>> labels[1:3, 2:6, 3] = 2
    >>> boxed = Boxed.around(labels)
    >>> boxed.array.shape, int(boxed.mask(2).slice(0, 1).sum()), bool((boxed.whole() == labels).all())
    ((2, 4, 1), 4, True)
    """

    shape: tuple[int, int, int]
    box: Box
    array: NDArray[Any]

    @classmethod
    def around(cls, array: NDArray[Any]) -> Boxed:
        """What there is in an array (z, y, x), as a copy."""
        box = _extent(array)
        z, y, x = array.shape
        return cls((z, y, x), box, array[box].copy())

    @classmethod
    def nothing(cls, shape: tuple[int, int, int]) -> Boxed:
        """A mask of nothing."""
        return cls(shape, joint_box([]), np.zeros((0, 0, 0), bool))

    def mask(self, value: int) -> Boxed:
        """Where a label map has one value, not 0."""
        inside = self.array == value
        box = _extent(inside)
        return Boxed(self.shape, _moved(box, self.box), inside[box].copy())

    def whole(self) -> NDArray[Any]:
        """The whole array."""
        found = np.zeros(self.shape, self.array.dtype)
        found[self.box] = self.array
        return found

    def part(self, box: Box) -> NDArray[Any]:
        """Any box of the whole array; its slices are bounded."""
        found = np.zeros([side.stop - side.start for side in box], self.array.dtype)
        here, there = [], []
        for own, asked in zip(self.box, box, strict=True):
            low, high = max(own.start, asked.start), min(own.stop, asked.stop)
            high = max(low, high)
            here.append(slice(low - own.start, high - own.start))
            there.append(slice(low - asked.start, high - asked.start))
        found[tuple(there)] = self.array[tuple(here)]
        return found

    def slice(self, axis: int, index: int) -> NDArray[Any]:
        """One slice of the whole array, across an axis."""
        sides = [slice(0, n) for n in self.shape]
        sides[axis] = slice(index, index + 1)
        return self.part((sides[0], sides[1], sides[2])).squeeze(axis)


class SliceBySlice:
    """A mask (z, y, x) that is put together of its slices, without being whole.

    Parameters
    ----------
    shape : tuple of int
        Of the mask.
    axis : int
        Array axis of its slices.
    """

    def __init__(self, shape: tuple[int, int, int], axis: int) -> None:
        self._shape, self._axis = shape, axis
        self._parts: list[Boxed] = []

    def add(self, index: int, mask: NDArray[np.bool_]) -> None:
        """Add a slice; those that are not added are empty."""
        part = Boxed.around(np.expand_dims(mask, self._axis))
        if part.array.size:
            sides = [*part.box]
            sides[self._axis] = slice(index, index + 1)
            self._parts.append(Boxed(self._shape, (sides[0], sides[1], sides[2]), part.array))

    def boxed(self) -> Boxed:
        """All of them."""
        box = joint_box([part.box for part in self._parts])
        found = np.zeros([side.stop - side.start for side in box], bool)
        for part in self._parts:
            at = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(part.box, box, strict=True))
            found[at] = part.array
        return Boxed(self._shape, box, found)


def label_boxes(labels: NDArray[Any]) -> dict[int, Box]:
    """The box around each value of a label map (z, y, x) but 0, in their order; looked for slice by slice."""
    height, width = labels.shape[1:]
    extents: dict[int, tuple[list[int], NDArray[np.bool_], NDArray[np.bool_]]] = {}
    for index, one in enumerate(labels):
        for value in np.unique(one).tolist():
            if value:
                if value not in extents:
                    extents[value] = [], np.zeros(height, bool), np.zeros(width, bool)
                slices, rows, columns = extents[value]
                inside = one == value
                slices.append(index)
                rows |= inside.any(1)
                columns |= inside.any(0)
    found: dict[int, Box] = {}
    for value, (slices, *sides) in sorted(extents.items()):
        y, x = (slice(int(there[0]), int(there[-1]) + 1) for there in map(np.flatnonzero, sides))
        found[value] = slice(slices[0], slices[-1] + 1), y, x
    return found


def joint_box(boxes: Sequence[Box]) -> Box:
    """The box around some boxes; an empty one around none."""
    z, y, x = (
        slice(min((side.start for side in sides), default=0), max((side.stop for side in sides), default=0))
        for sides in ([box[axis] for box in boxes] for axis in range(3))
    )
    return z, y, x


def _extent(array: NDArray[Any]) -> Box:
    """The box around what is not zero."""
    sides = []
    for axis in range(3):
        there = np.flatnonzero(array.any(tuple(a for a in range(3) if a != axis)))
        side = slice(int(there[0]), int(there[-1]) + 1) if there.size else slice(0, 0)
        array = array[(slice(None),) * axis + (side,)]
        sides.append(side)
    return sides[0], sides[1], sides[2]


def _moved(box: Box, by: Box) -> Box:
    z, y, x = (slice(a.start + b.start, a.stop + b.start) for a, b in zip(box, by, strict=True))
    return z, y, x
