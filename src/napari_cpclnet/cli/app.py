"""The command ``napari-cpclnet``: its subcommands, their options and help.

Heavy libraries are imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from napari_cpclnet._version import __version__
from napari_cpclnet.cli.check import check
from napari_cpclnet.cli.convert import convert
from napari_cpclnet.cli.demo import run_demo
from napari_cpclnet.cli.errors import INTERRUPTED, WRONG_INPUT, user_errors
from napari_cpclnet.cli.evaluate import evaluation_settings, run_evaluation
from napari_cpclnet.cli.fill import fill
from napari_cpclnet.cli.info import describe
from napari_cpclnet.cli.masks import MaskPlace
from napari_cpclnet.cli.options import (
    Device,
    MultiValueCommand,
    PaintedPlane,
    Partial,
    Precision,
    Quick,
    ResultFormat,
    Scheduler,
    Statistics,
    Terminology,
    Weights,
    check_sources,
    home_paths,
    option,
    parse_classes,
    parse_slices,
    support_pairs,
)
from napari_cpclnet.cli.project import check_output, project_outputs
from napari_cpclnet.cli.pseudo_labels import run_pseudo_labels
from napari_cpclnet.cli.segment import PaintedFiles, SegmentJob, run_segment
from napari_cpclnet.cli.suggest import suggest
from napari_cpclnet.cli.train import train
from napari_cpclnet.evaluation.settings import EvaluationSettings
from napari_cpclnet.imaging import Plane
from napari_cpclnet.segmentation.settings import RunSettings

_RUN, _EVALUATION = RunSettings(), EvaluationSettings()

app = typer.Typer(
    name="napari-cpclnet",
    help="Paint a few slices of one scan, and get 3-D labels in every other scan, whatever its modality.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    # A traceback is a bug report: plain, and without the values of variables, which may be somebody's data.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit the process with its status."""
    try:
        app(None if argv is None else list(argv), prog_name="napari-cpclnet")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"napari-cpclnet {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


@app.command(cls=MultiValueCommand)
@home_paths
def segment(
    support: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="IMAGE MASK",
            help="A scan and the mask painted on it, on the same grid. May be given several times.",
        ),
    ] = None,
    query: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH [PATH ...]",
            help="Scans to label: files, DICOM folders, or folders of scans. The support scan may be one of them: "
            "its painted slices come out exactly as painted.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the results; made if it does not exist.")
    ] = None,
    project: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of a project saved in napari, instead of --support: its ticked slices, scans, plane, "
            "post-processing and weights. Default for --out and --format: what was chosen there, else its folder "
            "results.",
        ),
    ] = None,
    slices: Annotated[
        list[str] | None,
        typer.Option(
            metavar="12,20,31",
            help="Slices of the support that count as painted, numbered from 0 along the sliced axis as napari "
            "shows them; a class that is missing on such a slice is taken to be absent there. Give it once, or once "
            "per --support in the same order. Default: every slice that carries a label.",
        ),
    ] = None,
    partial: Partial = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar='"6=liver,1=spleen"',
            help="Label values to use, with their names. Default: every label of the mask.",
        ),
    ] = None,
    device: Device = _RUN.device,
    precision: Precision = _RUN.precision,
    weights: Weights = None,
    plane: PaintedPlane = _RUN.plane,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also write <name>_probability_<class> for every class.")
    ] = False,
    uncertainty: Annotated[
        bool,
        typer.Option(
            "--uncertainty",
            help="Also write <name>_uncertainty: 0 where the network was certain, 1 where it was a coin toss.",
        ),
    ] = False,
    statistics: Statistics = False,
    output_format: ResultFormat = None,
    terminology: Terminology = None,
    mask_place: MaskPlace = "auto",
    adapt: Annotated[int, option(RunSettings, "adapt", metavar="STEPS")] = _RUN.adapt,
    quick: Quick = not _RUN.align,
    scheduler: Scheduler = _RUN.scheduler,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace results that exist; without it they are kept and reported."
        ),
    ] = False,
) -> None:
    """Label scans from a few painted slices.

    Writes <query name>_labels.<format> on the query's own grid, with the label values of the support.
    """
    with user_errors():
        pairs = support_pairs(support or [])
        other_plane = plane if plane != "auto" else None
        check_sources(
            project,
            support=support,
            query=query,
            out=out,
            slices=slices,
            partial=partial,
            classes=classes,
            plane=other_plane,
        )
        kept_out, kept_format = (None, None) if project is None else project_outputs(project)
        if project is not None and kept_out is not None and out is None:
            check_output(kept_out, project)
        job = SegmentJob(
            project=project,
            painted=PaintedFiles(
                pairs,
                parse_slices(slices or [], len(pairs)),
                parse_classes(classes),
                plane,
                mask_place,
                parse_slices(partial or [], len(pairs), "--partial"),
            ),
            queries=query or [],
            out=out or kept_out or Path("results"),
            settings=RunSettings(
                plane=plane,
                device=device,
                precision=precision,
                align=not quick,
                weights=weights,
                adapt=adapt,
                scheduler=scheduler,
            ),
            probabilities=probabilities,
            uncertainty=uncertainty,
            statistics=statistics,
            output_format=output_format or kept_format or "nii.gz",
            terminology=terminology,
            overwrite=overwrite,
        )
        if run_segment(job):
            raise typer.Exit(WRONG_INPUT)


app.command()(home_paths(fill))
app.command(cls=MultiValueCommand)(home_paths(suggest))


@app.command()
@home_paths
def info(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A scan, a folder of scans, or a weights file.")
    ],
) -> None:
    """Print what a scan is: size, spacing, orientation, modality, unit; or what a weights file holds.

    Nothing that identifies the patient is printed.
    """
    with user_errors():
        for line in describe(path):
            typer.echo(line)


app.command()(home_paths(convert))


@app.command(cls=MultiValueCommand)
@home_paths
def evaluate(
    cases: Annotated[
        Path,
        typer.Option(
            metavar="TABLE",
            help="CSV or YAML with the columns patient, modality, image, label, classes (6=liver;1=spleen); paths are "
            "relative to it.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the results; made if it does not exist.")
    ],
    protocol: Annotated[
        list[str] | None, option(EvaluationSettings, "protocols", metavar="honest|legacy|same-volume [...]")
    ] = None,
    shots: Annotated[list[int] | None, option(EvaluationSettings, "shots", metavar="K [K ...]")] = None,
    supports: Annotated[int, option(EvaluationSettings, "supports")] = _EVALUATION.supports,
    from_modality: Annotated[
        str | None, option(EvaluationSettings, "from_modality", "--from", metavar="CT|MR|PT")
    ] = None,
    to_modality: Annotated[
        str | None, option(EvaluationSettings, "to_modality", "--to", metavar="CT|MR|PT")
    ] = None,
    baselines: Annotated[
        str, option(EvaluationSettings, "baselines", metavar="all|none|NAMES", help="Names with commas.")
    ] = "all",
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Weights (.safetensors), or with --folds the folder of fold_0.safetensors and so on. Default: those "
            "of the package.",
        ),
    ] = None,
    folds: Annotated[int | None, option(EvaluationSettings, "folds")] = _EVALUATION.folds,
    predictions: Annotated[
        bool, option(EvaluationSettings, "keep_predictions", "--predictions")
    ] = _EVALUATION.keep_predictions,
    seed: Annotated[int, option(EvaluationSettings, "seed")] = _EVALUATION.seed,
    plane: Annotated[Plane, option(EvaluationSettings, "plane")] = _EVALUATION.plane,
    quick: Quick = not _EVALUATION.align,
    device: Device = _RUN.device,
    scheduler: Scheduler = _RUN.scheduler,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the results in --out; finished cases are not run again."),
    ] = False,
) -> None:
    """Measure the network and simple baselines on scans with known labels.

    Writes cases.csv (a row per case, class and method), summary.json and a self-contained report.html.
    """
    with user_errors():
        settings = evaluation_settings(
            protocols=protocol,
            shots=shots,
            supports=supports,
            from_modality=from_modality,
            to_modality=to_modality,
            baselines=baselines,
            folds=folds,
            keep_predictions=predictions,
            seed=seed,
            plane=plane,
            align=not quick,
            device=device,
        )
        run_evaluation(cases, out, settings, weights=weights, resume=resume, scheduler=scheduler)


@app.command(name="pseudo-labels")
@home_paths
def pseudo_labels(
    data_root: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder of scans without labels: pictures (data/images/CT_001.png) and volumes.",
        ),
    ],
    workers: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Processes without --scheduler; 0 is one per core. Each holds one scan."
        ),
    ] = 0,
    scheduler: Scheduler = _RUN.scheduler,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist; without it they are kept.")
    ] = False,
) -> None:
    """Cut scans into regions that serve as classes when training without labels.

    Writes <name>_regions-<method>-<scale>_label files and masks of body and background beside each scan, as pictures
    for pictures, else as .nii.gz. What was stopped goes on where it was.
    """
    with user_errors():
        if run_pseudo_labels(data_root, workers=workers, overwrite=overwrite, scheduler=scheduler):
            raise typer.Exit(WRONG_INPUT)


app.command()(home_paths(train))


@app.command()
@home_paths
def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for pictures and label files.")] = Path(
        "cpclnet_demo"
    ),
    device: Device = _RUN.device,
    seed: Annotated[int, typer.Option(min=0, help="Which phantom patients to make.")] = 0,
    window: Annotated[
        bool | None,
        typer.Option(
            "--window/--no-window", help="Open the result in napari. Default: where there is a display."
        ),
    ] = None,
) -> None:
    """Label a phantom MR and PET from five painted slices of a phantom CT of another patient.

    Writes pictures and label files, prints Dice against the phantoms' own labels, and opens napari where there is a
    display. Files of an earlier demo in the same folder are replaced.
    """
    with user_errors():
        run_demo(out, device=device, seed=seed, window=window)


app.command()(check)
