"""Labelled scans to train on: a table of cases, or the layout ``data/images``, ``data/masks``."""

from __future__ import annotations

import re
from pathlib import Path

from napari_cpclnet.errors import SettingsError
from napari_cpclnet.imaging.cases import Case, patient_folds, read_cases
from napari_cpclnet.imaging.modality import PREFIX, name_hint
from napari_cpclnet.imaging.reading import plain_name
from napari_cpclnet.imaging.scans import seed_pairs

MASKS = "masks"
_PARTS = re.compile(r"[_\-. ]+")


def labelled_cases(path: Path) -> tuple[Case, ...]:
    """Cases of a table, or of a folder in the layout ``images/CT_001.png``, ``masks/CT_001.png``.

    In the layout a mask is complete: what other masks show and it does not is not in its scan. Its cases name no
    classes (``classes`` is empty), label values are classes. The patient is told from the name, see `patient_of`.

    Parameters
    ----------
    path : Path
        The table; the folder that holds ``images`` and ``masks``, or that folder of masks.

    Raises
    ------
    SettingsError
        If the table cannot be used, see :func:`~napari_cpclnet.imaging.cases.read_cases`.
    ImageError
        If the folder has not that layout, or no image has a mask.
    """
    if not path.is_dir():
        return read_cases(path)
    root = path.resolve().parent if path.name.lower() == MASKS and not (path / "images").is_dir() else path
    found = []
    for image, mask in seed_pairs(root):
        name = plain_name(image)
        modality = name_hint(name, prefix_only=True)
        found.append(Case(patient_of(name), modality, image.resolve(), mask.resolve(), {}))
    return tuple(found)


def patient_of(name: str) -> str:
    """Patient that a file name tells: ``001`` of ``CT_001``, ``MRI_001`` and ``CT_001_slice12``.

    The modality before it is no part of it, nor is what follows a first part with a digit. Taking two patients for one
    costs a little variety; taking one for two would let a run be judged by a patient it has learned from.
    """
    rest = PREFIX.sub("", name, count=1).strip("_-. ") or name
    parts = _PARTS.split(rest)
    numbered = next((i for i, part in enumerate(parts) if any(c.isdigit() for c in part)), len(parts) - 1)
    return "_".join(parts[: numbered + 1])


def held_out_fold(
    cases: tuple[Case, ...], fold: int, folds: int, seed: int
) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """Cases to learn from and cases to be judged by: fold `fold` (from 1) of `folds`, all scans of a patient in one.

    Raises
    ------
    SettingsError
        If there are fewer patients than folds.
    """
    patients = len({case.patient for case in cases})
    if folds > patients:
        raise SettingsError(
            f"{folds} folds need {folds} patients, and the labelled scans are of {patients}; ask for fewer folds."
        )
    return list(patient_folds(cases, folds, seed))[fold - 1]
