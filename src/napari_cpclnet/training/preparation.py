"""Preparation of training data before the first step: phantoms, and scans in the network's pixels."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import torch

from napari_cpclnet.episodes.phantom_dataset import generating_dataset, read_stack
from napari_cpclnet.episodes.prepared_labels import LabelledFile, open_labelled, prepare_labelled
from napari_cpclnet.episodes.prepared_scans import ScanFile, open_scan, prepare_scans
from napari_cpclnet.errors import ImageError, SettingsError
from napari_cpclnet.imaging import find_scans
from napari_cpclnet.imaging.labelled import labelled_cases
from napari_cpclnet.training.labelled import labelled_source, note_split, split
from napari_cpclnet.training.reports import PreparationReport
from napari_cpclnet.training.settings import TrainingSettings
from napari_cpclnet.training.sources import Source, phantom_source, scan_source, shape_source

PICTURES = "visualizations"
SCANS, LABELLED = "scans", "labelled"


@dataclass(frozen=True)
class Given:
    """Where a run finds what it learns from beside phantoms and shapes.

    Attributes
    ----------
    data_root : Path or None
        Folder of unlabelled scans.
    labels : Path or None
        Table of cases, or folder with ``images`` and ``masks``.
    """

    data_root: Path | None = None
    labels: Path | None = None


Preparation = Generator[PreparationReport, None, list[Source]]


def prepare_sources(
    settings: TrainingSettings, out: Path, given: Given, device: torch.device, going_on: bool
) -> Preparation:
    """Make what the run learns from, or find it in its folder.

    Returns
    -------
    list of Source

    Raises
    ------
    CpclnetError
        If there is nothing to learn from, or scans or settings cannot be used.
    """
    sources: list[Source] = []
    if settings.sources.phantoms > 0:
        count = settings.phantoms
        path = out / f"phantoms-{settings.seed}-{count}.safetensors"
        for done in generating_dataset(count, settings.seed, path):
            yield PreparationReport("Making phantoms", done, count)
        sources.append(phantom_source(read_stack(count, path), settings, device))
    if settings.sources.shapes > 0:
        sources.append(shape_source(settings, device))
    if settings.folds is not None and given.labels is None:
        raise SettingsError(
            "Folds are those of patients with labels: give labelled scans, or leave the fold out."
        )
    labelled, held_out = None, frozenset[Path]()
    if given.labels is not None and settings.sources.labels > 0:
        labelled, held_out = yield from _labelled(settings, out, given.labels, device, going_on)
    if given.data_root is not None and settings.sources.scans > 0:
        sources.append((yield from _scans(settings, out, given.data_root, held_out, device)))
    if labelled is not None:
        sources.append(labelled)  # the last one is shown in pictures
    if not sources:
        raise SettingsError(
            "There is nothing to learn from: give a folder of scans, labelled scans, or phantoms a weight above 0."
        )
    return sources


def consumed(preparation: Preparation) -> list[Source]:
    """What a preparation returns, without what it yields."""
    while True:
        try:
            next(preparation)
        except StopIteration as end:
            found: list[Source] = end.value
            return found


def _labelled(
    settings: TrainingSettings, out: Path, labels: Path, device: torch.device, going_on: bool
) -> Generator[PreparationReport, None, tuple[Source, frozenset[Path]]]:
    """Source of labelled scans, and the scans that nothing may be learned from."""
    parts = split(labelled_cases(labels), settings)
    note_split(parts, out, going_on)
    cases = parts.train if parts.of_one_patient else (*parts.train, *parts.held_out)
    found: dict[Path, LabelledFile] = {}
    problems: list[str] = []
    prepared = prepare_labelled(cases, out / LABELLED, settings.preprocessing)
    for done, (case, path, problem) in enumerate(prepared, 1):
        if path is None:
            problems.append(problem)
        else:
            found[case.image] = open_labelled(path, case)
        yield PreparationReport("Preparing labelled scans", done, len(cases), problem)
    if not found:
        raise ImageError(problems[0])
    train, held_out = (
        [found[case.image] for case in side if case.image in found] for side in (parts.train, parts.held_out)
    )
    return (
        labelled_source(parts, train, held_out, settings, device),
        frozenset(case.image.resolve() for case in parts.held_out),
    )


def _scans(
    settings: TrainingSettings, out: Path, data_root: Path, held_out: frozenset[Path], device: torch.device
) -> Generator[PreparationReport, None, Source]:
    """Source of unlabelled scans, those left out whose labels judge the run."""
    pictures = (out / PICTURES).resolve()  # our own are no scans, wherever the folder of the run lies
    refs = [
        one
        for one in find_scans(data_root)
        if not one.path.resolve().is_relative_to(pictures) and one.path.resolve() not in held_out
    ]
    if not refs:
        raise ImageError(f"{data_root}: holds no scan but those whose labels are for validation only.")
    found: list[ScanFile] = []
    problems: list[str] = []
    prepared = prepare_scans(refs, out / SCANS, settings.preprocessing)
    for done, (_, path_or_none, problem) in enumerate(prepared, 1):
        if path_or_none is None:
            problems.append(problem)
        else:
            found.append(open_scan(path_or_none))
        yield PreparationReport("Preparing scans", done, len(refs), problem)
    if not found:
        raise ImageError(problems[0])
    return scan_source(found, settings, device)
