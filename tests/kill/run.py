"""Kill commands at random moments and see that the next call completes: ``python -m tests.kill.run --kills 30``.

``segment``, ``evaluate`` and ``train`` work on volumes of a few voxels with a network of a few thousand weights. Each
is killed (SIGKILL, no chance to tidy up) one to three times, at a random time or when a random number of files have
come or gone, then called again until its end. After each kill every file under its own name must be whole; at the end
all must be as if nothing had happened, and nothing else be left. ``window`` paints into a project that is saved by
itself, is killed and opens it again, over and over. A table of what was lost is printed at the end.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import multiprocessing
import os
import random
import runpy
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import yaml
from safetensors import safe_open
from safetensors.torch import save_file
from tests.cli.test_segment import mask, save, scan
from tests.cli.test_train import SETTINGS
from tests.evaluation.doubles import Table

from .window import Loss, kill_window

CHILD = str(Path(__file__).with_name("child.py"))
LIBRARIES = [
    "napari_cpclnet.evaluation.report.page",
    "napari_cpclnet.evaluation.report.pictures",
    "napari_cpclnet.training.run",
    "napari_cpclnet.cli",
    "SimpleITK",
]

COMMANDS = ["segment", "evaluate", "train", "window"]
# Of one project, before another is begun.
WINDOW_KILLS = 5
CHANGING = ("seconds", "peak_mb")
"""Columns of tables that differ from run to run."""


@dataclass(frozen=True)
class Command:
    """A command, how it is called first and again, and the folder it writes to."""

    name: str
    first: list[str]
    again: list[str]
    out: Path


def commands(folder: Path) -> list[Command]:
    """The three commands with their inputs, which are written to a folder."""
    weights = write_weights(folder / "random.safetensors")
    common = ["--weights", str(weights), "--device", "cpu"]
    image, label = save(folder / "ct.nii.gz", scan(1)), save(folder / "ct_label.nii.gz", mask())
    queries = [str(save(folder / f"query_{n}.nii.gz", scan(n, (5, 36, 44)))) for n in range(3)]
    segment = [
        "segment",
        "--support",
        str(image),
        str(label),
        "--query",
        *queries,
        "--probabilities",
        "--quick",
    ]
    table = Table(folder / "cases").add("ann").add("bob", "MR", seed=1).add("cid", seed=2).write()
    evaluate = [
        "evaluate",
        "--cases",
        str(table),
        "--shots",
        "1",
        "--baselines",
        "copy",
        "--predictions",
        "--quick",
    ]
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**SETTINGS, "steps": 6}))
    train = ["train", "--phantoms", "--device", "cpu"]
    outs = {name: folder / name for name in ("segment", "evaluate", "train")}
    return [
        Command("segment", segment + common, segment + common, outs["segment"]),
        Command("evaluate", evaluate + common, [*evaluate, *common, "--resume"], outs["evaluate"]),
        Command(
            "train",
            [*train, "--settings", str(folder / "tiny.yaml")],
            [*train, "--settings", str(folder / "tiny.yaml"), "--resume"],
            outs["train"],
        ),
    ]


def write_weights(path: Path) -> Path:
    """A network of random weights."""
    import torch

    from napari_cpclnet.model import CPCLNet, CPCLNetSettings, save_weights
    from napari_cpclnet.preprocessing import PreprocessingSettings

    torch.manual_seed(0)
    model = CPCLNet(CPCLNetSettings(channels=16, skip_channels=8, latent_channels=8, blocks=1))
    save_weights(model, path, {"preprocessing": PreprocessingSettings().model_dump()})
    return path


def prepare(command: Command, phantoms: Path) -> None:
    """An output folder as it is before the first call; training finds its phantoms made."""
    shutil.rmtree(command.out, ignore_errors=True)
    if command.name == "train":
        command.out.mkdir()
        shutil.copy(phantoms, command.out / phantoms.name)


def start(command: Command, words: list[str]) -> BaseProcess:
    """Start a command in a process of its own, forked from one that has the libraries in memory already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    given = {"words": [*words, "--out", str(command.out)], "said": str(said(command))}
    process = context.Process(target=runpy.run_path, args=(CHILD,), kwargs={"init_globals": given})
    process.start()
    return process


def said(command: Command) -> Path:
    """What the last call of a command printed."""
    return command.out.with_name(f"{command.name}.txt")


def finish(command: Command, words: list[str]) -> None:
    """Run a command to its end; results that are finished already are no failure."""
    process = start(command, words)
    process.join(600)
    text = said(command).read_text()
    kept = all("exists already" in line for line in text.splitlines() if line.startswith("Error"))
    if "Traceback" in text or process.exitcode not in (0, 2) or (process.exitcode == 2 and not kept):
        raise AssertionError(f"{command.name} ended with {process.exitcode}: {text}")


def listing(folder: Path) -> frozenset[tuple[str, int]]:
    """Files of a folder with their sizes, as they are at this moment."""
    found = set()
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            try:
                found.add((str(path), path.stat().st_size))
            except OSError:
                continue
    return frozenset(found)


def kill(command: Command, words: list[str], moment: float | int) -> bool:
    """Start a command and kill it: after so many seconds, or changes in its folder; False if it ended before."""
    process = start(command, words)
    begun, before = time.monotonic(), listing(command.out)
    changes = 0
    while process.is_alive():
        now = listing(command.out)
        changes += now != before
        before = now
        due = changes >= moment if isinstance(moment, int) else time.monotonic() - begun >= moment
        if due:
            process.kill()
            break
        time.sleep(0.001)
    process.join()
    return process.exitcode == -signal.SIGKILL


def content(folder: Path) -> dict[str, object]:
    """What the files of a folder hold, but for what differs from run to run; fails at one that is not whole."""
    return {
        path.relative_to(folder).as_posix(): _content(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and ".cpclnet-" not in str(path)
    }


def _content(path: Path) -> object:
    from napari_cpclnet.imaging import read_volume

    if path.name.endswith(".nii.gz"):
        return read_volume(path).array.tobytes()
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return [
                {k: v for k, v in row.items() if k not in CHANGING}
                for row in csv.DictReader(file, strict=True)
            ]
    if path.suffix == ".safetensors":
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name).tobytes() for name in file.keys()}
    if path.suffix in (".png", ".yaml"):
        return path.read_bytes()
    if path.suffix == ".html":
        text = path.read_text()
        assert text.rstrip().endswith("</html>"), f"{path} is not whole"
        return path.name
    if path.suffix == ".json":
        import json

        json.loads(path.read_text())
        return path.name
    raise AssertionError(f"nobody knows {path}")


def leftovers(folder: Path) -> list[str]:
    """Hidden files and folders."""
    return [str(path) for path in folder.rglob(".*")]


def make_phantoms(path: Path) -> Path:
    """The phantoms of the training run, coarse ones."""
    import torch

    from napari_cpclnet.phantoms.phantom import make_phantom
    from napari_cpclnet.phantoms.settings import PhantomSettings

    coarse = PhantomSettings(shape=(52, 64, 72), spacing=(8.0, 6.0, 6.0))
    made = [make_phantom(np.random.default_rng((3, i)), coarse) for i in range(4)]
    arrays = {
        "labels": torch.from_numpy(np.stack([m.labels for m in made])),
        "levels": torch.from_numpy(np.stack([m.level for m in made])),
        "parts": torch.zeros(4, dtype=torch.int64),
    }
    save_file(arrays, path)
    return path


@dataclass(frozen=True)
class Round:
    """Kills of a command until it completed: how many, whole files that were there then, what painting cost."""

    name: str
    kills: int
    files: int = 0
    losses: tuple[Loss, ...] = ()


def rounds(kills: int, seed: int, names: list[str], say: Callable[[str], None]) -> Iterator[Round]:
    """Kill and complete until each command was killed so often."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="cpclnet-kill-") as place:
        folder = Path(place)
        phantoms = make_phantoms(folder / "phantoms-1-4.safetensors")
        chosen = [command for command in commands(folder) if command.name in names]
        whole, lasts, changes = {}, {}, {}
        for command in chosen:
            prepare(command, phantoms)
            begun = time.monotonic()
            finish(command, command.first)
            lasts[command.name] = time.monotonic() - begun
            whole[command.name] = content(command.out)
            changes[command.name] = len(whole[command.name])
            say(f"{command.name}: {lasts[command.name]:.1f} s, {len(whole[command.name])} files")
        left = dict.fromkeys(names, kills)
        for turn in itertools.count():
            if "window" in names and left["window"] > 0:
                mine = min(left["window"], WINDOW_KILLS)
                losses = tuple(kill_window(folder, rng, saved=turn % 2 == 0, kills=mine))
                left["window"] -= mine
                yield Round("window", mine, losses=losses)
            open_ones = [one for one in chosen if left[one.name] > 0]
            if not open_ones:
                if any(number > 0 for number in left.values()):
                    continue
                return
            command = open_ones[turn % len(open_ones)]
            prepare(command, phantoms)
            mine = files = 0
            for _ in range(rng.randint(1, 3)):
                by_time = rng.random() < 0.3
                moment: float | int = (
                    rng.uniform(0, lasts[command.name]) if by_time else rng.randint(1, changes[command.name])
                )
                if kill(command, command.again if mine else command.first, moment):
                    mine += 1
                    files += len(content(command.out))  # nothing is half-written
            finish(command, command.again)
            found = content(command.out)
            expected = whole[command.name]
            differ = [name for name in {*found, *expected} if found.get(name) != expected.get(name)]
            if differ or leftovers(command.out):
                raise AssertionError(
                    f"{command.name}: other than a whole run: {differ} {leftovers(command.out)}"
                )
            left[command.name] -= mine
            yield Round(command.name, mine, files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10, help="of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=COMMANDS)
    options = parser.parse_args()
    done: list[Round] = []
    try:
        for one in rounds(options.kills, options.seed, options.commands, print):
            done.append(one)
            print(f"{one.name} completed after {one.kills} kills", flush=True)
    except KeyboardInterrupt:
        print("Interrupted; until then:")
    print("\n".join(table(done)))


def table(done: list[Round]) -> list[str]:
    """Lines of a table of what was killed, what was there then, and what was lost."""
    lines = ["| killed | kills | whole files found after them | lost |", "|---|---|---|---|"]
    for name in dict.fromkeys(one.name for one in done):
        mine = [one for one in done if one.name == name]
        files, lost = str(sum(one.files for one in mine)), "nothing that was finished"
        if losses := [loss for one in mine for loss in one.losses]:
            seconds = sorted(loss.seconds for loss in losses)
            files = "every project opened again"
            lost = (
                f"painting of {seconds[len(seconds) // 2]:.1f} s in the median, {seconds[-1]:.1f} s at most"
            )
        lines.append(f"| {name} | {sum(one.kills for one in mine)} | {files} | {lost} |")
    return lines


if __name__ == "__main__":
    main()
