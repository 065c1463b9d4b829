"""How long one `segment` takes alone, and how long when two or three run at once.

    python benchmarks/speed/contention.py --out benchmarks/speed/contention.md
    python benchmarks/speed/contention.py --repetitions 1 --at-once 1 3

Runs the command line on phantom scans of its own making: five painted slices of a CT, a query of MR. *Spinning* is how
it was before the package looked after threads: they spin while they wait, as torch's do by themselves, and compute with
one slice at a time. *As shipped* they sleep, and have several slices at once to compute with. Seconds are those of
whole commands, start and reading included; the machine should do nothing else. Goal: three at once take at most three
times as long as one alone, and one alone takes no longer than spinning.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from napari_cpclnet.imaging import write_segmentation, write_volume
from napari_cpclnet.model import load_weights
from napari_cpclnet.phantoms.demo import demo_scans
from napari_cpclnet.threads import usable_cores

WAYS = {"spinning": "active", "as shipped": None}
"""What is compared: the wait policy that a user would set, or none."""
SLICE_BY_SLICE = """
from napari_cpclnet.cli import main
from napari_cpclnet.segmentation import segmenter
segmenter.slices_at_once = lambda device, size: 1
main()
"""
SAID_BY_USERS = ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
PATIENCE = 600


def write_scans(folder: Path) -> list[str]:
    """Write a support and a query; returns the arguments that label the query, but for the folder of its results."""
    scans = demo_scans(0)
    query = next(scan.volume for scan in scans.queries if scan.volume.modality == "MR")
    image, mask, asked = (folder / f"{name}.nii.gz" for name in ("ct", "ct_painted", "mr"))
    write_volume(scans.support.volume, image)
    write_segmentation(scans.painted, mask)
    write_volume(query, asked)
    slices = ",".join(str(index) for index in scans.painted_slices)
    options = ["--support", image, mask, "--slices", slices, "--query", asked, "--device", "cpu"]
    # Quick: registration has more to wait for, and three with threads that spin would take a quarter of an hour.
    return ["segment", "--quick", *(str(option) for option in options)]


def seconds_at_once(arguments: Sequence[str], count: int, way: str, folder: Path) -> list[float]:
    """Seconds of each of `count` commands that start together."""
    policy = WAYS[way]
    program = ["-m", "napari_cpclnet"] if policy is None else ["-c", SLICE_BY_SLICE]
    environment = {name: value for name, value in os.environ.items() if name not in SAID_BY_USERS}
    if policy is not None:
        environment["OMP_WAIT_POLICY"] = policy
    begun = time.perf_counter()
    waiting = {}
    for number in range(count):
        out = folder / f"{policy}-{count}-{number}"
        process = subprocess.Popen(
            [sys.executable, *program, *arguments, "--out", str(out), "--overwrite"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        waiting[process] = out
    seconds = []
    try:
        while waiting:
            for process in [one for one in waiting if one.poll() is not None]:
                seconds.append(time.perf_counter() - begun)
                out = waiting.pop(process)
                if process.returncode or not (out / "mr_labels.nii.gz").is_file():
                    raise SystemExit(f"'segment' failed with status {process.returncode}.")
            if time.perf_counter() - begun > PATIENCE:
                raise SystemExit(f"{count} at once were not done after {PATIENCE} s.")
            time.sleep(0.02)
    finally:
        for process in waiting:
            process.kill()
    return seconds


def markdown(found: dict[tuple[str, int], list[list[float]]], load: str) -> str:
    """The table: medians over repetitions of the slowest of those that ran at once."""
    counts = sorted({count for _, count in found})
    slowest = {key: statistics.median(max(each) for each in runs) for key, runs in found.items()}
    repetitions = len(next(iter(found.values())))
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, commit {current_commit()}, weights {load_weights().metadata['hash']}, "
        f"{usable_cores()} cores, 1-minute load average at the start {load}. Written by `python "
        "benchmarks/speed/contention.py`; not edited by hand.",
        "",
        "Seconds of `segment --quick` until the slowest of those that ran at once was done, median of "
        f"{repetitions} (in brackets: times one alone).",
        "",
        f"| threads | {' | '.join(f'{count} at once' if count > 1 else 'alone' for count in counts)} |",
        f"|{' --- |' * (len(counts) + 1)}",
    ]
    for way in WAYS:
        cells = []
        for count in counts:
            seconds, alone = slowest[way, count], slowest.get((way, 1))
            ratio = f" ({seconds / alone:.2f})" if alone and count > 1 else ""
            cells.append(f"{seconds:.1f}{ratio}")
        lines.append(f"| {way} | {' | '.join(cells)} |")
    lines += ["", *goals(slowest)]
    return "\n".join(lines) + "\n"


def goals(slowest: dict[tuple[str, int], float]) -> list[str]:
    """What was to be shown, and whether it was; nothing of what was not measured."""

    def line(what: str, share: float, most: float) -> str:
        return f"- {what}: {share:.2f}, goal at most {most:g}: {'met' if share <= most else 'missed'}"

    shipped, spinning, three = (
        slowest.get(key) for key in (("as shipped", 1), ("spinning", 1), ("as shipped", 3))
    )
    found = []
    if shipped and three:
        found.append(line("three at once against one alone, as shipped", three / shipped, 3))
    if shipped and spinning:
        found.append(line("one alone, as shipped against spinning", shipped / spinning, 1))
    return found


def current_commit() -> str:
    """Short hash of the commit, marked where files differ from it."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 2, 3], metavar="N")
    parser.add_argument("--out", type=Path, help="file to write the table to, beside printing it")
    options = parser.parse_args(arguments)
    load = f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"
    print(f"1-minute load average: {load}", file=sys.stderr)
    found: dict[tuple[str, int], list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        segment = write_scans(folder)
        seconds_at_once(segment, 1, "as shipped", folder)  # the disk's cache is warm for all of them alike
        # in turn, so that a disturbance of some seconds hits all alike
        for _ in range(options.repetitions):
            for count in sorted(set(options.at_once)):
                for way in WAYS:
                    each = seconds_at_once(segment, count, way, folder)
                    found.setdefault((way, count), []).append(each)
                    shown = ", ".join(f"{one:.1f}" for one in each)
                    print(f"{count} at once, {way}: {shown} s", file=sys.stderr, flush=True)
    table = markdown(found, load)
    print(table, end="")
    if options.out:
        options.out.write_text(table, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
