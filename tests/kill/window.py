"""Kill the window while somebody paints, and open its project again."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CHILD = str(Path(__file__).with_name("window_child.py"))
# So long the first stroke may keep waiting, on a busy machine.
START_SECONDS = 120.0
# One save at least falls into it, by a pause or by the time strokes went on.
MOST_SECONDS = 11.0
MOST_CHANGES = 8


@dataclass(frozen=True)
class Loss:
    """What a kill cost: seconds from the first stroke that was lost, and how many strokes."""

    seconds: float
    strokes: int


def kill_window(folder: Path, rng: random.Random, *, saved: bool, kills: int) -> Iterator[Loss]:
    """Paint into one project, killed so many times and opened again after each.

    Fails if a stroke is missing before one that is there, if the project that was opened has other strokes than its
    files, or if a file is not whole.
    """
    shutil.rmtree(folder / "state", ignore_errors=True)
    shutil.rmtree(folder / "work", ignore_errors=True)
    project = folder / "work" if saved else None
    kept = -1  # nothing opened yet
    for number in range(kills + 1):
        log = folder / f"strokes_{number}.txt"
        log.unlink(missing_ok=True)
        process = _start(folder, project, log)
        try:
            _wait_for_stroke(process, log)
            place = project or _unsaved(folder)
            opened = int(log.read_text().split()[1])
            if opened != max(kept, 0):
                raise AssertionError(f"{place}: opened with {opened} strokes, but {kept} were in its files")
            if number < kills:
                _wait_for_moment(process, folder, rng)
        finally:
            process.kill()
            killed = time.time()
            process.wait()
        if number < kills:
            place = project or _unsaved(folder)
            kept = _strokes(place)
            if max(kept, 0) < opened:
                raise AssertionError(f"{place}: had {opened} strokes, and {kept} after the kill")
            yield _loss(log, kept, killed)


def _start(folder: Path, project: Path | None, log: Path) -> subprocess.Popen[bytes]:
    """A window that needs no display, and remembers its projects in the folder."""
    environment = {
        "CPCLNET_STATE_DIR": str(folder / "state"),
        "NAPARI_CONFIG": str(folder / "napari.yaml"),
        "QT_QPA_PLATFORM": "offscreen",
        "QT_LOGGING_RULES": "default.warning=false",
    }
    words = [sys.executable, CHILD, str(project or ""), str(log)]
    return subprocess.Popen(words, env={**os.environ, **environment})


def _wait_for_stroke(process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while not log.exists() or log.read_text().count("\n") < 2:
        if process.poll() is not None or time.monotonic() > until:
            raise AssertionError("the window did not begin to paint")
        time.sleep(0.02)


def _wait_for_moment(process: subprocess.Popen[bytes], folder: Path, rng: random.Random) -> None:
    """Some time, or until a number of files have come or gone, so that many kills fall into a save."""
    seconds = rng.uniform(0, MOST_SECONDS)
    changes = rng.randint(1, MOST_CHANGES) if rng.random() < 0.7 else None
    until = time.monotonic() + (seconds if changes is None else 2 * MOST_SECONDS)
    seen, before = 0, _listing(folder)
    while time.monotonic() < until and (changes is None or seen < changes):
        now = _listing(folder)
        seen, before = seen + (now != before), now
        time.sleep(0.001)
    assert process.poll() is None, "the window ended by itself"


def _listing(folder: Path) -> frozenset[tuple[str, int]]:
    from .run import listing

    return listing(folder / "work") | listing(folder / "state")


def _unsaved(folder: Path) -> Path | None:
    found = [one.parent for one in (folder / "state" / "unsaved").glob("*/project.json")]
    if len(found) > 1:
        raise AssertionError(f"one project became {len(found)}: {found}")
    return found[0] if found else None


def _strokes(project: Path | None) -> int:
    """Strokes in the files of a project; -1 if there is none yet."""
    from napari_cpclnet.imaging import read_segmentation
    from napari_cpclnet.project import locate, open_project, read_project

    if project is None or not (project / "project.json").is_file():
        return -1
    read = read_project(project)
    opened = open_project(read, project, locate(read, project))
    if opened.problems:
        raise AssertionError(f"{project}: {opened.problems}")
    if not read.supports:
        return 0
    (support,) = read.supports
    labels = read_segmentation(project / support.mask).labels
    found = np.flatnonzero(labels)
    count = len(found)
    width = labels.shape[1] * labels.shape[2]
    if count and (found[0] % width or found[-1] - found[0] != count - 1):
        raise AssertionError(f"{project}: strokes are missing before others")
    return count


def _loss(log: Path, kept: int, killed: float) -> Loss:
    lines = [line.split() for line in log.read_text().splitlines()[1:]]
    times = {int(number): float(at) for number, at in (line for line in lines if len(line) == 2)}
    lost = [at for number, at in times.items() if number >= max(kept, 0)]
    return Loss(killed - min(lost) if lost else 0.0, len(lost))
