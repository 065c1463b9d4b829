"""Write a label map or a scan of small whole numbers as PNG pictures, one per slice."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import OutputError
from napari_cpclnet.files.atomic import sweep, temporary_beside


def pictures_path(path: Path, n_slices: int) -> Path:
    """What is written for ``scan.png``: that file, or for several slices the folder ``scan``."""
    return path if n_slices == 1 else path.with_suffix("")


def save_pictures(array: NDArray[Any], path: Path) -> Path:
    """Write slices (z, y, x) as PNG; values as grey levels of 8 or 16 bits.

    Parameters
    ----------
    array
        Whole numbers from 0 to 65535.
    path
        ``NAME.png``. Several slices become ``NAME/NAME_000.png`` and so on, in an order all programs agree on.

    Returns
    -------
    Path
        The file or folder that was written.

    Raises
    ------
    OutputError
        If the values do not fit, or the folder is there and holds anything else.
    """
    array = _grey(array, path)
    target = pictures_path(path, len(array))
    temporary = temporary_beside(path)
    sweep(path.parent)
    try:
        if target == path:
            _save(array[0], temporary)
            temporary.replace(target)
        else:
            _check_free(target, path.stem)
            temporary.mkdir()
            digits = max(3, len(str(len(array) - 1)))
            for index, picture in enumerate(array):
                _save(picture, temporary / f"{path.stem}_{index:0{digits}d}.png")
            replace_pictures(temporary, target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
    return target


def replace_pictures(new: Path, target: Path) -> None:
    """Move a folder of pictures to where an older one may be, which goes only when the new one is in its place.

    Raises
    ------
    OutputError
        If the folder that is there holds anything else.
    """
    _check_free(target, target.name)
    old = temporary_beside(target, "")
    if target.is_dir():
        target.replace(old)
    new.replace(target)
    shutil.rmtree(old, ignore_errors=True)


def _save(picture: NDArray[Any], path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.ascontiguousarray(picture)).save(path, format="PNG")


def _grey(array: NDArray[Any], path: Path) -> NDArray[Any]:
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 65535 or not (array.dtype.kind in "bu" or np.array_equal(array, np.rint(array))):
        msg = f"{path}: PNG pictures hold whole numbers from 0 to 65535, not {low:g} to {high:g}; choose .nii.gz."
        raise OutputError(msg)
    return array.astype(np.uint8 if high <= 255 else np.uint16)


def _check_free(folder: Path, stem: str) -> None:
    """Only a folder of our own pictures is replaced."""
    ours = re.compile(re.escape(stem) + r"_\d+\.png")
    if folder.exists() and not (
        folder.is_dir() and all(ours.fullmatch(entry.name) for entry in folder.iterdir())
    ):
        raise OutputError(f"{folder}: is there already and holds other files; choose another name.")
