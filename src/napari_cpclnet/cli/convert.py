"""``napari-cpclnet convert``: a scan or a label map in another format; what cannot be kept is said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from napari_cpclnet.cli.errors import user_errors
from napari_cpclnet.cli.files import series_in
from napari_cpclnet.cli.masks import MaskPlace, Place, read_mask
from napari_cpclnet.cli.options import Terminology
from napari_cpclnet.cli.outputs import keep_existing, protect
from napari_cpclnet.errors import OutputError
from napari_cpclnet.imaging import (
    OUTPUTS,
    ScanRef,
    dicom,
    holds_segments,
    looks_like_labels,
    output_suffix,
    read_segmentation,
    read_volume,
    write_segmentation,
    write_volume,
)
from napari_cpclnet.imaging import Terminology as Codes

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Segmentation, Volume


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="A scan or a label map: a file, a DICOM folder, a folder of pictures, a DICOM segmentation or "
            "structure set.",
        ),
    ],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help=".nii.gz, .nii, .nrrd, .mha, .png or .ome.zarr; for label maps also .seg.nrrd (3D Slicer) and .dcm "
            "(DICOM segmentation).",
        ),
    ],
    kind: Annotated[
        Literal["auto", "scan", "labels"],
        typer.Option("--as", help="What IN is; auto finds out from the file, its name and its values."),
    ] = "auto",
    like: Annotated[
        Path | None,
        typer.Option(
            metavar="SCAN",
            help="Scan on whose voxels the labels are put; needed for structure sets, and for .dcm, which refers to "
            "its DICOM series.",
        ),
    ] = None,
    series: Annotated[
        str | None,
        typer.Option(
            metavar="UID", help="Series of --like, or of IN if that is a folder with several DICOM series."
        ),
    ] = None,
    terminology: Terminology = None,
    mask_place: MaskPlace = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
) -> None:
    """Write a scan or a label map in another format.

    Says on stderr what was assumed while reading, and what the new format cannot hold. Patient data go nowhere but
    into DICOM segmentations.
    """
    with user_errors():
        _check(source, target, [like, terminology], overwrite=overwrite)
        if kind == "labels" or (kind == "auto" and _is_labels(source, target, series)):
            written = _labels(source, target, like, series, terminology, mask_place)
        else:
            written = _scan(source, target, series)
        typer.echo(f"{source} -> {written}")


def _check(source: Path, target: Path, others: Sequence[Path | None], *, overwrite: bool) -> None:
    """Refuse a target of an unknown format, one that is read, and one that is there already."""
    if not output_suffix(target):
        raise OutputError(f"{target}: the suffix must be one of {', '.join(OUTPUTS)}.")
    protect([target], [source, *(path for path in others if path is not None)])
    keep_existing(target, overwrite=overwrite)


def _is_labels(source: Path, target: Path, series: str | None) -> bool:
    if holds_segments(source) or output_suffix(target) in (".seg.nrrd", ".dcm"):
        return True
    return not dicom.is_dicom_path(source) and looks_like_labels(read_volume(source, series=series))


def _labels(
    source: Path,
    target: Path,
    like: Path | None,
    series: str | None,
    terminology: Path | None,
    where: Place,
) -> Path:
    if like is not None and series is None and like.is_dir():
        drawn_on = dicom.referenced_series(source)
        series = drawn_on if any(one.id == drawn_on for one in series_in(like)) else None
    scan = None if like is None else read_volume(like, series=series)
    segmentation = read_segmentation(source) if scan is None else read_mask(source, scan, where)
    written = write_segmentation(
        segmentation,
        target,
        source=None if like is None else ScanRef(like, series),
        terminology=terminology,
        algorithm="unknown, converted by napari-cpclnet",
    )
    _say(segmentation.name, (*segmentation.notes, *_lost_labels(segmentation, target, terminology)))
    return written


def _scan(source: Path, target: Path, series: str | None) -> Path:
    volume = read_volume(source, series=series)
    written = write_volume(volume, target)
    _say(volume.name, (*volume.notes, *_lost_values(volume, target)))
    return written


def _lost_labels(segmentation: Segmentation, target: Path, terminology: Path | None) -> list[str]:
    """What the format of the target cannot hold of a label map."""
    suffix = output_suffix(target)
    lost = []
    if suffix in (".nii.gz", ".nii", ".mha", ".png"):
        named = {value: name for value, name in segmentation.classes.items() if name != f"label {value}"}
        if named:
            listed = ", ".join(f"{value} {name}" for value, name in named.items())
            lost.append(f"{suffix} does not hold names of classes: {listed}.")
        if segmentation.colors:
            lost.append(f"{suffix} does not hold colours.")
    if suffix == ".png":
        lost.append("Pictures hold neither voxel size nor place in the patient.")
    if suffix in (".seg.nrrd", ".dcm"):
        codes = Codes(terminology)
        uncoded = [name for name in segmentation.classes.values() if not codes[name].known]
        if uncoded:
            what = ", ".join(uncoded)
            lost.append(f"No code is known for {what}; coded as tissue (see --terminology).")
    return lost


def _lost_values(volume: Volume, target: Path) -> list[str]:
    """What the format of the target cannot hold of a scan."""
    lost = []
    if volume.unit and output_suffix(target) != ".ome.zarr":
        lost.append(f"The file does not say that its values are {volume.modality} in {volume.unit}.")
    if output_suffix(target) == ".png":
        lost.append("Pictures hold neither voxel size nor place in the patient.")
    if volume.source is not None and dicom.is_dicom_path(volume.source):
        lost.append("The DICOM header (patient, study, acquisition) is not written.")
    return lost


def _say(name: str, notes: tuple[str, ...]) -> None:
    for note in notes:
        typer.echo(f"Note on {name}: {note}", err=True)
