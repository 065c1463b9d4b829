"""The scans to label, open ones and files, and how far each is. No Qt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from napari.layers import Image

from napari_cpclnet.gui.layers.scan_layers import FileScan, refusal

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Modality, ScanRef

SAVE_SUFFIXES = {
    ".nii.gz": "NIfTI (.nii.gz)",
    ".seg.nrrd": "3D Slicer (.seg.nrrd)",
    ".nrrd": "NRRD (.nrrd)",
    ".mha": "MetaImage (.mha)",
    ".dcm": "DICOM segmentation (.dcm)",
    ".ome.zarr": "OME-Zarr (.ome.zarr)",
}
# Between the name of a scan and the suffix of its result.
RESULT = "_labels"


class QueryState(Enum):
    """How far a scan is in the last run it was part of."""

    IDLE = ""
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class QueryStatus:
    """State of one scan; ``text``: what went wrong, ``saved``: the file of its result."""

    state: QueryState = QueryState.IDLE
    text: str = ""
    saved: Path | None = None


QuerySource: TypeAlias = Image | FileScan


@dataclass(frozen=True)
class SaveTo:
    """Where results are written as they finish, and in which format; without a folder they are not written."""

    folder: Path | None = None
    suffix: str = ".nii.gz"


@dataclass
class Queries:
    """Files to label, which scans are ticked, and their states.

    ``suggested``: a folder for the results; ``outside``: the one that an opened project names outside its own folder,
    to be agreed to before anything is saved there.
    """

    files: list[FileScan] = field(default_factory=list)
    save_to: SaveTo = SaveTo()
    suggested: Path | None = None
    outside: Path | None = None
    _ticks: dict[QuerySource, bool] = field(default_factory=dict)
    _status: dict[QuerySource, QueryStatus] = field(default_factory=dict)

    def add_files(self, refs: Iterable[ScanRef]) -> list[FileScan]:
        """Put scans in files on the list, each once; returns the new ones."""
        new = [FileScan(ref) for ref in refs]
        new = [scan for scan in dict.fromkeys(new) if scan not in self.files]
        self.files.extend(new)
        return new

    def remove(self, source: QuerySource) -> None:
        """Forget a scan: take a file off the list, or what was said about a layer that is gone."""
        if source in self.files:
            self.files.remove(source)
        self._ticks.pop(source, None)
        self._status.pop(source, None)

    def meaning(self, scan: FileScan) -> tuple[Modality, str] | None:
        """Modality and unit of a file, if the user said them."""
        return next((one.meaning for one in self.files if one == scan), None)

    def say_meaning(self, scan: FileScan, meaning: tuple[Modality, str]) -> None:
        """Take a file for what the user says it is."""
        self.files = [replace(one, meaning=meaning) if one == scan else one for one in self.files]

    def tick(self, source: QuerySource, on: bool) -> None:
        """Remember the user's choice."""
        self._ticks[source] = on

    def is_ticked(self, source: QuerySource, *, is_support: bool = False) -> bool:
        """Whether a scan will be labelled: what the user said, else every usable one without painted slices."""
        if isinstance(source, Image) and refusal(source):
            return False
        return self._ticks.get(source, not is_support)

    def status(self, source: QuerySource) -> QueryStatus:
        """How far a scan is."""
        return self._status.get(source, QueryStatus())

    def set_status(
        self, source: QuerySource, state: QueryState, text: str = "", saved: Path | None = None
    ) -> None:
        """Remember how far a scan is."""
        self._status[source] = QueryStatus(state, text, saved)

    def paths(self, names: Iterable[str]) -> list[Path | None]:
        """File for the result of each scan; scans of one name get numbers."""
        folder, suffix = self.save_to.folder, self.save_to.suffix
        taken: set[str] = set()
        found: list[Path | None] = []
        for name in names:
            if folder is None:
                found.append(None)
                continue
            stem = plain = _file_name(name)
            number = 2
            while stem.lower() in taken:
                stem, number = f"{plain}_{number}", number + 1
            taken.add(stem.lower())
            found.append(folder / f"{stem}{RESULT}{suffix}")
        return found


def _file_name(name: str) -> str:
    """Name without what some file systems do not take."""
    return "".join("_" if c in '<>:"/\\|?*' or ord(c) < 32 else c for c in name).strip(" .") or "scan"
