"""SimpleITK as a witness."""

from __future__ import annotations

import locale
from pathlib import Path

import SimpleITK as sitk


def read_by_itk(path: Path) -> sitk.Image:
    """Image as SimpleITK reads it where numbers have no comma: its NRRD reader cuts them there."""
    before = locale.setlocale(locale.LC_NUMERIC)
    locale.setlocale(locale.LC_NUMERIC, "C")
    try:
        return sitk.ReadImage(str(path))
    finally:
        locale.setlocale(locale.LC_NUMERIC, before)
