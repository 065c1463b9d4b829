"""Recent projects on this machine, and work that was not saved yet."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path

from napari_cpclnet.errors import OutputError
from napari_cpclnet.files.atomic import atomic_write
from napari_cpclnet.files.bounded import load_json, read_text

MOST_RECENT = 10
MOST_UNSAVED = 10
_PROJECT = "project.json"


def state_folder() -> Path:
    """Folder of this user for what is remembered; CPCLNET_STATE_DIR names another."""
    if folder := os.environ.get("CPCLNET_STATE_DIR"):
        return Path(folder)
    from platformdirs import user_state_path

    return user_state_path("napari-cpclnet", appauthor=False)


def recent_projects() -> list[Path]:
    """Folders of projects opened or saved of late that are still there, the last one first."""
    try:
        kept = load_json(read_text(state_folder() / "recent.json"))
        folders = [Path(one) for one in kept if isinstance(one, str)]
    except (OSError, ValueError, TypeError):
        return []
    return [folder for folder in folders if (folder / _PROJECT).is_file()]


def remember_project(folder: Path) -> None:
    """Put a folder at the head of the recent ones; that it cannot be remembered is no reason to stop."""
    folder = Path(os.path.abspath(folder))
    folders = [folder, *(one for one in recent_projects() if one != folder)][:MOST_RECENT]
    with (
        suppress(OutputError),
        atomic_write(state_folder() / "recent.json", "the recent projects") as temporary,
    ):
        temporary.write_text(json.dumps([str(one) for one in folders], indent=1), encoding="utf-8")


def new_unsaved() -> Path:
    """A folder for work that has none yet; made with the first file. The oldest such work is dropped."""
    for old in unsaved_work()[MOST_UNSAVED - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
    now = time.strftime("%Y-%m-%d %H-%M-%S")
    return _home() / f"{now} {os.getpid()}-{secrets.token_hex(2)}"


def unsaved_work() -> list[Path]:
    """Projects that were never saved to a folder of the user's, the last one first."""
    with suppress(OSError):
        return sorted((one for one in _home().iterdir() if (one / _PROJECT).is_file()), reverse=True)
    return []


def is_unsaved(folder: Path) -> bool:
    """Whether a folder is one of those of `new_unsaved`."""
    return folder.parent == _home()


def drop_unsaved(folder: Path) -> None:
    """Remove unsaved work that has been saved elsewhere since."""
    if is_unsaved(folder):
        shutil.rmtree(folder, ignore_errors=True)


def title(folder: Path) -> str:
    """What a project is called in menus."""
    if not is_unsaved(folder):
        return folder.name
    day, clock = folder.name.split(" ")[:2]
    return f"Unsaved work, {day} {clock[:5].replace('-', ':')}"


def _home() -> Path:
    return state_folder() / "unsaved"
