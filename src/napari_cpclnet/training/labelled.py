"""Labelled scans as a source of a run: patients for training, and patients for validation only."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from napari_cpclnet.episodes.labelled_episodes import LabelledEpisodes
from napari_cpclnet.episodes.prepared_labels import LabelledFile
from napari_cpclnet.errors import ImageError, SettingsError
from napari_cpclnet.files.atomic import atomic_write
from napari_cpclnet.files.bounded import read_text
from napari_cpclnet.files.csv_cells import cell
from napari_cpclnet.imaging.cases import Case
from napari_cpclnet.imaging.labelled import held_out_fold
from napari_cpclnet.training.settings import TrainingSettings
from napari_cpclnet.training.sources import LOWER_PART, Source, validation_settings

FOLDS = "folds.csv"
_USUAL_FOLDS = 10
_COLUMNS = ("part", "patient", "image", "label")


@dataclass(frozen=True)
class Split:
    """Labelled scans of the patients that a run learns from, and of those that only judge it.

    Attributes
    ----------
    train, held_out : tuple of Case
        The same ones where there is one patient only: then the upper fifth of each scan is held out.
    fold : str
        "2/5"; empty where nobody asked for folds.
    """

    train: tuple[Case, ...]
    held_out: tuple[Case, ...]
    fold: str = ""

    @property
    def of_one_patient(self) -> bool:
        """Whether the same scans serve both, in other slices."""
        return self.train == self.held_out


def split(cases: tuple[Case, ...], settings: TrainingSettings) -> Split:
    """Split labelled scans by patient: a fold, or a tenth of the patients and at least one.

    Raises
    ------
    SettingsError
        If there are fewer patients than folds.
    """
    if settings.folds is not None:
        parts = held_out_fold(cases, settings.fold, settings.folds, settings.fold_seed)
        return Split(*parts, f"{settings.fold}/{settings.folds}")
    patients = len({case.patient for case in cases})
    if patients == 1:
        return Split(cases, cases)
    return Split(*held_out_fold(cases, 1, min(patients, _USUAL_FOLDS), settings.fold_seed))


def note_split(parts: Split, out: Path, going_on: bool) -> None:
    """Write which scans are held out to the folder of a run, or see that they are those that it began with.

    Raises
    ------
    SettingsError
        If a run goes on and the labelled scans are others now: what judged it might be learned from.
    OutputError
        If the file cannot be written.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    groups = {"training": parts.train, "validation": parts.held_out}
    if parts.of_one_patient:
        groups = {"training, and validation in the upper fifth of the slices": parts.train}
    for name, cases in groups.items():
        for case in cases:
            writer.writerow([name, *map(cell, (case.patient, str(case.image), str(case.label)))])
    path = out / FOLDS
    if going_on and path.is_file():
        try:
            same = read_text(path) == stream.getvalue()
        except (OSError, ValueError):
            same = False
        if not same:
            raise SettingsError(
                f"{path}: the labelled scans are not those that the run began with; bring them back or begin a new run."
            )
        return
    with atomic_write(path, "the table of folds") as temporary:
        temporary.write_text(stream.getvalue(), encoding="utf-8")


def labelled_source(
    parts: Split,
    train: Sequence[LabelledFile],
    held_out: Sequence[LabelledFile],
    settings: TrainingSettings,
    device: torch.device,
) -> Source:
    """Episodes of the scans that could be prepared.

    Raises
    ------
    ImageError
        If either side has no class on two slices.
    """
    low, high = ((0.0, LOWER_PART), (LOWER_PART, 1.0)) if parts.of_one_patient else ((0.0, 1.0), (0.0, 1.0))
    learned = LabelledEpisodes(train, settings.episodes, device, low)
    judged = LabelledEpisodes(held_out, validation_settings(settings.episodes), device, high, as_scanned=1.0)
    for episodes, what in ((learned, "to learn from"), (judged, "held out for validation")):
        if not episodes.classes:
            raise ImageError(
                f"The labelled scans are too few: those {what} show no class on two slices; add patients or labels."
            )
    patients, kept = (len({file.patient for file in files}) for files in (train, held_out))
    words = f"{len(train)} labelled scans of {patients} patients of the user"
    if parts.of_one_patient:
        words = (
            f"{len(train)} labelled scans of one patient of the user, their upper fifth for validation only"
        )
    else:
        fold = f" (fold {parts.fold})" if parts.fold else ""
        words += f"; {len(held_out)} of {kept} other patients{fold} for validation only"
    return Source("labels", learned, judged, settings.sources.labels, origin=words)
