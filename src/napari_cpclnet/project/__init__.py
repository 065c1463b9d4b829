"""A day's work in a folder: which scans, what was painted on them, which classes, what is to be labelled and how."""

from __future__ import annotations

from napari_cpclnet.project.fingerprint import Fingerprint, fingerprint
from napari_cpclnet.project.folder import (
    MASKS,
    PROJECT_FILE,
    RESULTS,
    SCANS,
    absolute_path,
    is_inside,
    is_project,
    output_folder,
    read_project,
    relative_path,
    write_project,
)
from napari_cpclnet.project.locating import LocatedScan, locate
from napari_cpclnet.project.opening import Opened, OpenedMask, OpenedScan, open_project
from napari_cpclnet.project.schema import (
    FOUND_BY,
    SCHEMA_VERSION,
    ClassEntry,
    Project,
    ProjectSettings,
    QueryEntry,
    ScanEntry,
    SummaryEntry,
    SupportEntry,
    WeightsEntry,
)

__all__ = [
    "FOUND_BY",
    "MASKS",
    "PROJECT_FILE",
    "RESULTS",
    "SCANS",
    "SCHEMA_VERSION",
    "ClassEntry",
    "Fingerprint",
    "LocatedScan",
    "Opened",
    "OpenedMask",
    "OpenedScan",
    "Project",
    "ProjectSettings",
    "QueryEntry",
    "ScanEntry",
    "SummaryEntry",
    "SupportEntry",
    "WeightsEntry",
    "absolute_path",
    "fingerprint",
    "is_inside",
    "is_project",
    "locate",
    "open_project",
    "output_folder",
    "read_project",
    "relative_path",
    "write_project",
]
