"""Masks on the command line: where they are put on their scans, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from napari_cpclnet.errors import GeometryError
from napari_cpclnet.imaging import read_segmentation

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Segmentation, Volume

Place = Literal["auto", "header", "voxels"]

MaskPlace = Annotated[
    Place,
    typer.Option(
        "--mask-place",
        help="Where masks lie on their scans. auto: where their header says, refused where that can hardly be right; "
        "header: there in any case; voxels: voxel for voxel, whatever the header says.",
    ),
]


def read_mask(mask: Path, volume: Volume, where: Place = "auto") -> Segmentation:
    """Read a mask onto the voxels of a scan.

    Raises
    ------
    CpclnetError
        If it cannot be read, lies where it can hardly be right and nobody said that it does, or has another size
        than the scan on which it is to be put voxel for voxel.
    """
    found = read_segmentation(mask, like=volume, by_voxel=where == "voxels")
    if found.doubt and where == "auto":
        raise GeometryError(
            f"{mask}: {found.doubt[0].lower()}{found.doubt[1:]} Give the mask of this scan, or say with --mask-place "
            "voxels that its voxels are the scan's, or with --mask-place header that it lies where it says."
        )
    return found
