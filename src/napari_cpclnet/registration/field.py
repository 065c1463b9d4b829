"""Where each place of a query lies in a support, and what that carries over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from napari_cpclnet.errors import GeometryError
from napari_cpclnet.registration.images import sample

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Geometry
    from napari_cpclnet.registration.lattice import Lattice

Box = tuple[slice, slice, slice]
Floats = NDArray[np.float64]

_PIECE = 2**20
_SAMPLES = 20_000


@dataclass(frozen=True, eq=False)
class Field:
    """Map from the places of a query to those of a support, in mm of their worlds.

    Parameters
    ----------
    query, support : Geometry
        Grids of the two scans.
    lattice : Lattice
        Grid of the displacements; beyond it they are those of its border.
    displacement : Tensor, shape (3, Z, Y, X)
        Displacements on the lattice, in its steps along its axes; applied before `affine`.
    affine : ndarray (4, 4)
        From the query's world to the support's.
    cost : float
        Mean squared difference of the features after the registration; 1 is what places taken at random differ by.
        Comparable between supports of one query.
    cost_map, cycle_mm : Tensor, shape (Z, Y, X)
        On the lattice: the same difference place by place, and how far a place is from itself after going to the
        support and back by the registration of the other direction; both before the last steps on a finer grid.
    cycle_error_mm : float
        Median of `cycle_mm` in the body.
    used_network : bool
        Whether the network's features had a part in it, or MIND alone.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_cpclnet import Geometry, RegistrationSettings, Volume, register
    >>> z, y, x = np.mgrid[-8:8, -16:16, -16:16]
    >>> inside = 4 * z**2 + y**2 + x**2 < 100
    >>> ball = Volume(np.where(inside, 50, -1000).astype(np.int16), Geometry(z.shape, (8.0, 4.0, 4.0)), "CT", "HU")
    >>> field = register(ball, ball, RegistrationSettings(device="cpu", iterations=5, samples=500, points=1000))
    >>> field.query == field.support
    True
    """

    query: Geometry
    support: Geometry
    lattice: Lattice
    displacement: Tensor
    affine: Floats
    cost: float
    cost_map: Tensor
    cycle_mm: Tensor
    cycle_error_mm: float
    used_network: bool = False

    def at(self, points: ArrayLike) -> Floats:
        """World positions (n, 3) in the support, in mm, of world positions (n, 3) of the query."""
        native = self.query.world_to_index(points)
        moved = native + self._displaced(native) * (self.lattice.step / np.array(self.lattice.spacing))
        world = self.query.index_to_world(moved)
        return np.asarray(world @ self.affine[:3, :3].T + self.affine[:3, 3])

    def inside(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Whether world positions (n, 3) of the query lie in the support's field of view."""
        index = self.support.world_to_index(self.at(points))
        return np.asarray(((index >= -0.5) & (index < np.array(self.support.shape) - 0.5)).all(1))

    def cycle_of(self, region: NDArray[Any], box: Box | None = None) -> float:
        """Median cycle error in mm in a region of the query's grid, or of a box of it; nan if it is empty."""
        return self._median(self.cycle_mm, region, box)

    def cost_of(self, region: NDArray[Any], box: Box | None = None) -> float:
        """Median feature difference in a region of the query's grid, or of a box of it; nan if it is empty."""
        return self._median(self.cost_map, region, box)

    def warp(
        self, array: NDArray[Any], *, order: int = 0, outside: float = 0, box: Box | None = None
    ) -> NDArray[Any]:
        """Bring an array of the support to the query's grid.

        Parameters
        ----------
        array : ndarray (z, y, x) or (C, z, y, x)
            On the support's grid: labels, a signed distance, probabilities.
        order : int
            0 takes the nearest voxel, 1 interpolates linearly.
        outside : float
            Value outside of the support's field of view.
        box : tuple of slice, optional
            The part of the query's grid that is wanted; all of it by default. Steps of one only.

        Returns
        -------
        ndarray
            Shape of the query's grid or of the box, after the channels; type of the array, or float32 where it is
            interpolated.

        Raises
        ------
        GeometryError
            If the array does not lie on the support's grid.
        """
        pieces = [piece for _, piece in self.warping(array, order=order, outside=outside, box=box)]
        return np.concatenate(pieces, axis=array.ndim - 3)

    def warping(
        self, array: NDArray[Any], *, order: int = 0, outside: float = 0, box: Box | None = None
    ) -> Iterator[tuple[slice, NDArray[Any]]]:
        """The same in pieces: consecutive slices along the first axis of the query's grid, and their values."""
        if tuple(array.shape[-3:]) != self.support.shape or array.ndim not in (3, 4):
            raise GeometryError(
                f"An array of shape {array.shape} does not lie on the support's grid of shape {self.support.shape}."
            )
        bounds = [
            part.indices(n)[:2] for part, n in zip(box or (slice(None),) * 3, self.query.shape, strict=True)
        ]
        (first, end), *_ = bounds
        piece = max(1, _PIECE // max(1, int(np.prod([high - low for low, high in bounds[1:]]))))
        take = _nearest if order == 0 else _linear
        starts = range(first, end, piece) if end > first else range(first, first + 1)
        for low in starts:
            part = slice(low, max(first, min(low + piece, end)))
            index = self._support_index([(part.start, part.stop), *bounds[1:]])
            yield part, take(array, index, outside)

    def _support_index(self, bounds: list[tuple[int, int]]) -> Tensor:
        """Fractional index positions (3, z, y, x) in the support of a box of the query's voxels."""
        field: Tensor = self.displacement.cpu()
        axes = []
        for k, (low, high) in enumerate(bounds):
            native = np.arange(low, high, dtype=np.float64)
            axes.append(native)
            position = (native - self.lattice.start[k]) * self.lattice.spacing[k] / self.lattice.step
            weights = _linear_weights(position, self.lattice.shape[k])
            field = torch.tensordot(field, weights, dims=([1], [1]))  # the next axis comes first each time
        matrix = np.linalg.inv(self.support.affine) @ self.affine @ self.query.affine
        moving = torch.from_numpy(matrix[:3, :3] * (self.lattice.step / np.array(self.lattice.spacing)))
        index = torch.einsum("ck,kzyx->czyx", moving.float(), field)
        for k, native in enumerate(axes):
            line = torch.from_numpy(np.outer(matrix[:3, k], native) + (matrix[:3, 3:] if k == 0 else 0.0))
            index += line.float().view(3, *(-1 if j == k else 1 for j in range(3)))
        return index

    def _displaced(self, native: Floats) -> Floats:
        """Displacements (n, 3) in lattice steps at index positions (n, 3) of the query."""
        position = (native - self.lattice.start) * self.lattice.spacing / self.lattice.step
        found = sample(self.displacement.cpu().double(), torch.from_numpy(np.ascontiguousarray(position)))
        return np.asarray(found.T.numpy())

    def _median(self, values: Tensor, region: NDArray[Any], box: Box | None) -> float:
        inside = np.flatnonzero(region)
        if not len(inside):
            return float("nan")
        some = inside[:: max(1, len(inside) // _SAMPLES)]
        corner = [part.start or 0 for part in box or (slice(None),) * 3]
        places = np.stack(np.unravel_index(some, region.shape), 1) + corner
        position = (places - np.array(self.lattice.start)) * self.lattice.spacing / self.lattice.step
        return float(sample(values.cpu().double()[None], torch.from_numpy(position)).median())


def _linear_weights(position: Floats, count: int) -> Tensor:
    """Weights (n, count) of linear interpolation, the border's values held outside."""
    inside = np.clip(position, 0, count - 1)
    weights = np.maximum(1 - np.abs(inside[:, None] - np.arange(count)[None]), 0)
    return torch.from_numpy(weights.astype(np.float32))


def _nearest(array: NDArray[Any], index: Tensor, outside: float) -> NDArray[Any]:
    whole = (index + 0.5).floor().int().numpy()
    size = array.shape[-3:]
    inside = np.ones(whole.shape[1:], bool)
    for k, n in enumerate(size):
        inside &= (whole[k] >= 0) & (whole[k] < n)
        np.clip(whole[k], 0, n - 1, out=whole[k])
    values = array[..., whole[0], whole[1], whole[2]]
    values[..., ~inside] = np.asarray(outside).astype(array.dtype)
    return values


def _linear(array: NDArray[Any], index: Tensor, outside: float) -> NDArray[np.float32]:
    size = array.shape[-3:]
    inside = torch.ones(index.shape[1:], dtype=torch.bool)
    part = []
    for k, n in enumerate(size):
        inside &= (index[k] >= -0.5) & (index[k] < n - 0.5)
        # only what is asked for becomes float
        low = int(min(max(float(index[k].min()), 0), n - 1)) if index.numel() else 0
        high = int(min(max(float(index[k].max()), 0), n - 1)) + 2 if index.numel() else 1
        part.append(slice(low, min(high, n)))
    z, y, x = part
    values = np.asarray(array[..., z, y, x], np.float32)
    start = torch.tensor([float(p.start) for p in part]).view(3, 1, 1, 1)
    channels = torch.from_numpy(np.ascontiguousarray(values)).view(-1, *values.shape[-3:])
    found = _interpolated(channels, (index - start).movedim(0, -1))
    found[:, ~inside] = float(outside)
    return np.asarray(found.view(*array.shape[:-3], *index.shape[1:]).numpy())


def _interpolated(values: Tensor, points: Tensor) -> Tensor:
    last = torch.tensor([float(max(n - 1, 1)) for n in values.shape[1:]])
    grid = (2 * points / last - 1).flip(-1)
    found: Tensor = F.grid_sample(values[None], grid[None], align_corners=True, padding_mode="border")[0]
    return found
