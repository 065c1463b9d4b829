"""Label values as whole numbers, whatever type a file of labels has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.formats.nifti_header import read_nifti_header
from napari_cpclnet.imaging.formats.raw_image import FORMATS, volume_suffix
from napari_cpclnet.imaging.reading import finite

# What arithmetic in floats leaves of a whole number, at most.
FLOAT_ERROR = 1e-3
# In wider steps a whole number is not known again.
WIDEST_STEP = 0.5


def stored_step(path: Path) -> float:
    """Distance of the values that a file can hold: the slope of a NIfTI file of scaled whole numbers, else 0."""
    if FORMATS.get(volume_suffix(path)) != "NIfTI":
        return 0.0
    header = read_nifti_header(path)
    step = abs(header.slope)
    return step if header.dtype.kind in "iu" and step <= WIDEST_STEP else 0.0


def tolerance(step: float) -> float:
    """How far a whole number may lie beside itself in a file of values so many apart.

    Programs that save floats under the header of a scan of 16 bits scale them: each value moves to the nearest step.
    """
    return max(0.501 * step, FLOAT_ERROR)


def whole_numbers(
    path: Path, array: NDArray[Any], beside: float = 0.0
) -> tuple[NDArray[np.unsignedinteger[Any]], tuple[str, ...]]:
    """Labels in the narrowest type that holds them.

    Parameters
    ----------
    path
        Names the file in messages.
    array
        What the file holds.
    beside
        How far a value may lie beside a whole number, see `tolerance`.

    Returns
    -------
    tuple
        The labels, and notes: a sentence if they had to be rounded.

    Raises
    ------
    ImageError
        If a value is negative, too large, no number, or too far from a whole one.
    """
    array = finite(path, array) if array.dtype.kind == "f" and array.dtype != np.float64 else array
    low, high = array.min(), array.max()
    if np.isnan(low) or np.isnan(high):
        raise ImageError(f"{path}: contains NaN; a label map holds whole numbers.")
    if low < -beside:
        raise ImageError(f"{path}: contains negative values (lowest {low:g}); labels are 0, 1, 2 and so on.")
    if high > np.iinfo(np.uint32).max:
        raise ImageError(f"{path}: contains the label {high:g}; labels go up to {np.iinfo(np.uint32).max}.")
    kind = np.uint8 if high < 255.5 else np.uint16 if high < 65535.5 else np.uint32
    if array.dtype.kind != "f":
        return array.astype(kind), ()
    labels = np.empty(array.shape, kind)
    furthest = 0.0
    for plane, into in zip(array, labels, strict=True):  # a plane at a time: floats of a whole scan are many
        rounded = np.rint(plane)
        furthest = max(furthest, float(np.abs(plane - rounded).max()))
        into[...] = rounded
    if furthest > beside:
        raise ImageError(
            f"{path}: contains non-integer values; a label map holds whole numbers (is it a probability map?)."
        )
    if not furthest:
        return labels, ()
    return labels, (f"Its labels are stored up to {furthest:.2g} beside whole numbers: rounded.",)
