"""DICOM series of a folder: nested, mixed with other files, with or without suffixes and DICOMDIR."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from pydicom.uid import UID

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.dicom.copies import shared_uid_note, without_copies
from napari_cpclnet.imaging.dicom.frames import KEYWORDS, Frame, Header, frames_of
from napari_cpclnet.imaging.dicom.geometry import stack_of
from napari_cpclnet.imaging.dicom.headers import code, is_dicom, is_image, plain, read_header, text
from napari_cpclnet.imaging.dicom.lost import Lost, gap_problem, lost_note
from napari_cpclnet.imaging.dicom.phases import Part, phases, stacks
from napari_cpclnet.imaging.dicom.scales import check_scales
from napari_cpclnet.imaging.walking import walk

NO_SERIES_ID = "no-series-id"
_LOCALISER_NAME = re.compile(r"locali[sz]er|scout|survey|pilot|topogram|surview|scanogram", re.IGNORECASE)
# Shorter parts of a name are found in words of any kind.
SHORTEST_NAME = 3
# A stack of more slices than this is a scan, whatever it is called.
LONGEST_LOCALISER = 60


@dataclass(frozen=True)
class SeriesInfo:
    """One series of DICOM images in a folder, or one phase or stack of it.

    Parameters
    ----------
    id
        SeriesInstanceUID; ``#2`` behind it is the second phase or stack of the series, ``@name`` the folder it lies
        in where several folders hold series of one id.
    modality
        DICOM modality as written in the files (``"CT"``, ``"MR"``, ``"PT"``, ...).
    description
        SeriesDescription, may be empty.
    n_files
        Number of files.
    files
        The files, by name.
    part
        Which phase or stack of the series it is, empty if it is all of it.
    n_slices
        Number of slices in the files.
    shape, spacing
        Of the volume, (z, y, x), in voxels and mm; None where there is a problem.
    date
        Day of the series as ``2024-12-31``, empty if it is missing. To be shown, never to be written to files.
    problem
        Why it cannot be opened, one sentence; empty if it can.
    notes
        What is repaired or assumed on opening, one sentence each.
    frames
        The slices.
    """

    id: str
    modality: str
    description: str
    n_files: int
    files: tuple[Path, ...]
    part: str = ""
    n_slices: int = 0
    shape: tuple[int, int, int] | None = None
    spacing: tuple[float, float, float] | None = None
    date: str = ""
    problem: str = ""
    notes: tuple[str, ...] = ()
    frames: tuple[Frame, ...] = field(default=(), repr=False, compare=False)

    @property
    def folder(self) -> Path:
        """Folder in which all files lie."""
        return Path(os.path.commonpath([path.parent for path in self.files]))

    @property
    def id_in_folder(self) -> str:
        """Id as seen from its own folder, without the name of that folder."""
        series, number, part = self.id.partition("#")
        return series.partition("@")[0] + number + part

    @property
    def name(self) -> str:
        """Description, or the name of the folder, with the number of the phase or stack."""
        return " ".join([self.description or self.folder.name, *self.part.partition(" of ")[:1]]).strip()

    @property
    def n_bytes(self) -> int:
        """Memory the volume takes, in float32."""
        return 0 if self.shape is None else 4 * self.shape[0] * self.shape[1] * self.shape[2]


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Parameters
    ----------
    series
        The scans, by description and id.
    localisers
        Overviews for planning, left out where there are scans.
    skipped
        What else was left out, one sentence each.
    """

    series: tuple[SeriesInfo, ...]
    localisers: tuple[SeriesInfo, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def left_out(self) -> tuple[str, ...]:
        """What was left out, the localisers too, one sentence each."""
        slices: dict[str, int] = defaultdict(int)
        for one in self.localisers:
            slices[", ".join(filter(None, (one.description, one.modality)))] += one.n_slices
        overviews = (
            f"Left out as a localiser: {name} ({n} slice{'s'[: n != 1]})."
            for name, n in sorted(slices.items())
        )
        return (*self.skipped, *overviews)


@dataclass
class _Group:
    """Files of one SeriesInstanceUID."""

    modality: str
    description: str
    date: str
    frames: list[Frame] = field(default_factory=list)


def list_series(folder: str | Path) -> list[SeriesInfo]:
    """Series of images in a folder and its subfolders, each phase and stack of a series for itself.

    Localisers are left out where there is anything else.

    Raises
    ------
    ImageError
        If the folder does not exist or holds no DICOM image.
    """
    path = Path(folder)
    if not path.is_dir():
        raise ImageError(f"{path}: is no folder.")
    found = survey(path).series
    if not found:
        raise ImageError(f"{path}: holds no DICOM images; choose the folder in which the slices lie.")
    return list(found)


def survey(path: Path | Sequence[Path]) -> Listing:
    """What a folder and its subfolders hold, or a file, or some files; nothing where there is no DICOM image."""
    groups: dict[str, _Group] = {}
    lost = Lost()
    if isinstance(path, Path):
        files = walk(path, lost.shut.__setitem__) if path.is_dir() else iter([path])
    else:
        files, path = iter(path), Path(os.path.commonpath([file.parent for file in path]))
    for file in files:
        if not is_dicom(file):
            lost.no_dicom.append(file)
            continue
        try:
            found = read_header(file, KEYWORDS)
        except ImageError as error:
            lost.damaged[file] = str(error).removeprefix(f"{file}: ").rstrip(".")
            continue
        header = {} if found is None else plain(found)
        if is_image(header):
            _group_of(groups, header).frames.extend(frames_of(file, header))
        elif found is None or _should_be_image(header):
            lost.damaged[file] = "damaged header"
    series: list[SeriesInfo] = []
    localisers: list[SeriesInfo] = []
    skipped: list[str] = []
    for uid, group in groups.items():
        parts, said = without_copies(uid, _by_folder(path, uid, group))
        skipped.extend(said)
        for base, frames in parts:
            scans = [frame for frame in frames if not frame.is_localiser]
            overview = not scans or _is_called_localiser(group, frames)
            notes = said
            if scans and len(scans) < len(frames):
                n = len(frames) - len(scans)
                notes = (*notes, f"{n} localiser slice{' was' if n == 1 else 's were'} left out.")
            target = localisers if overview else series
            target.extend(_infos(base, group, frames if overview else scans, notes, lost))
    skipped += lost.sentences([one.files for one in (*series, *localisers)])
    if not series:
        return Listing(_sorted(localisers), (), tuple(skipped))
    return Listing(_sorted(series), _sorted(localisers), tuple(skipped))


def _should_be_image(header: Header) -> bool:
    """Whether a file calls itself an image, and ends before it says how large it is."""
    return "Image Storage" in UID(text(header, "MediaStorageSOPClassUID")).name and "Rows" not in header


def _group_of(groups: dict[str, _Group], header: Header) -> _Group:
    uid = _quoted(text(header, "SeriesInstanceUID")) or NO_SERIES_ID
    if uid not in groups:
        day = next(
            (
                d
                for k in ("SeriesDate", "AcquisitionDate", "StudyDate")
                if re.fullmatch(r"\d{8}", d := text(header, k))
            ),
            "",
        )
        date = f"{day[:4]}-{day[4:6]}-{day[6:]}" if day else ""
        groups[uid] = _Group(code(header, "Modality"), _description(header), date)
    return groups[uid]


def _description(header: Header) -> str:
    """SeriesDescription without what it holds of the patient's name or number: results are named by it."""
    said = left = text(header, "SeriesDescription")
    identity = "^".join(text(header, keyword) for keyword in ("PatientName", "PatientID", "PatientBirthDate"))
    for word in re.split(r"[\W_]+", identity):
        if len(word) >= SHORTEST_NAME:
            # Of a whole word or number only, so that a Kim does not cut short a Kimura.
            more = r"\d" if word.isdecimal() else r"[^\W\d_]" if word.isalpha() else r"[^\W_]"
            left = re.sub(rf"(?<!{more}){re.escape(word)}(?!{more})[\W_]*", "", left, flags=re.IGNORECASE)
    return said if left == said else left.strip(" _-.,^")


def _quoted(name: str) -> str:
    """Part of an id without the characters that mean something in it or cannot be shown."""
    return "".join(
        quote(c, safe="", errors="replace") if c in "#@%" or not c.isprintable() else c for c in name
    )


def _by_folder(root: Path, uid: str, group: _Group) -> list[Part]:
    """The series of one id: some exports spread one over folders, others write one id into several series."""
    folders: dict[Path, list[Frame]] = defaultdict(list)
    for frame in group.frames:
        folders[frame.path.parent].append(frame)
    places = [{(f.orientation, f.position, f.size) for f in frames} for frames in folders.values()]
    apart = uid == NO_SERIES_ID or len(set().union(*places)) < sum(map(len, places))
    if len(folders) == 1 or not apart:
        return [(uid, group.frames)]
    return [
        (f"{uid}@{_quoted(folder.relative_to(root).as_posix())}", frames)
        for folder, frames in folders.items()
    ]


def _is_called_localiser(group: _Group, frames: list[Frame]) -> bool:
    if len(frames) > LONGEST_LOCALISER or not _LOCALISER_NAME.search(group.description):
        return False
    return len(frames) <= 3 or len({f.orientation for f in frames}) > 1


def _infos(
    base: str, group: _Group, frames: list[Frame], notes: tuple[str, ...], lost: Lost
) -> Iterator[SeriesInfo]:
    by_stack, left_out = stacks(frames)
    parts = [
        (", ".join(filter(None, (stack, phase))), members)
        for stack, of_stack in by_stack
        for phase, members in phases(of_stack, group.modality)
    ]
    for number, (part, members) in enumerate(parts, start=1):
        uid = base if len(parts) == 1 else f"{base}#{number}"
        yield _info(uid, group, part, members, (*notes, *left_out), lost)


def _info(
    uid: str, group: _Group, part: str, frames: list[Frame], notes: tuple[str, ...], lost: Lost
) -> SeriesInfo:
    files = tuple(dict.fromkeys(frame.path for frame in frames))
    beside = lost.beside(files)
    notes = (*notes, *shared_uid_note(frames), *lost.shut_note(beside))
    shape = spacing = None
    problem = ""
    try:
        stack = stack_of("", frames)
        check_scales("", frames, group.modality)
    except ImageError as error:
        problem = str(error).removeprefix(": ")
        problem = problem.removeprefix(f"{frames[0].path}: ")
    else:
        shape, spacing = stack.geometry.shape, stack.geometry.spacing
        if beside and stack.is_interpolated:
            problem = gap_problem(beside)
        elif beside:
            notes = (*notes, lost_note(beside))
        notes = (*notes, *stack.notes)
    return SeriesInfo(
        uid,
        group.modality,
        group.description,
        len(files),
        files,
        part,
        len(frames),
        shape,
        spacing,
        group.date,
        problem,
        notes,
        tuple(frames),
    )


def _sorted(found: list[SeriesInfo]) -> tuple[SeriesInfo, ...]:
    # Phases stay in their order: "#10" comes after "#9".
    return tuple(
        sorted(
            found,
            key=lambda one: (one.description, one.id.partition("#")[0], int(one.id.partition("#")[2] or 0)),
        )
    )
