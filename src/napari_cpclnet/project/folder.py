"""The folder of a project: ``project.json``, and beside it masks, results, and scans that have no file elsewhere."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from napari_cpclnet.errors import ProjectError
from napari_cpclnet.project.migration import migrated
from napari_cpclnet.project.schema import Project
from napari_cpclnet.whole_file import whole_file

PROJECT_FILE, MASKS, RESULTS, SCANS = "project.json", "masks", "results", "scans"


def is_project(folder: Path) -> bool:
    """Whether a folder is that of a project."""
    return (folder / PROJECT_FILE).is_file()


def read_project(folder: Path) -> Project:
    """Read a project of any version.

    Raises
    ------
    ProjectError
        If there is none, or it is damaged or of a newer version.
    """
    file = folder / PROJECT_FILE
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ProjectError(f"{folder}: is no project: it holds no {PROJECT_FILE}.") from error
    except OSError as error:
        raise ProjectError(f"{file}: cannot be opened ({error.strerror or error}).") from error
    except (ValueError, RecursionError) as error:
        raise ProjectError(f"{file}: is damaged: it is no JSON.") from error
    if not isinstance(content, dict):
        raise ProjectError(f"{file}: is no project of this program.")
    try:
        return Project.model_validate_json(json.dumps(migrated(content, folder)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "its entries"
        said = first["msg"].removeprefix("Value error, ")
        raise ProjectError(f"{file}: is damaged: {where}: {said}.") from error


def write_project(folder: Path, project: Project) -> None:
    """Write ``project.json``, whole or not at all; what it refers to must be there already.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with whole_file(folder / PROJECT_FILE, "the project") as temporary:
        temporary.write_text(project.model_dump_json(indent=1) + "\n", encoding="utf-8")


def relative_path(path: Path, folder: Path) -> str:
    """Path as a project keeps it: from its folder where there is a way, with / between the parts."""
    there = Path(os.path.abspath(path))
    try:
        return PurePosixPath(*Path(os.path.relpath(there, os.path.abspath(folder))).parts).as_posix()
    except ValueError:  # another drive
        return there.as_posix()


def absolute_path(kept: str, folder: Path) -> Path:
    """Where a path that a project keeps leads."""
    return Path(os.path.abspath(folder / kept))
