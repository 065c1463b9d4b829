"""``napari-cpclnet suggest``: which slice of a scan to paint next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from napari_cpclnet.cli.errors import user_errors
from napari_cpclnet.cli.files import scan_progress
from napari_cpclnet.cli.labelling import predict
from napari_cpclnet.cli.masks import MaskPlace
from napari_cpclnet.cli.notes import echo_notes
from napari_cpclnet.cli.options import (
    Device,
    PaintedPlane,
    Partial,
    Weights,
    parse_classes,
    parse_slices,
    support_pairs,
)
from napari_cpclnet.cli.segment import PaintedFiles, read_supports
from napari_cpclnet.imaging import read_volume
from napari_cpclnet.segmentation import RunSettings


def suggest(
    support: Annotated[
        list[Path],
        typer.Option(
            metavar="IMAGE MASK",
            help="A scan and the mask painted on it, on the same grid. May be given several times; the query may be "
            "one of them.",
        ),
    ],
    query: Annotated[
        Path,
        typer.Option(
            metavar="PATH", help="The scan of which a slice is to be painted: a file or a DICOM folder."
        ),
    ],
    slices: Annotated[
        list[str] | None,
        typer.Option(
            metavar="12,20,31",
            help="Slices of the support that count as painted. Once, or once per --support in the same order. Default: "
            "every slice that carries a label.",
        ),
    ] = None,
    partial: Partial = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar='"6=liver,1=spleen"',
            help="Label values and names. Names say where organs usually lie. Default: every label of the mask.",
        ),
    ] = None,
    count: Annotated[
        int, typer.Option(min=1, max=100, help="How many slices, to be painted one after another.")
    ] = 5,
    device: Device = "auto",
    weights: Weights = None,
    plane: PaintedPlane = "auto",
    mask_place: MaskPlace = "auto",
) -> None:
    """Say which slices of a scan are worth painting next, and why.

    Prints slice numbers from 0 along the sliced axis, the estimated gain (share of all classes that would be set
    right), and a reason, best first. Each suggestion takes those above it as painted.
    """
    with user_errors():
        pairs = support_pairs(support)
        job = SuggestJob(
            PaintedFiles(
                pairs,
                parse_slices(slices or [], len(pairs)),
                parse_classes(classes),
                plane,
                mask_place,
                parse_slices(partial or [], len(pairs), "--partial"),
            ),
            query,
            RunSettings(plane=plane, device=device, weights=weights),
            count,
        )
        run_suggest(job)


@dataclass(frozen=True)
class SuggestJob:
    """Everything ``suggest`` was asked for, as parsed."""

    painted: PaintedFiles
    query: Path
    settings: RunSettings
    count: int


def run_suggest(job: SuggestJob) -> None:
    """Print the slices of the query that are worth painting, the best first.

    Raises
    ------
    CpclnetError
        If support, query, weights or device are at fault.
    """
    from napari_cpclnet.model import choose_device, load_weights
    from napari_cpclnet.segmentation import Segmenter
    from napari_cpclnet.segmentation import suggest as suggested

    device = choose_device(job.settings.device)
    support = read_supports(job.painted)
    volume = read_volume(job.query)
    echo_notes(volume)
    segmenter = Segmenter(load_weights(job.settings.weights, device), job.settings)
    segmenter.set_support(support)
    with scan_progress(volume.name) as progress:
        predict(segmenter, volume, progress)
    found = suggested(segmenter, volume, count=job.count)
    if not found:
        typer.echo(f"No slice of {volume.name} is left to paint.")
    for one in found:
        typer.echo(f"slice {one.index:4d}  gain {one.score:.3f}  {one.reason}")
