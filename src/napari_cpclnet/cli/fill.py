"""``napari-cpclnet fill``: the slices between the painted ones of one scan, without a network."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from napari_cpclnet.cli.errors import user_errors
from napari_cpclnet.cli.files import scan_progress
from napari_cpclnet.cli.labelling import sizes
from napari_cpclnet.cli.masks import MaskPlace
from napari_cpclnet.cli.notes import echo_notes
from napari_cpclnet.cli.options import PaintedPlane, Partial, Terminology, parse_classes, parse_slices
from napari_cpclnet.cli.outputs import keep_existing, protect
from napari_cpclnet.cli.segment import read_support
from napari_cpclnet.errors import OutputError
from napari_cpclnet.imaging import BACKGROUND, OUTPUTS, ScanRef, output_suffix, write_segmentation
from napari_cpclnet.propagation import PropagationSettings


def fill(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The scan: a file or a DICOM folder.")],
    mask: Annotated[
        Path,
        typer.Argument(metavar="MASK", help="Label map on its grid, with a few slices painted."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Label map to write: .nii.gz, .nii, .nrrd, .seg.nrrd, .mha, .dcm (of a DICOM scan) or .png.",
        ),
    ],
    slices: Annotated[
        str | None,
        typer.Option(
            metavar="12,20,31",
            help="Slices that count as painted, numbered from 0 along the sliced axis; those without a label show no "
            "class. Default: every slice that carries a label.",
        ),
    ] = None,
    partial: Partial = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar='"6=liver,1=spleen"', help="Label values to use, with their names. Default: every label."
        ),
    ] = None,
    plane: PaintedPlane = "auto",
    shapes_only: Annotated[
        bool, typer.Option("--shapes-only", help="Interpolate the outlines and leave grey values aside.")
    ] = False,
    terminology: Terminology = None,
    mask_place: MaskPlace = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it exists.")] = False,
) -> None:
    """Fill between painted slices of one scan.

    Outlines are interpolated from slice to slice and moved to where grey values say; painted slices stay as they are.
    """
    with user_errors():
        from napari_cpclnet.propagation import start_fill

        if not output_suffix(out):
            raise OutputError(f"{out}: the suffix must be one of {', '.join(OUTPUTS)}.")
        protect([out], [image, mask, *([terminology] if terminology else [])])
        keep_existing(out, overwrite=overwrite)
        volume, painted = read_support(image, mask, mask_place)
        echo_notes(volume)
        echo_notes(painted)
        named = parse_classes(classes) or painted.classes or None
        (wanted,) = parse_slices([slices] if slices else [], 1)
        (scribbled,) = parse_slices(partial or [], 1, "--partial")
        if named and scribbled:
            named = {value: name for value, name in named.items() if value != BACKGROUND}
        started = time.perf_counter()
        propagation = start_fill(
            volume,
            painted.labels,
            slices=wanted,
            plane=plane,
            classes=named,
            settings=PropagationSettings(grey_values=not shapes_only),
            partial=scribbled or (),
        )
        with scan_progress(volume.name) as progress:
            (task,) = progress.task_ids
            for report in propagation.run():
                progress.update(task, completed=report.done, total=report.total)
        filled = propagation.result()
        seconds = time.perf_counter() - started
        source = ScanRef(image, volume.series, volume.name)
        written = write_segmentation(filled, out, source=source, terminology=terminology)
        typer.echo(
            f"{volume.name}: {seconds:.1f} s, {sizes(filled, calibrated=volume.calibrated)} -> {written}"
        )
