"""Model grid: resampling between a scan's own grid and the network's pixels, there and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cpclnet.errors import GeometryError
from napari_cpclnet.imaging.planes import Plane, View, view_of
from napari_cpclnet.preprocessing.body import COARSE_MM, body_box
from napari_cpclnet.preprocessing.intensity import intensity_range, normalise
from napari_cpclnet.preprocessing.resample import area_matrix, linear_matrix

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume
    from napari_cpclnet.preprocessing.settings import PreprocessingSettings

SIZE_MULTIPLE = 32


@dataclass(frozen=True)
class ModelGrid:
    """Bijection between the slices of one volume in one plane and the network's pixels.

    The network sees every body in one attitude: axial rows run anterior to posterior and columns from the
    patient's right to left; coronal rows superior to inferior, columns right to left; sagittal rows superior
    to inferior, columns anterior to posterior. An oblique scan keeps its own slices, named after the nearest plane, and
    is brought to the nearest of these attitudes. Pixels are squares of ``mm_per_pixel``, the body
    is in the middle.

    Parameters
    ----------
    plane
        axial, coronal or sagittal: the nearest to its slices.
    axis, row_axis, column_axis
        Array axes of slices, rows and columns of the network's image.
    flips
        Whether slices, rows, columns run against the array's order.
    shape
        Shape of the volume, (z, y, x).
    size
        Height and width of the network's image, in pixels.
    centre
        Middle of the image, in native pixels along rows and columns, counted in the network's direction.
    steps
        Side of a network pixel, in native pixels along rows and columns.
    context
        Distance of the neighbour slices shown as first and last channel, in slices.
    value_range
        Intensities that become 0 and 1.
    """

    plane: Plane
    axis: int
    row_axis: int
    column_axis: int
    flips: tuple[bool, bool, bool]
    shape: tuple[int, int, int]
    size: tuple[int, int]
    centre: tuple[float, float]
    steps: tuple[float, float]
    context: int
    value_range: tuple[float, float]

    @classmethod
    def for_volume(cls, volume: Volume, plane: Plane | View, settings: PreprocessingSettings) -> ModelGrid:
        """Grid for one volume.

        Parameters
        ----------
        volume : Volume
            The scan. Without a physical size (`calibrated` False) its longest side in the plane counts as
            ``settings.min_size`` network pixels, and the next slices on both sides are the context.
        plane : str or View
            "axial", "coronal", "sagittal", "native" for the first array axis, or "auto" for the thickest axis, else
            axial; or the very axes and directions.
        settings : PreprocessingSettings
            Pixel size, context, largest image and windows.

        Returns
        -------
        ModelGrid
            Centred on the body's bounding box and large enough for it (multiples of 32 from
            ``settings.min_size`` to ``settings.max_size``; a larger body is cropped).
        """
        view = plane if isinstance(plane, View) else view_of(volume.geometry, plane)
        axes, flips = view.axes, view.flips
        spacing = _spacing(volume, axes, settings)
        box = body_box(volume, spacing)
        centre, size, steps = [], [], []
        for axis, flip in zip(axes[1:], flips[1:], strict=True):
            low, high = box[axis]
            middle = (low + high) / 2
            centre.append(volume.array.shape[axis] - 1 - middle if flip else middle)
            extent = (high - low) * spacing[axis] + COARSE_MM
            size.append(_image_size(extent, settings))
            steps.append(settings.mm_per_pixel / spacing[axis])
        context = max(1, round(settings.context_mm / spacing[axes[0]])) if settings.context_mm > 0 else 0
        return cls(
            plane=view.plane,
            axis=axes[0],
            row_axis=axes[1],
            column_axis=axes[2],
            flips=flips,
            shape=volume.geometry.shape,
            size=(size[0], size[1]),
            centre=(centre[0], centre[1]),
            steps=(steps[0], steps[1]),
            context=context if volume.calibrated else min(context, 1),
            value_range=intensity_range(volume, settings),
        )

    @property
    def n_slices(self) -> int:
        """Number of slices along `axis`."""
        return self.shape[self.axis]

    @property
    def slice_shape(self) -> tuple[int, int]:
        """Shape of a native slice in array order."""
        rows, columns = (n for axis, n in enumerate(self.shape) if axis != self.axis)
        return rows, columns

    def take(self, array: NDArray[Any], index: int) -> NDArray[Any]:
        """View of slice `index` of a (z, y, x) array, in array order of the two other axes."""
        return array[(slice(None),) * self.axis + (index,)]

    def put(self, array: NDArray[Any], index: int, values: NDArray[Any]) -> None:
        """Write slice `index` of a (z, y, x) array, in array order of the two other axes."""
        array[(slice(None),) * self.axis + (index,)] = values

    def neighbours(self, index: int) -> tuple[int, int, int]:
        """Slices shown for `index`: previous, itself, next (towards superior, posterior or left), clamped."""
        distance = -self.context if self.flips[0] else self.context
        last = self.n_slices - 1
        return (min(max(index - distance, 0), last), index, min(max(index + distance, 0), last))

    def images(self, volume: Volume, indices: Sequence[int]) -> Tensor:
        """What the network sees.

        Parameters
        ----------
        volume : Volume
            The scan this grid was made for.
        indices : sequence of int
            Slices along `axis`.

        Returns
        -------
        Tensor (n, 3, H, W) of float32
            Previous, this and next slice, in [0, 1]; 0 outside the scan.
        """
        self._check(volume.array, indices)
        shown = [self.neighbours(int(i)) for i in indices]
        pictures = {
            i: self._to_model(normalise(self.take(volume.array, i), self.value_range), self._image_matrices)
            for i in {i for triple in shown for i in triple}
        }
        if not shown:
            return torch.zeros(0, 3, *self.size)
        return torch.stack([torch.stack([pictures[i] for i in triple]) for triple in shown])

    def masks(self, labels: NDArray[Any], value: int, indices: Sequence[int]) -> Tensor:
        """One class on the network's pixels.

        Parameters
        ----------
        labels : ndarray (z, y, x)
            Label map on the volume's grid, or a mask (`value` 1).
        value : int
            The class.
        indices : sequence of int
            Slices along `axis`.

        Returns
        -------
        Tensor (n, H, W) of float32
            Fraction of each network pixel's area that the class covers.
        """
        self._check(labels, indices)
        if not len(indices):
            return torch.zeros(0, *self.size)
        return torch.stack([self.mask(self.take(labels, int(i)), value) for i in indices])

    def mask(self, labels: NDArray[Any], value: int) -> Tensor:
        """The same as :meth:`masks` for one native slice in array order: (h, w) to (H, W)."""
        return self._to_model((labels == value).astype(np.float32), self._mask_matrices)

    def to_native(self, x: Tensor) -> Tensor:
        """From the network's pixels to native slices.

        Parameters
        ----------
        x : Tensor (n, C, H, W)
            Values on the network's pixels, any device.

        Returns
        -------
        Tensor (n, C, h, w)
            Interpolated linearly at the native pixels in array order (averaged where these are larger); 0
            outside the network's image.
        """
        rows, columns = (m.to(device=x.device, dtype=x.dtype) for m in self._native_matrices)
        native = rows @ x @ columns.T
        return native.transpose(-1, -2).contiguous() if self._transposed else native

    @property
    def _transposed(self) -> bool:
        return self.row_axis > self.column_axis

    def _to_model(self, picture: NDArray[np.float32], matrices: tuple[Tensor, Tensor]) -> Tensor:
        rows, columns = matrices
        native = torch.from_numpy(np.ascontiguousarray(picture.T if self._transposed else picture))
        return rows @ native @ columns.T

    @cached_property
    def _image_matrices(self) -> tuple[Tensor, Tensor]:
        return self._matrices(linear_matrix)

    @cached_property
    def _mask_matrices(self) -> tuple[Tensor, Tensor]:
        return self._matrices(area_matrix)

    def _matrices(self, weights: Any) -> tuple[Tensor, Tensor]:
        """Weights (H, h) and (W, w) from native to network pixels."""
        pair = []
        for k, axis in enumerate((self.row_axis, self.column_axis)):
            offsets = np.arange(self.size[k]) - (self.size[k] - 1) / 2
            matrix = weights(self.centre[k] + offsets * self.steps[k], self.steps[k], self.shape[axis])
            pair.append(_tensor(matrix[:, ::-1] if self.flips[k + 1] else matrix))
        return pair[0], pair[1]

    @cached_property
    def _native_matrices(self) -> tuple[Tensor, Tensor]:
        """Weights (h, H) and (w, W) from network to native pixels."""
        pair = []
        for k, axis in enumerate((self.row_axis, self.column_axis)):
            middle = (self.size[k] - 1) / 2
            indices = np.arange(self.shape[axis], dtype=np.float64)
            positions = middle + (indices - self.centre[k]) / self.steps[k]
            matrix = linear_matrix(positions, 1.0 / self.steps[k], self.size[k])
            pair.append(_tensor(matrix[::-1] if self.flips[k + 1] else matrix))
        return pair[0], pair[1]

    def _check(self, array: NDArray[Any], indices: Sequence[int]) -> None:
        if tuple(array.shape) != self.shape:
            raise GeometryError(
                f"An array of shape {array.shape} does not lie on a grid of shape {self.shape}."
            )
        for index in indices:
            if not 0 <= index < self.n_slices:
                raise GeometryError(
                    f"There is no slice {index}: the scan has slices 0 to {self.n_slices - 1}."
                )


def _spacing(
    volume: Volume, axes: tuple[int, int, int], settings: PreprocessingSettings
) -> tuple[float, float, float]:
    a, b, c = (float(s) for s in volume.geometry.spacing)
    if volume.calibrated:
        return a, b, c
    spacing = (a, b, c)
    longest = max(volume.array.shape[axis] * spacing[axis] for axis in axes[1:])
    scale = settings.min_size * settings.mm_per_pixel / longest
    return a * scale, b * scale, c * scale


def _image_size(extent_mm: float, settings: PreprocessingSettings) -> int:
    rounded = int(np.ceil(extent_mm / settings.mm_per_pixel / SIZE_MULTIPLE)) * SIZE_MULTIPLE
    return min(max(rounded, settings.min_size), settings.max_size)


def _tensor(matrix: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(matrix.copy())  # torch knows no negative strides
