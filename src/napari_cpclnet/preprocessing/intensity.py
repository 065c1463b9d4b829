"""Intensity normalisation to [0, 1], one range per volume.

One range for the whole volume, never per slice: a slice at the edge of the body must not become brighter than
its neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from skimage import filters

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume
    from napari_cpclnet.preprocessing.settings import PreprocessingSettings

_SAMPLE_VOXELS = 400_000


def intensity_range(volume: Volume, settings: PreprocessingSettings) -> tuple[float, float]:
    """Intensities of `volume` that become 0 and 1.

    Parameters
    ----------
    volume : Volume
        The scan; modality and unit decide.
    settings : PreprocessingSettings
        Windows and percentiles.

    Returns
    -------
    tuple of float
        Low and high, in the unit of the volume: the CT window for HU, (0, 255) for CT that was windowed to 8
        bits, (0, `suv_max`) for SUVbw. For MR, raw PET counts and everything else a low percentile of all
        voxels and a high percentile of the voxels that are not background: air fills a varying part of a
        field of view and would otherwise pull the white point about. Equal values for a constant image.
    """
    if volume.modality == "CT" and volume.unit == "HU":
        return settings.ct_window
    if volume.modality == "CT" and volume.unit == "HU8":
        return (0.0, 255.0)
    if volume.modality == "PT" and volume.unit == "SUVbw":
        return (0.0, settings.suv_max)
    sample = sample_voxels(volume.array)
    low = float(np.percentile(sample, settings.mr_percentiles[0]))
    foreground = sample[sample > background_threshold(sample)]
    high = float(np.percentile(foreground if foreground.size else sample, settings.mr_percentiles[1]))
    return (low, max(low, high))


def normalise(array: NDArray[Any], value_range: tuple[float, float]) -> NDArray[np.float32]:
    """Map `value_range` to [0, 1] and clip.

    Parameters
    ----------
    array : ndarray
        Any shape, any real type.
    value_range : tuple of float
        Low and high, from :func:`intensity_range`. If they are equal (a constant image) the result is zero.

    Returns
    -------
    ndarray of float32
    """
    low, high = value_range
    if not high > low:
        return np.zeros(array.shape, np.float32)
    # in float64 first only where float32 would lose whole numbers
    wide = array.dtype.kind in "iu" and array.dtype.itemsize >= 4
    values: NDArray[Any] = array.astype(np.float64 if wide else np.float32)
    scaled: NDArray[np.float32] = np.clip((values - low) / (high - low), 0.0, 1.0).astype(
        np.float32, copy=False
    )
    return scaled


def sample_voxels(array: NDArray[Any]) -> NDArray[np.float32]:
    """Evenly spaced voxels of a volume, at most about 400,000, flat."""
    step = max(1, int(np.ceil((array.size / _SAMPLE_VOXELS) ** (1 / 3))))
    # an axis shorter than a few steps is kept whole, the others give way
    steps = [1 if n < 4 * step else step for n in array.shape]
    taken = array[tuple(slice(None, None, s) for s in steps)]
    while taken.size > 2 * _SAMPLE_VOXELS:
        longest = int(np.argmax(taken.shape))
        taken = taken[tuple(slice(None, None, 2 if axis == longest else 1) for axis in range(taken.ndim))]
    return taken.astype(np.float32).ravel()


def background_threshold(sample: NDArray[Any]) -> float:
    """Intensity that separates air from tissue, without knowing the unit.

    Otsu's threshold on the square roots of the values above the lowest: dark tissue is much darker than
    fluid, but much brighter than air, and the root brings tissues together and moves air away. Values above
    the 99th percentile (vessels, fluid, bladder) count as that percentile.

    Parameters
    ----------
    sample : ndarray
        Intensities, from :func:`sample_voxels`.

    Returns
    -------
    float
        Voxels above it are tissue; the minimum for a constant image.
    """
    values = np.asarray(sample, np.float32)
    low, top = (float(v) for v in np.percentile(values, (0, 99)))
    if not top > low:
        return low
    roots = np.sqrt((np.minimum(values, top) - low) / (top - low))
    otsu: Any = filters.threshold_otsu
    return low + float(otsu(roots, nbins=256)) ** 2 * (top - low)
