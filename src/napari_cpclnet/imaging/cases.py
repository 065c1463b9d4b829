"""Table of cases: scans with labels, and what the label values mean.

Columns (CSV; separated by commas, semicolons or tabs) or keys (YAML, a list of mappings): ``patient, modality, image,
label, classes``, and ``side`` if wanted.
Paths are relative to the table. ``classes`` is ``6=liver;1=spleen`` (in YAML also a mapping); names join organs across
data sets. ``side`` is ``support`` or ``query`` for a patient who must serve as one of them only.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import yaml

from napari_cpclnet.errors import SettingsError
from napari_cpclnet.files.bounded import read_text, shown
from napari_cpclnet.files.yaml_text import NotYamlError, load_yaml
from napari_cpclnet.imaging.labels import read_segmentation
from napari_cpclnet.imaging.reading import read_volume
from napari_cpclnet.imaging.volume import MODALITIES, Modality, Segmentation, Volume

COLUMNS = ("patient", "modality", "image", "label", "classes")
OPTIONAL_COLUMNS = ("side",)
Side = Literal["both", "support", "query"]
_OTHER_NAMES: dict[str, Modality] = {"MRI": "MR", "PET": "PT", "OTHER": "other"}


@dataclass(frozen=True)
class Case:
    """A scan, its labels and what the label values mean.

    Parameters
    ----------
    patient : str
        Scans of one patient are never support and query of one another.
    modality : str
        "CT", "MR", "PT" or "other".
    image, label : Path
        Scan and label map, on one grid.
    classes : dict of int to str
        Label values and organ names; other values are background.
    line : int
        Line of the table, for messages.
    side : str
        "support" or "query" if it may serve as one of them only.
    """

    patient: str
    modality: Modality
    image: Path
    label: Path
    classes: dict[int, str]
    line: int = 0
    side: Side = "both"

    def value_of(self, organ: str) -> int:
        """Label value of an organ; KeyError if the case does not name it."""
        for value, name in self.classes.items():
            if name == organ:
                return value
        raise KeyError(organ)

    def read_image(self) -> Volume:
        """The scan."""
        return read_volume(self.image, modality=self.modality)

    def read_label(self, like: Volume | None = None) -> Segmentation:
        """The label map; GeometryError if it lies on another grid than `like`."""
        return read_segmentation(self.label, classes=self.classes, like=like, resample=False)


@dataclass(frozen=True, kw_only=True)
class OpenCase(Case):
    """A case whose scan and labels are in memory, on one grid; ``image`` and ``label`` only name them."""

    volume: Volume
    segmentation: Segmentation

    def read_image(self) -> Volume:
        """The scan."""
        return self.volume

    def read_label(self, like: Volume | None = None) -> Segmentation:
        """The label map."""
        return self.segmentation


def read_cases(path: str | Path) -> tuple[Case, ...]:
    """Read a table of cases: ``.csv``, ``.yaml`` or ``.yml``.

    Raises
    ------
    SettingsError
        If the table cannot be read, a column is unknown or missing, a value is empty or makes no sense, a file is
        missing, a scan is listed twice or under two patients, or a patient is to be both support and query. The
        sentence names the line.
    """
    path = Path(path)
    try:
        text = read_text(path, encoding="utf-8-sig")
    except FileNotFoundError:
        raise SettingsError(f"{path}: there is no such cases table.") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read as a cases table ({error}).") from error
    if path.suffix.lower() in (".yaml", ".yml"):
        rows = _yaml_rows(path, text)
    elif path.suffix.lower() == ".csv":
        rows = _csv_rows(path, text)
    else:
        raise SettingsError(f"{path}: a cases table is a .csv or .yaml file.")
    cases = tuple(_case(path, line, row) for line, row in rows)
    if not cases:
        raise SettingsError(f"{path}: the cases table is empty.")
    _check_together(path, cases)
    return cases


def check_labels(cases: Iterable[Case]) -> None:
    """Open every scan and label map once, before hours are spent.

    An organ may be missing in one scan; a label value that occurs in no label map that names it is a mistake.

    Raises
    ------
    SettingsError
        If a label value is unknown; the sentence names the line.
    CpclnetError
        If a file cannot be read, or a label map lies on another grid than its scan.
    """
    found: dict[tuple[int, str], bool] = {}
    first: dict[tuple[int, str], Case] = {}
    for case in cases:
        values = set(np.unique(case.read_label(like=case.read_image()).labels).tolist())
        for one in case.classes.items():
            first.setdefault(one, case)
            found[one] = found.get(one, False) or one[0] in values
    for (value, name), there in found.items():
        if not there:
            case = first[value, name]
            raise SettingsError(
                f"Line {case.line} of the cases table: label value {value} ({name}) is unknown; no label map that "
                f"names it holds it ({case.label})."
            )


def patient_folds(
    cases: Sequence[Case], folds: int, seed: int = 0
) -> Iterator[tuple[tuple[Case, ...], tuple[Case, ...]]]:
    """Patient-level splits for k-fold cross-validation.

    Every patient is held out once. Which patients share a fold is drawn from `seed`, kind by kind (set of modalities
    and organs), so that each fold has its share of every kind.

    Yields
    ------
    (rest, held_out) : tuple of tuple of Case
        What a model of this fold may learn from, and what it is judged on. No patient is in both.

    Raises
    ------
    ValueError
        If there are fewer patients than folds.
    """
    of_patient: dict[str, list[Case]] = {}
    for case in cases:
        of_patient.setdefault(case.patient, []).append(case)
    if not 2 <= folds <= len(of_patient):
        raise ValueError(f"{folds} folds of {len(of_patient)} patients")
    drawn = np.random.default_rng(seed).permutation(sorted(of_patient)).tolist()
    kinds = {p: sorted((c.modality, *c.classes.values()) for c in found) for p, found in of_patient.items()}
    order = sorted(drawn, key=lambda patient: kinds[patient])
    for fold in range(folds):
        out = set(order[fold::folds])
        rest = tuple(case for case in cases if case.patient not in out)
        yield rest, tuple(case for case in cases if case.patient in out)


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    separator = _separator(text)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True
    )
    hint = ", and several classes in quotes" if separator == ";" else ""
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_columns(f"{path}, line 1", header)
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(header):
                raise SettingsError(
                    f"{path}, line {reader.line_num}: has {len(row)} cells, the header {len(header)}; each row needs "
                    f"a cell for each column{hint}."
                )
            yield reader.line_num, {n: c.strip() for n, c in zip(header, row, strict=True)}
    except csv.Error as error:
        raise SettingsError(f"{path}, line {reader.line_num}: is no CSV ({error}).") from error


def _separator(text: str) -> str:
    """What separates the cells: a comma, or the semicolon or tab that spreadsheets write in some languages."""
    header = text.partition("\n")[0]
    return next((mark for mark in (",", ";", "\t") if mark in header), ",")


def _yaml_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        values, root = load_yaml(text)
    except NotYamlError as error:
        where = f"{path}, line {error.line}" if error.line else str(path)
        raise SettingsError(f"{where}: is no YAML ({error.problem}).") from error
    if root is None:
        return
    if not isinstance(values, list) or not isinstance(root, yaml.SequenceNode):
        raise SettingsError(f"{path}, line 1: a YAML cases table is a list of mappings.")
    for node, row in zip(root.value, values, strict=True):
        line = node.start_mark.line + 1
        if not isinstance(row, dict):
            raise SettingsError(f"{path}, line {line}: is no mapping of {', '.join(COLUMNS)}.")
        _check_columns(f"{path}, line {line}", [str(name) for name in row])
        yield line, {str(name): value for name, value in row.items()}


def _check_columns(where: str, names: Sequence[str]) -> None:
    known = (*COLUMNS, *OPTIONAL_COLUMNS)
    for name in names:
        if name not in known:
            raise SettingsError(
                f"{where}: unknown column '{shown(name)}'; known are {', '.join(known)}, separated by commas, "
                "semicolons or tabs."
            )
        if list(names).count(name) > 1:
            raise SettingsError(f"{where}: column '{name}' occurs twice.")
    for name in COLUMNS:
        if name not in names:
            raise SettingsError(f"{where}: column '{name}' is missing.")


def _case(path: Path, line: int, row: Mapping[str, Any]) -> Case:
    where = f"{path}, line {line}"
    words = {name: str(row[name]).strip() for name in ("patient", "modality", "image", "label")}
    for name, word in words.items():
        if not word or row[name] is None:
            raise SettingsError(f"{where}: {name} is empty.")
    upper = words["modality"].upper()
    modality = _OTHER_NAMES.get(upper, upper)
    if modality not in MODALITIES:
        raise SettingsError(
            f"{where}: modality '{shown(words['modality'])}' is none of {', '.join(MODALITIES)}."
        )
    files = {name: _file(path, where, name, words[name]) for name in ("image", "label")}
    side = str(row.get("side") or "both").strip()
    if side not in ("both", "support", "query"):
        raise SettingsError(f"{where}: side '{shown(side)}' is none of support, query, both.")
    return Case(
        patient=words["patient"],
        modality=modality,
        image=files["image"],
        label=files["label"],
        classes=_classes(where, row["classes"]),
        line=line,
        side=cast(Side, side),
    )


def _file(table: Path, where: str, name: str, word: str) -> Path:
    """Path that a cell names, relative to the table."""
    try:
        file = (table.parent / word).resolve()
        there = file.exists()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a zero byte, links in a circle
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"{where}: {name} '{shown(word)}' is no path ({reason}).") from error
    if not there:
        raise SettingsError(f"{where}: {name} {file} does not exist.")
    return file


def _classes(where: str, given: Any) -> dict[int, str]:
    """Label values and names from ``6=liver;1=spleen`` or a mapping."""
    if isinstance(given, Mapping):
        pairs = [(str(value), str(name)) for value, name in given.items()]
    else:
        parts = [part for part in str(given or "").split(";") if part.strip()]
        pairs = [(value, name) for value, _, name in (part.partition("=") for part in parts)]
    classes: dict[int, str] = {}
    for value, name in ((value.strip(), name.strip()) for value, name in pairs):
        if not value.isdecimal() or int(value) == 0 or not name:
            raise SettingsError(
                f"{where}: classes must look like 6=liver;1=spleen, not '{shown(f'{value}={name}')}'."
            )
        if int(value) in classes or name in classes.values():
            raise SettingsError(f"{where}: classes name {shown(f'{value}={name}')} twice.")
        classes[int(value)] = name
    if not classes:
        raise SettingsError(f"{where}: classes is empty; write for example 6=liver;1=spleen.")
    return classes


def _check_together(path: Path, cases: Sequence[Case]) -> None:
    """One scan, one row; one patient, one side."""
    scans: dict[Path, Case] = {}
    sides: dict[str, Case] = {}
    for case in cases:
        where = f"{path}, line {case.line}"
        before = scans.setdefault(case.image, case)
        if before is not case:
            raise SettingsError(
                f"{where}: {case.image} is listed in line {before.line} already"
                + (f", as patient {before.patient}." if before.patient != case.patient else ".")
            )
        if case.image == case.label:
            raise SettingsError(f"{where}: image and label are the same file.")
        if case.side == "both":
            continue
        other = sides.setdefault(case.patient, case)
        if other.side != case.side:
            raise SettingsError(
                f"{where}: patient {case.patient} is on both sides: {case.side} here, {other.side} in "
                f"line {other.line}."
            )
