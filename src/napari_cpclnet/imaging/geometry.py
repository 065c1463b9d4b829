"""Geometry of a voxel grid: where the voxels of an image lie in the patient.

Everything is in the order of our arrays, (z, y, x). World coordinates are the LPS millimetres of DICOM and
SimpleITK in the same reversed order: (superior, posterior, left).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cpclnet.errors import GeometryError

if TYPE_CHECKING:
    import SimpleITK as sitk

Triple = tuple[float, float, float]

IDENTITY: tuple[Triple, Triple, Triple] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))

# An atom is larger, and the Earth smaller; far beyond, products of lengths have no number.
SMALLEST_MM, LARGEST_MM = 1e-9, 1e12
# Direction cosines this close to 0 or 1 are rounding: 1e-3 is half a voxel at the far end of 512 voxels.
AXIS_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Geometry:
    """Voxel grid of an image in patient space.

    Parameters
    ----------
    shape
        Number of voxels along (z, y, x).
    spacing
        Distance of neighbouring voxel centres along each array axis, in mm.
    origin
        World position (superior, posterior, left) of the centre of voxel (0, 0, 0), in mm.
    direction
        3x3, ``direction[i][j]`` is the component on world axis i of the unit vector of array axis j.

    Raises
    ------
    GeometryError
        If a number is not finite or beyond any length, a size or spacing is not positive, or the direction is
        singular.

    Examples
    --------
    >>> from napari_cpclnet import Geometry
    >>> geometry = Geometry(shape=(40, 256, 256), spacing=(5.0, 0.8, 0.8))
    >>> round(geometry.voxel_ml, 5)
    0.0032
    """

    shape: tuple[int, int, int]
    spacing: Triple = (1.0, 1.0, 1.0)
    origin: Triple = (0.0, 0.0, 0.0)
    direction: tuple[Triple, Triple, Triple] = IDENTITY

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        spacing = tuple(float(v) for v in self.spacing)
        origin = tuple(float(v) for v in self.origin)
        direction = tuple(tuple(float(v) for v in row) for row in self.direction)
        if len(shape) != 3 or min(shape) < 1:
            raise GeometryError(f"A scan needs three sizes of at least one voxel, not {shape}.")
        if len(spacing) != 3 or not all(SMALLEST_MM <= v <= LARGEST_MM for v in spacing):
            raise GeometryError(f"The voxel spacing must be three positive numbers in mm, not {spacing}.")
        if len(origin) != 3 or not all(abs(v) <= LARGEST_MM for v in origin):
            raise GeometryError(f"The origin must be three finite numbers in mm, not {origin}.")
        matrix = np.array(direction, dtype=np.float64)
        if matrix.shape != (3, 3) or not np.all(np.isfinite(matrix)) or abs(np.linalg.det(matrix)) < 1e-6:
            raise GeometryError(f"The direction must be an invertible 3x3 matrix, not {direction}.")
        for field, value in (
            ("shape", shape),
            ("spacing", spacing),
            ("origin", origin),
            ("direction", direction),
        ):
            object.__setattr__(self, field, value)

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4) matrix from index (z, y, x, 1) to world (superior, posterior, left, 1) in mm."""
        affine = np.eye(4)
        affine[:3, :3] = np.array(self.direction) * np.array(self.spacing)
        affine[:3, 3] = self.origin
        return affine

    @classmethod
    def from_affine(cls, shape: tuple[int, int, int], affine: ArrayLike) -> Geometry:
        """Geometry whose `affine` is this (4, 4) matrix; the lengths of its columns become the spacing."""
        matrix = np.asarray(affine, dtype=np.float64)
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        if not np.all(spacing > 0):
            raise GeometryError("The affine matrix is singular: one of its axes has no length.")
        direction = matrix[:3, :3] / spacing
        return cls(shape, _triple(spacing), _triple(matrix[:3, 3]), _matrix(direction))

    @classmethod
    def from_sitk(cls, image: sitk.Image) -> Geometry:
        """Geometry of a 2-D or 3-D SimpleITK image; a 2-D image is one axial slice of 1 mm."""
        dimension = image.GetDimension()
        if dimension not in (2, 3):
            raise GeometryError(f"An image of {dimension} dimensions has no 3-D geometry.")
        size = [*image.GetSize(), 1][:3]
        spacing = [*image.GetSpacing(), 1.0][:3]
        origin = [*image.GetOrigin(), 0.0][:3]
        direction = np.eye(3)
        direction[:dimension, :dimension] = np.reshape(image.GetDirection(), (dimension, dimension))
        shape = (int(size[2]), int(size[1]), int(size[0]))
        return cls(shape, _triple(spacing[::-1]), _triple(origin[::-1]), _matrix(direction[::-1, ::-1]))

    def to_sitk(self, array: ArrayLike) -> sitk.Image:
        """SimpleITK image of ``array`` (z, y, x) on this grid; bool becomes uint8, float16 float32."""
        import SimpleITK as sitk

        data = np.asarray(array)
        if data.shape != self.shape:
            raise GeometryError(f"An array of shape {data.shape} does not fit a grid of shape {self.shape}.")
        if data.dtype == bool:
            data = data.astype(np.uint8)
        elif data.dtype == np.float16:
            data = data.astype(np.float32)
        image = sitk.GetImageFromArray(
            np.ascontiguousarray(data.astype(data.dtype.newbyteorder("="), copy=False))
        )
        image.SetSpacing(self.spacing[::-1])
        image.SetOrigin(self.origin[::-1])
        image.SetDirection(np.array(self.direction)[::-1, ::-1].ravel().tolist())
        return image

    def index_to_world(self, points: ArrayLike) -> NDArray[np.float64]:
        """World positions (n, 3) in mm of index positions (n, 3), both (z, y, x)."""
        affine = self.affine
        return np.asarray(np.asarray(points, dtype=np.float64) @ affine[:3, :3].T + affine[:3, 3])

    def world_to_index(self, points: ArrayLike) -> NDArray[np.float64]:
        """Fractional index positions (n, 3) of world positions (n, 3) in mm, both (z, y, x)."""
        inverse = np.linalg.inv(self.affine)
        return np.asarray(np.asarray(points, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3])

    def isclose(self, other: Geometry, tolerance: float = 1e-3) -> bool:
        """Whether the shapes are equal and no corner voxel is further apart than ``tolerance`` voxels."""
        if self.shape != other.shape:
            return False
        corners = np.array(list(itertools.product(*((0, n - 1) for n in self.shape))), dtype=np.float64)
        # A grid of one slice would otherwise hide a wrong spacing or direction of that axis.
        corners = np.concatenate([corners, np.eye(3)])
        moved = self.world_to_index(other.index_to_world(corners))
        return bool(np.abs(moved - corners).max() <= tolerance)

    def differences(self, other: Geometry, tolerance: float = 1e-3) -> tuple[str, ...]:
        """What of size, spacing, direction and origin differs, with both values; empty if close."""
        if self.isclose(other, tolerance):
            return ()
        found = []
        if self.shape != other.shape:
            found.append(f"size {_numbers(self.shape)} against {_numbers(other.shape)} voxels")
        length = float(max(*self.shape, 2)) - 1
        spacing = np.array(self.spacing)
        if np.abs(spacing - other.spacing).max() * length > tolerance * spacing.min():
            found.append(f"spacing {_numbers(self.spacing)} against {_numbers(other.spacing)} mm")
        if np.abs(np.array(self.direction) - np.array(other.direction)).max() * length > tolerance:
            found.append(f"direction {_rows(self.direction)} against {_rows(other.direction)}")
        if np.abs(np.array(self.origin) - other.origin).max() > tolerance * spacing.min():
            found.append(f"origin {_numbers(self.origin)} against {_numbers(other.origin)} mm")
        return tuple(found)

    @property
    def anatomical_axes(self) -> tuple[tuple[int, bool], tuple[int, bool], tuple[int, bool]]:
        """For the world axes superior, posterior, left: the nearest array axis and whether it runs backwards.

        Each array axis is used once, so an oblique scan has its nearest orthogonal view.
        """
        matrix = np.array(self.direction)

        def agreement(axes: tuple[int, ...]) -> float:
            return float(sum(abs(matrix[world, axis]) for world, axis in enumerate(axes)))

        # max keeps the first of equals, so the answer for exactly 45 degrees is stable.
        z, y, x = max(itertools.permutations(range(3)), key=agreement)
        return ((z, bool(matrix[0, z] < 0)), (y, bool(matrix[1, y] < 0)), (x, bool(matrix[2, x] < 0)))

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @property
    def is_oblique(self) -> bool:
        """Whether an array axis leans from the patient's axes; flips and swapped axes are not oblique."""
        size = np.abs(np.array(self.direction))
        return bool(np.minimum(size, np.abs(size - 1)).max() > AXIS_TOLERANCE)

    @property
    def is_axis_aligned(self) -> bool:
        """Whether array axes z, y, x run along superior, posterior, left, forwards or backwards."""
        return bool(np.abs(np.abs(np.array(self.direction)) - np.eye(3)).max() <= AXIS_TOLERANCE)

    def napari_transform(self) -> dict[str, Any]:
        """Keyword arguments that place a napari layer of this grid in the world, in mm.

        Flipped axes are shown where they are. napari cannot slice rotated or swapped axes in every view, so
        such a scan is shown in its index axes with its spacing, and its layer must keep the geometry in its
        metadata.
        """
        if not self.is_axis_aligned:
            return {"scale": self.spacing, "translate": (0.0, 0.0, 0.0)}
        signs = np.sign(np.diag(np.array(self.direction)))
        if np.all(signs > 0):
            return {"scale": self.spacing, "translate": self.origin}
        affine = np.diag([*signs, 1.0])
        affine[:3, 3] = self.origin
        return {"scale": self.spacing, "translate": (0.0, 0.0, 0.0), "affine": affine}


def _triple(values: Any) -> Triple:
    first, second, third = (float(v) for v in values)
    return (first, second, third)


def _matrix(values: Any) -> tuple[Triple, Triple, Triple]:
    first, second, third = values
    return (_triple(first), _triple(second), _triple(third))


def _numbers(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.6g}" for value in values) + ")"


def _rows(matrix: tuple[Triple, ...]) -> str:
    return "[" + ", ".join(_numbers(row) for row in matrix) + "]"
