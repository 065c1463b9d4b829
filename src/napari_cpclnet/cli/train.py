"""``napari-cpclnet train``: settings in, reports out, a bar and a line for every validation."""

from __future__ import annotations

import math
import shlex
import signal
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_cpclnet.cli.errors import INTERRUPTED, user_errors
from napari_cpclnet.cli.options import Device, option
from napari_cpclnet.cli.outputs import check_folder
from napari_cpclnet.errors import OutputError, SettingsError
from napari_cpclnet.model.settings import CPCLNetSettings, EncoderName
from napari_cpclnet.training.settings import TrainingSettings
from napari_cpclnet.training.settings_file import CHECKPOINT, SETTINGS, read_settings, validated
from napari_cpclnet.worker_process import end_with_parent

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from napari_cpclnet.training import EpochReport, StepReport, TrainingReport, TrainingSettings


@dataclass(frozen=True)
class TrainJob:
    """Everything ``train`` was asked for, as parsed."""

    data_root: Path | None
    phantoms: bool
    out: Path
    resume: bool
    settings: Path | None
    steps: int | None
    start: str | None
    device: str
    devices: int = 1
    nodes: int = 1
    labels: Path | None = None
    fold: str | None = None
    encoder: EncoderName | None = None


def train(
    data_root: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of scans without labels to learn from: volumes, DICOM folders, and pictures "
            "(data/images/CT_001.png), in subfolders too.",
        ),
    ] = None,
    phantoms: Annotated[
        bool,
        typer.Option("--phantoms", help="Learn from phantoms, made on the fly; with --data-root from both."),
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE|DIR",
            help="Labelled scans to learn from: the cases table of `evaluate`, or a folder with images/CT_001.png and "
            "masks/CT_001.png (volumes, too). A tenth of the patients is for validation only.",
        ),
    ] = None,
    fold: Annotated[
        str | None,
        typer.Option(
            metavar="K/N",
            help="Of the patients with labels, cut into N folds, keep fold K (from 1) for validation only.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the run: weights, log, pictures, checkpoint.")
    ] = Path("outputs"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out; the other options are remembered.")
    ] = False,
    settings: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML or JSON with settings that differ from the defaults."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Length of the run, instead of that in the settings."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(metavar="FILE|bundled", help="Weights to begin with. Default: random ones."),
    ] = None,
    encoder: Annotated[EncoderName | None, option(CPCLNetSettings, "encoder")] = None,
    device: Device = "auto",
    devices: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="CUDA devices, or processes on the CPU, that train together, each on its own batches.",
        ),
    ] = 1,
    nodes: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Machines that train together, with --devices each: run the command on all of them, with the same "
            "MASTER_ADDR and MASTER_PORT (of the first) and the number of each, from 0, in NODE_RANK.",
        ),
    ] = 1,
) -> None:
    """Train the network on phantoms, on your own scans without labels, on labels that you have, or on all of them.

    Writes models/best_model.safetensors, training_log.csv and pictures of held-out episodes. Ctrl-C stops after the
    step in work; --resume goes on to the same weights.
    """
    with user_errors():
        job = TrainJob(
            data_root,
            phantoms,
            out,
            resume,
            settings,
            steps,
            start,
            device,
            devices,
            nodes,
            labels,
            fold,
            encoder,
        )
        if not run_train(job):
            raise typer.Exit(INTERRUPTED)


def run_train(job: TrainJob) -> bool:
    """Train until the end or until Ctrl-C, which stops after the step in work.

    Returns
    -------
    bool
        Whether the run came to its end.

    Raises
    ------
    CpclnetError
        If settings, data, weights, device or folder cannot be used.
    """
    from napari_cpclnet.model import bundled_weights
    from napari_cpclnet.training.fabric import is_first_process
    from napari_cpclnet.training.run import train

    check_folder(job.out)
    check_apart(job)
    going_on = job.resume and (job.out / CHECKPOINT).is_file()
    if not going_on and not job.phantoms and job.data_root is None and job.labels is None:
        if job.resume:
            raise SettingsError(
                f"{job.out}: holds no run to go on with; --phantoms, --data-root DIR or --labels TABLE begins one."
            )
        raise SettingsError(
            "Give --data-root DIR to learn from scans, --labels TABLE, --phantoms, or several."
        )
    if job.fold is not None and job.labels is None and not going_on:
        raise SettingsError("--fold needs --labels: folds are those of patients whose scans have labels.")
    if job.encoder is not None and job.start is not None:
        raise SettingsError("--encoder is for random weights: those of --start have their own encoder.")
    reports = train(
        chosen_settings(job, going_on),
        job.out,
        data_root=job.data_root,
        labels=job.labels,
        resume=job.resume,
        device=job.device,
        devices=job.devices,
        nodes=job.nodes,
        start=bundled_weights()
        if job.start == "bundled"
        else Path(job.start).expanduser()
        if job.start
        else None,
    )
    if (job.devices > 1 or job.nodes > 1) and not is_first_process():
        return _follow(reports)
    with _stop_on_ctrl_c() as stopping, _progress() as progress:
        _Screen(progress).show(reports, stopping)
    if stopping:
        again = shlex.join(["napari-cpclnet", "train", "--resume", "--out", str(job.out)])
        if (job.out / CHECKPOINT).is_file():
            typer.echo(f"Stopped; the checkpoint is {job.out / CHECKPOINT}. Go on with: {again}", err=True)
        else:
            typer.echo("Stopped before the first step; there is nothing to go on from.", err=True)
        return False
    typer.echo(f"Weights: {job.out / 'models' / 'best_model.safetensors'}")
    return True


def check_apart(job: TrainJob) -> None:
    """Refuse to write what is read: settings and first weights that lie where the run writes its own.

    Raises
    ------
    OutputError
        The sentence says what to do.
    """
    if job.settings is not None and job.settings.resolve() == (job.out / SETTINGS).resolve():
        raise OutputError(
            f"{job.settings}: is written by this command; leave --settings out to go on with that run, or copy the "
            "file elsewhere."
        )
    if job.start in (None, "bundled"):
        return
    start = Path(job.start).expanduser().resolve()
    models = (job.out / "models").resolve()
    if start.parent == models or start == (job.out / CHECKPOINT).resolve():
        raise OutputError(f"{job.start}: would be replaced by this command; choose another --out.")


def _follow(reports: Generator[TrainingReport, None, None]) -> bool:
    """Train along in a further process of several devices: the first one shows, writes and decides when to stop."""
    from napari_cpclnet.training.fabric import local_rank

    if local_rank():  # else it was started by the user, on another machine than the first
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        end_with_parent()
    try:
        for _ in reports:
            pass
    except RuntimeError:  # the first process is gone, and says why
        raise typer.Exit(1) from None
    return True


def chosen_settings(job: TrainJob, going_on: bool) -> TrainingSettings | None:
    """Settings of the file with those of the command line; None where a run goes on as it was begun.

    ``--steps`` keeps the proportions of the recipe: what the file does not say of the steps at the start shrinks with
    it. Without ``--phantoms``, scans are the only source.

    Raises
    ------
    SettingsError
        If a setting or a value does not exist.
    """
    changes: dict[str, object] = chosen_fold(job.fold)
    if going_on and job.settings is None and job.steps is None and job.encoder is None and not changes:
        return None
    saved = job.out / SETTINGS
    if going_on and job.settings is None and saved.is_file():
        longer = {} if job.steps is None else {"steps": job.steps}
        kept = read_settings(saved)
        return validated(kept.model_dump() | longer | changes | chosen_encoder(job, kept), "--steps")
    settings = read_settings(job.settings) if job.settings else TrainingSettings()
    if job.steps is not None:
        chosen = settings.model_fields_set - {"steps"}
        changes |= {name: n for name, n in settings.shortened(job.steps).items() if name not in chosen}
    scans = job.data_root is not None or job.labels is not None
    if scans and not job.phantoms and "sources" not in settings.model_fields_set:
        changes["sources"] = {"phantoms": 0.0}
    # the fields that were set stay known: weights to begin with override only what was not asked for
    given = {
        name: value for name, value in settings.model_dump().items() if name in settings.model_fields_set
    }
    return validated(given | changes | chosen_encoder(job, settings), "--steps")


def chosen_encoder(job: TrainJob, settings: TrainingSettings) -> dict[str, object]:
    """Settings that ``--encoder`` means beside those of the network; none where it was not given."""
    if job.encoder is None:
        return {}
    return {"network": settings.network.model_dump() | {"encoder": job.encoder}}


def chosen_fold(asked: str | None) -> dict[str, object]:
    """Settings that ``--fold K/N`` means; none where it was not given.

    Raises
    ------
    SettingsError
        If it is no fold.
    """
    if asked is None:
        return {}
    fold, _, folds = asked.partition("/")
    if not (fold.isdecimal() and folds.isdecimal() and 1 <= int(fold) <= int(folds) and int(folds) >= 2):
        raise SettingsError(f"--fold {asked}: is no fold; write for example 1/5 for the first of five.")
    return {"fold": int(fold), "folds": int(folds)}


class _Screen:
    """Reports as a bar on a terminal, and as lines everywhere."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._task: TaskID | None = None
        self._what = ""

    def show(self, reports: Generator[TrainingReport, None, None], stopping: list[int]) -> None:
        """Consume the reports until their end, or until somebody wants to stop."""
        from napari_cpclnet.training import EpochReport, PreparationReport

        with closing(reports):
            for report in reports:
                if isinstance(report, PreparationReport):
                    self._bar(report.what, report.done, report.total)
                    if report.problem:
                        self.progress.console.print(
                            f"Left out: {report.problem}", markup=False, highlight=False, soft_wrap=True
                        )
                elif isinstance(report, EpochReport):
                    self.progress.console.print(_line(report), markup=False, highlight=False, soft_wrap=True)
                else:
                    self._bar("Training", report.step, report.total, _now(report))
                if stopping:
                    return

    def _bar(self, what: str, done: int, total: int | None, words: str = "") -> None:
        if self._task is None or what != self._what:
            if self._task is not None:
                self.progress.remove_task(self._task)
            self._task, self._what = self.progress.add_task(what, total=total, now=""), what
        self.progress.update(self._task, completed=done, now=words)


def _now(report: StepReport) -> str:
    dice = "" if math.isnan(report.dice) else f"  Dice {report.dice:.2f}"
    return f"loss {report.losses['total']:.3f}{dice}"


def _line(report: EpochReport) -> str:
    dice = "" if math.isnan(report.dice) else f", Dice {report.dice:.3f}"
    held_out = report.validation["dice"]
    return (
        f"Step {report.step}: loss {report.losses['total']:.3f}{dice}, held-out Dice {held_out:.3f}, "
        f"{_left(report.seconds_left)}, {report.picture}"
    )


def _left(seconds: float) -> str:
    return "estimating…" if math.isnan(seconds) else f"{_duration(seconds)} left"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on stderr for one task after the other; its lines go to stdout."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[now]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress


@contextmanager
def _stop_on_ctrl_c() -> Iterator[list[int]]:
    """A list that is empty until Ctrl-C; the second Ctrl-C interrupts at once."""
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        typer.echo("Stopping after this step; once more stops at once.", err=True)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
