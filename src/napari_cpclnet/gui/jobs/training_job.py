"""One training run as the panel asks for it, and what its worker reports. No Qt."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cpclnet.errors import OutputError, SettingsError
from napari_cpclnet.gui.jobs.device_status import Ready, device_words
from napari_cpclnet.gui.jobs.scan_reading import RunStopped, Stage, reading_scan
from napari_cpclnet.gui.jobs.segment_job import ScanFailed, user_message
from napari_cpclnet.imaging import write_volume
from napari_cpclnet.training import TrainingSettings, read_settings
from napari_cpclnet.training.reports import EpochReport, PreparationReport, StepReport
from napari_cpclnet.training.settings_file import CHECKPOINT, SETTINGS, validated

if TYPE_CHECKING:
    from napari_cpclnet.gui.layers.scan_layers import LayerScan
    from napari_cpclnet.model import EncoderName
    from napari_cpclnet.training import TrainingSettings

logger = logging.getLogger(__name__)

OPEN_SCANS = "open_scans"
BUNDLED = "bundled"

# How soon a run that waits notices that it need not wait any more.
LOOK_SECONDS = 0.1

TrainFunction = Callable[..., Generator[Any, None, None]]


def train_for_real(*args: Any, **kwargs: Any) -> Generator[Any, None, None]:
    """`napari_cpclnet.training.train`, imported when it is needed."""
    from napari_cpclnet.training import train

    return train(*args, **kwargs)


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """Everything of one run.

    Parameters
    ----------
    out
        Folder of the run; a run that it holds is gone on with, from its own sources.
    steps, validate_every
        Steps of the whole run, and between validations.
    phantoms, scans
        What to learn from: phantoms; a folder of scans, open ones (they are copied into ``out``), or none.
    labels
        Labelled scans to learn from, too: a table of cases, or a folder with ``images`` and ``masks``.
    fold
        Which fold of their patients is for validation only, and of how many: (1, 5); None for a tenth of the patients.
    start
        Weights file to begin with, ``"bundled"``, or None for random weights.
    encoder
        Of a network that begins with random weights; None for the default.
    foreground
        While it holds anything, the run waits between two steps; the same set as the session's.
    cancelled, paused
        May be set from any thread and are looked at after each step.
    """

    out: Path
    steps: int
    validate_every: int
    phantoms: bool = True
    scans: Path | tuple[LayerScan, ...] | None = None
    labels: Path | None = None
    fold: tuple[int, int] | None = None
    start: Path | str | None = BUNDLED
    encoder: EncoderName | None = None
    device: str = "auto"
    foreground: set[str] = field(default_factory=set)
    cancelled: threading.Event = field(default_factory=threading.Event)
    paused: threading.Event = field(default_factory=threading.Event)

    @property
    def checkpoint(self) -> Path:
        """What a stopped run goes on from."""
        return self.out / CHECKPOINT

    def settings(self) -> TrainingSettings:
        """The same for the training room (imports torch): those of the run in ``out``, or new ones."""
        asked: dict[str, Any] = {"steps": self.steps, "validate_every": self.validate_every}
        saved = self.out / SETTINGS
        if self.checkpoint.is_file() and saved.is_file():
            return validated(read_settings(saved).model_dump() | asked, str(saved))
        asked |= TrainingSettings().shortened(self.steps)
        asked["sources"] = {"phantoms": float(self.phantoms), "scans": float(self.scans is not None)}
        if self.encoder is not None:
            asked["network"] = {"encoder": self.encoder}
        if self.labels is not None and self.fold is not None:
            asked["fold"], asked["folds"] = self.fold
        return validated(asked, "Train")


@dataclass(frozen=True)
class Waiting:
    """The run makes no steps just now; comes again and again until it does."""

    why: str


@dataclass(frozen=True)
class Stopped:
    """The run stopped because it was asked to; ``kept``: it can be gone on with."""

    kept: bool


@dataclass(frozen=True)
class Trained:
    """The run came to its end after ``steps`` steps of this session (0: there was nothing left to do)."""

    steps: int
    seconds: float


TrainingReport = (
    Stage | Ready | PreparationReport | StepReport | EpochReport | Waiting | Stopped | Trained | ScanFailed
)


def run_training(job: TrainingJob, train: TrainFunction) -> Generator[TrainingReport, None, None]:
    """Train. Consumed in a worker thread; never raises: a user error becomes its sentence.

    Closing it keeps the checkpoint, as stopping does.
    """
    running = _run(job, train)
    try:
        while True:
            try:
                report = next(running, None)
            except Exception as error:  # noqa: BLE001 - the panel must hear of everything
                report = ScanFailed(None, user_message(error))
            if report is None:
                return
            yield report
    finally:
        try:
            running.close()
        except Exception:
            logger.exception("the checkpoint of a training run could not be written when napari closed")


def _run(job: TrainingJob, train: TrainFunction) -> Generator[TrainingReport, None, None]:
    started = time.perf_counter()
    yield Stage("Loading the network…")
    from napari_cpclnet.model import bundled_weights, choose_device

    going_on = job.checkpoint.is_file()
    yield Ready(device_words(str(choose_device(job.device))), _begins_with(job, going_on))
    settings = job.settings()
    data_root = None if going_on else (yield from _data_root(job))
    start = bundled_weights() if job.start == BUNDLED else job.start
    steps = 0
    running = train(
        settings,
        job.out,
        data_root=data_root,
        labels=None if going_on else job.labels,
        resume=True,
        device=job.device,
        start=None if going_on else start,
    )
    with closing(running):
        while not job.cancelled.is_set() and (report := next(running, None)) is not None:
            steps += isinstance(report, StepReport)
            yield report
            yield from _wait(job)
    if job.cancelled.is_set():
        yield Stopped(job.checkpoint.is_file())
    else:
        yield Trained(steps, time.perf_counter() - started)


def _wait(job: TrainingJob) -> Iterator[Waiting]:
    """Reports for as long as the run shall make no step, so that whoever stops listening ends it meanwhile."""
    while not job.cancelled.is_set():
        others = tuple(job.foreground)
        if job.paused.is_set():
            yield Waiting("paused")
        elif others:
            yield Waiting(f"waiting for {' and '.join(sorted(others))}")
        else:
            return
        job.cancelled.wait(LOOK_SECONDS)


def _data_root(job: TrainingJob) -> Generator[TrainingReport, None, Path | None]:
    """Folder of the scans to learn from; open ones are copied into the folder of the run."""
    if job.scans is None or isinstance(job.scans, Path):
        return job.scans
    folder = job.out / OPEN_SCANS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for earlier in folder.glob("[0-9][0-9][0-9]_*.nii.gz"):  # of a run that never made a step
            earlier.unlink()
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}).") from error
    for number, scan in enumerate(job.scans, 1):
        yield Stage(f"Copying {scan.name}…")
        if job.cancelled.is_set():
            break
        if not scan.calibrated:
            raise SettingsError(f"'{scan.name}' has no physical size: train on the folder it comes from.")
        try:
            volume = yield from reading_scan(scan, job.cancelled.is_set)
        except RunStopped:
            break
        # The modality is told from the name where the values do not tell; nothing names the patient.
        kind = "scan" if volume.modality == "other" else volume.modality.lower()
        write_volume(volume, folder / f"{number:03d}_{kind}.nii.gz")
    return folder


def _begins_with(job: TrainingJob, going_on: bool) -> str:
    if going_on:
        return "its own weights"
    if job.start is None:
        return "from random weights"
    return "from bundled weights" if job.start == BUNDLED else f"from {Path(job.start).name}"
