"""Duplicate files of a DICOM series."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from hashlib import blake2b
from pathlib import Path

from napari_cpclnet.imaging.dicom.frames import Frame
from napari_cpclnet.imaging.dicom.headers import read_dataset

Part = tuple[str, list[Frame]]


def without_copies(uid: str, parts: list[Part]) -> tuple[list[Part], tuple[str, ...]]:
    """Leave out files that are there twice, and folders that are in other folders entirely.

    A copy has SOPInstanceUID, place, all that tells phases apart and the pixels of another file: some anonymisers
    write one SOPInstanceUID into all slices.

    Parameters
    ----------
    uid
        Id of the series, for what is one part in the end.
    parts
        Id and frames of each folder.

    Returns
    -------
    list of (id, frames), tuple of str
        And what was left out, one sentence.
    """
    kept: list[Part] = []
    known: list[set[Hashable]] = []
    copies: list[Path] = []
    originals = _Originals()
    for base, frames in sorted(parts, key=lambda part: len(part[1]), reverse=True):
        once: dict[Hashable, Frame] = {}
        for frame in frames:
            key = originals.of(frame)
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
        return parts, ()
    many = "1 file is a copy" if len(files) == 1 else f"{len(files)} files are copies"
    folders = ", ".join(sorted({str(path.parent) for path in files}))
    said = f"{many} of other slices of the same series and left out: in {folders}."
    return [(uid, kept[0][1])] if len(kept) == 1 else sorted(kept, key=lambda part: part[0]), (said,)


def shared_uid_note(frames: Sequence[Frame]) -> tuple[str, ...]:
    """A sentence about slices of one SOPInstanceUID, which only what else their headers say tells apart."""
    times = Counter((frame.uid, frame.index) for frame in frames if frame.uid)
    shared = sum(n for n in times.values() if n > 1)
    if not shared:
        return ()
    return (
        f"{shared} slices do not have a SOPInstanceUID of their own (an anonymiser's mistake?): told apart by "
        "the rest of their headers.",
    )


class _Originals:
    """The frames seen so far, to tell whether another one is a copy."""

    def __init__(self) -> None:
        self._alike: dict[Hashable, list[Frame]] = defaultdict(list)
        self._digests: dict[Path, bytes] = {}

    def of(self, frame: Frame) -> Hashable:
        """Key that a frame has in common with its copies only."""
        traits = tuple(sorted(frame.traits.items()))
        key = (frame.uid, frame.index, frame.number, frame.position, frame.orientation, frame.size, traits)
        alike = self._alike[key]
        alike.append(frame)
        if len(alike) == 1:
            return key, 0
        # Pixels are only looked at where nothing else tells two frames apart.
        found = [self._digest(one.path) if frame.uid else None for one in (alike[0], frame)]
        if frame.uid and found[0] == found[1]:
            return key, 0
        return key, found[1] or len(alike)

    def _digest(self, path: Path) -> bytes:
        if path not in self._digests:
            self._digests[path] = blake2b(_pixels(path)).digest()
        return self._digests[path]


def _pixels(path: Path) -> bytes:
    """Pixels of a file as they are stored, or the whole file if they cannot be found."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bytes(read_dataset(path).PixelData)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  a damaged file can fail anywhere inside pydicom; reading it will tell
        return path.read_bytes()
