"""Which DICOM series a folder holds: nested, mixed with other files, with or without suffixes and DICOMDIR."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.uid import UID

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.dicom_frames import KEYWORDS, Frame, Header, frames_of
from napari_cpclnet.imaging.dicom_geometry import stack_of
from napari_cpclnet.imaging.dicom_headers import code, is_dicom, is_image, plain, read_header, text
from napari_cpclnet.imaging.dicom_phases import Part, phases, stacks

NO_SERIES_ID = "no-series-id"
_LOCALISER_NAME = re.compile(r"locali[sz]er|scout|survey|pilot|topogram|surview|scanogram", re.IGNORECASE)
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
    damaged: list[Path] = []
    if isinstance(path, Path):
        files = walk(path) if path.is_dir() else iter([path])
    else:
        files, path = iter(path), Path(os.path.commonpath([file.parent for file in path]))
    for file in files:
        if not is_dicom(file):
            continue
        found = read_header(file, KEYWORDS)
        header = {} if found is None else plain(found)
        if is_image(header):
            _group_of(groups, header).frames.extend(frames_of(file, header))
        elif found is None or _should_be_image(header):
            damaged.append(file)
    series: list[SeriesInfo] = []
    localisers: list[SeriesInfo] = []
    skipped = _damaged(damaged)
    for uid, group in groups.items():
        parts, said = _without_copies(uid, _by_folder(path, uid, group))
        skipped.extend(said)
        for base, frames in parts:
            scans = [frame for frame in frames if not frame.is_localiser]
            overview = not scans or _is_called_localiser(group, frames)
            notes: tuple[str, ...] = ()
            if scans and len(scans) < len(frames):
                n = len(frames) - len(scans)
                notes = (f"{n} localiser slice{' was' if n == 1 else 's were'} left out.",)
            target = localisers if overview else series
            target.extend(_infos(base, group, frames if overview else scans, notes))
    if not series:
        return Listing(_sorted(localisers), (), tuple(skipped))
    return Listing(_sorted(series), _sorted(localisers), tuple(skipped))


def _should_be_image(header: Header) -> bool:
    """Whether a file calls itself an image, and ends before it says how large it is."""
    return "Image Storage" in UID(text(header, "MediaStorageSOPClassUID")).name and "Rows" not in header


def _damaged(files: list[Path]) -> list[str]:
    if not files:
        return []
    many = "1 DICOM file is" if len(files) == 1 else f"{len(files)} DICOM files are"
    return [f"{many} damaged and left out, such as {files[0]}."]


def walk(folder: Path) -> Iterator[Path]:
    """Files of a folder and its subfolders by name, without hidden ones; each folder once, however it is linked."""
    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        try:
            status = os.stat(place)
        except OSError:
            folders.clear()
            continue
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and (path := Path(place, name)).is_file():
                yield path


def _group_of(groups: dict[str, _Group], header: Header) -> _Group:
    uid = text(header, "SeriesInstanceUID") or NO_SERIES_ID
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
        groups[uid] = _Group(code(header, "Modality"), text(header, "SeriesDescription"), date)
    return groups[uid]


def _by_folder(root: Path, uid: str, group: _Group) -> list[Part]:
    """The series of one id: some exports spread one over folders, others write one id into several series."""
    folders: dict[Path, list[Frame]] = defaultdict(list)
    for frame in group.frames:
        folders[frame.path.parent].append(frame)
    places = [{(f.orientation, f.position, f.size) for f in frames} for frames in folders.values()]
    apart = uid == NO_SERIES_ID or len(set().union(*places)) < sum(map(len, places))
    if len(folders) == 1 or not apart:
        return [(uid, group.frames)]
    return [(f"{uid}@{folder.relative_to(root).as_posix()}", frames) for folder, frames in folders.items()]


def _without_copies(uid: str, parts: list[Part]) -> tuple[list[Part], list[str]]:
    """Leave out files that are there twice (SOPInstanceUID), and folders that are in other folders entirely."""
    kept: list[Part] = []
    known: list[set[tuple[str, int]]] = []
    copies: list[Path] = []
    for base, frames in sorted(parts, key=lambda part: len(part[1]), reverse=True):
        once: dict[tuple[str, int], Frame] = {}
        for number, frame in enumerate(frames):
            key = (frame.uid or f"no-uid-{len(known)}-{number}", frame.index)
            if key in once:
                copies.append(frame.path)
            else:
                once[key] = frame
        if any(set(once) <= other for other in known):
            copies.extend(frame.path for frame in once.values())
        else:
            known.append(set(once))
            kept.append((base, list(once.values())))
    files = dict.fromkeys(copies)
    if not files:
        return parts, []
    many = "1 file is a copy" if len(files) == 1 else f"{len(files)} files are copies"
    folders = ", ".join(sorted({str(path.parent) for path in files}))
    said = f"{many} of other slices of the same series and left out: in {folders}."
    return [(uid, kept[0][1])] if len(kept) == 1 else sorted(kept, key=lambda part: part[0]), [said]


def _is_called_localiser(group: _Group, frames: list[Frame]) -> bool:
    if len(frames) > LONGEST_LOCALISER or not _LOCALISER_NAME.search(group.description):
        return False
    return len(frames) <= 3 or len({f.orientation for f in frames}) > 1


def _infos(base: str, group: _Group, frames: list[Frame], notes: tuple[str, ...]) -> Iterator[SeriesInfo]:
    by_stack, left_out = stacks(frames)
    parts = [
        (", ".join(filter(None, (stack, phase))), members)
        for stack, of_stack in by_stack
        for phase, members in phases(of_stack)
    ]
    for number, (part, members) in enumerate(parts, start=1):
        uid = base if len(parts) == 1 else f"{base}#{number}"
        yield _info(uid, group, part, members, (*notes, *left_out))


def _info(uid: str, group: _Group, part: str, frames: list[Frame], notes: tuple[str, ...]) -> SeriesInfo:
    files = tuple(dict.fromkeys(frame.path for frame in frames))
    shape = spacing = None
    problem = ""
    try:
        stack = stack_of("", frames)
        shape, spacing = stack.geometry.shape, stack.geometry.spacing
        notes = (*notes, *stack.notes)
    except ImageError as error:
        problem = str(error).removeprefix(": ")
        problem = problem.removeprefix(f"{frames[0].path}: ")
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
