"""``napari-cpclnet suggest``: which slice of a scan to paint next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_cpclnet.cli.errors import user_errors
from napari_cpclnet.cli.files import scan_progress
from napari_cpclnet.cli.masks import MaskPlace, Place
from napari_cpclnet.cli.options import Device, PlaneName, Weights, parse_classes, parse_slices, support_pairs
from napari_cpclnet.cli.segment import echo_notes, predict, read_supports
from napari_cpclnet.imaging import read_volume
from napari_cpclnet.segmentation import SegmentationSettings

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Plane


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
    plane: Annotated[
        PlaneName,
        typer.Option(
            help="Plane in which slices are painted; native is the first array axis, auto the plane painted in."
        ),
    ] = "auto",
    mask_place: MaskPlace = "auto",
) -> None:
    """Say which slices of a scan are worth painting next, and why.

    Prints slice numbers from 0 along the sliced axis, the estimated gain (share of all classes that would be set
    right), and a reason, best first. Each suggestion takes those above it as painted.
    """
    with user_errors():
        pairs = support_pairs(support)
        job = SuggestJob(
            supports=pairs,
            slices=parse_slices(slices or [], len(pairs)),
            query=query,
            classes=parse_classes(classes),
            device=device,
            weights=weights,
            plane=plane,
            count=count,
            mask_place=mask_place,
        )
        run_suggest(job)


@dataclass(frozen=True)
class SuggestJob:
    """Everything ``suggest`` was asked for, as parsed."""

    supports: tuple[tuple[Path, Path], ...]
    slices: tuple[tuple[int, ...] | None, ...]
    query: Path
    classes: dict[int, str] | None
    device: str
    weights: Path | None
    plane: Plane
    count: int
    mask_place: Place = "auto"


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

    device = choose_device(job.device)
    support = read_supports(job)
    volume = read_volume(job.query)
    echo_notes(volume)
    settings = SegmentationSettings(plane=job.plane, device=job.device)
    segmenter = Segmenter(load_weights(job.weights, device), settings)
    segmenter.set_support(support)
    with scan_progress(volume.name) as progress:
        predict(segmenter, volume, progress)
    found = suggested(segmenter, volume, count=job.count)
    if not found:
        typer.echo(f"No slice of {volume.name} is left to paint.")
    for one in found:
        typer.echo(f"slice {one.index:4d}  gain {one.score:.3f}  {one.reason}")
