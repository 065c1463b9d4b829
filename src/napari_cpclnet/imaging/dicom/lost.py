"""Unreadable files beside the slices of a DICOM series, which should be slices of it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Lost:
    """What could not be read on the way through a folder.

    Parameters
    ----------
    damaged
        DICOM files whose header is no image's any more, and why.
    shut
        Folders and links that cannot be opened, and why.
    no_dicom
        All other files: one that is named as the slices beside it was one.
    """

    damaged: dict[Path, str] = field(default_factory=dict)
    shut: dict[Path, str] = field(default_factory=dict)
    no_dicom: list[Path] = field(default_factory=list)

    def beside(self, slices: Sequence[Path]) -> dict[Path, str]:
        """Files that should be slices of the series of these files, and why they are none."""
        patterns: dict[Path, set[str]] = defaultdict(set)
        for path in slices:
            patterns[path.parent].add(_pattern(path))
        found = {path: why for path, why in self.damaged.items() if path.parent in patterns}
        for path in (*self.no_dicom, *self.shut):
            if _pattern(path) in patterns.get(path.parent, ()):
                found[path] = self.shut.get(path) or _why_no_dicom(path)
        return found

    def shut_note(self, beside: Container[Path]) -> tuple[str, ...]:
        """A sentence about folders and links that cannot be opened, but for those that are said as slices."""
        shut = {path: why for path, why in self.shut.items() if path not in beside}
        if not shut:
            return ()
        many = "1 folder or link" if len(shut) == 1 else f"{len(shut)} folders or links"
        return (f"{many} cannot be opened, and what lies there is left out: {named(shut)}.",)

    def sentences(self, series: Sequence[Sequence[Path]]) -> list[str]:
        """What is to be said of a folder with these series."""
        beside: dict[Path, str] = {}
        for files in series:
            beside |= self.beside(files)
        said = []
        if self.damaged:
            many = "1 DICOM file is" if len(self.damaged) == 1 else f"{len(self.damaged)} DICOM files are"
            said.append(f"{many} damaged and left out, such as {next(iter(self.damaged))}.")
        said += self.shut_note(beside)
        unreadable = {path: why for path, why in beside.items() if path not in self.damaged}
        if unreadable:
            many = "1 file is" if len(unreadable) == 1 else f"{len(unreadable)} files are"
            said.append(f"{many} named as the slices beside it and cannot be read: {named(unreadable)}.")
        return said


def gap_problem(lost: dict[Path, str]) -> str:
    """Why a series with gaps is not interpolated where files beside it cannot be read."""
    return (
        f"slices are missing, and files that should hold them cannot be read: {named(lost)}; export them again "
        "(without these files the gap is interpolated)."
    )


def lost_note(lost: dict[Path, str]) -> str:
    """A sentence for a series that has no gap."""
    many = "1 file" if len(lost) == 1 else f"{len(lost)} files"
    return f"{many} beside its slices cannot be read, so slices may be missing at its ends: {named(lost)}."


def named(files: dict[Path, str]) -> str:
    """The first of some files and why it cannot be read."""
    path, why = next(iter(files.items()))
    return f"{path} ({why})" if len(files) == 1 else f"such as {path} ({why})"


def _why_no_dicom(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return "no DICOM file" if stream.read(1) else "empty"
    except OSError as error:
        return error.strerror or "unknown reason"


def _pattern(path: Path) -> str:
    """File name with its numbers made alike."""
    return re.sub(r"\d+", "#", path.name.lower())
