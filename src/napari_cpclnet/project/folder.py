"""Folder of a project: ``project.json``, and beside it masks, results, and scans that have no file elsewhere."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from napari_cpclnet.errors import ProjectError
from napari_cpclnet.files.atomic import atomic_write
from napari_cpclnet.files.bounded import BoundsError, load_json, read_text, shown
from napari_cpclnet.project.migration import migrated
from napari_cpclnet.project.schema import Project

PROJECT_FILE, MASKS, RESULTS, SCANS = "project.json", "masks", "results", "scans"


def is_project(folder: Path) -> bool:
    """Whether a folder is that of a project."""
    return (folder / PROJECT_FILE).is_file()


def read_project(folder: Path) -> Project:
    """Read a project of any version.

    Raises
    ------
    ProjectError
        If there is none, it is damaged or of a newer version, or one of its folders is a link that leaves it.
    """
    file = folder / PROJECT_FILE
    try:
        content = load_json(read_text(file))
    except FileNotFoundError as error:
        raise ProjectError(f"{folder}: is no project: it holds no {PROJECT_FILE}.") from error
    except OSError as error:
        raise ProjectError(f"{file}: cannot be opened ({error.strerror or error}).") from error
    except BoundsError as error:
        raise ProjectError(f"{file}: is damaged: {error}.") from error
    except ValueError as error:
        raise ProjectError(f"{file}: is damaged: it is no JSON.") from error
    if not isinstance(content, dict):
        raise ProjectError(f"{file}: is no project of this program.")
    try:
        project = Project.model_validate_json(json.dumps(migrated(content, folder)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(shown(part) for part in first["loc"]) or "its entries"
        said = first["msg"].removeprefix("Value error, ")
        raise ProjectError(f"{file}: is damaged: {where}: {shown(said, 200)}.") from error
    _check_links(project, folder)
    return project


def output_folder(project: Project, folder: Path) -> Path:
    """Where results are written without a window: the folder that was chosen, else that of the project's results."""
    chosen = project.settings.output
    return folder / RESULTS if chosen is None else absolute_path(chosen, folder)


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path lies in a folder, wherever links on the way lead."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _check_links(project: Project, folder: Path) -> None:
    """Nothing is written through links that leave the folder: whoever made the project may have made them."""
    files = [one.mask for one in project.supports] + [one.result for one in project.queries if one.result]
    for kept in dict.fromkeys([*(f"{name}/" for name in (MASKS, RESULTS, SCANS)), *files]):
        place = folder / kept.rpartition("/")[0]
        if not is_inside(place, folder):
            raise ProjectError(
                f"{place}: is a link that leaves the project's folder; put the folder it leads to in its place."
            )


def write_project(folder: Path, project: Project) -> None:
    """Write ``project.json``, whole or not at all; what it refers to must be there already.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with atomic_write(folder / PROJECT_FILE, "the project") as temporary:
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
