"""How long filling a large scan takes, and how much memory.

    python benchmarks/speed/fill.py --out benchmarks/speed/fill.md

A made-up CT of 512 x 512 x 300 voxels with four organs, five painted slices: seconds by the clock and of computing, the
longest wait between two steps (a cancellation waits as long), and the memory above what the scan itself takes. Goal: at
most 2 s on two cores, and 0.5 GB.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.propagation import Propagation

SHAPE, SPACING = (300, 512, 512), (1.0, 0.75, 0.75)
ORGANS = (
    ((150, 220, 180), (100, 110, 110)),
    ((150, 250, 370), (60, 60, 50)),
    ((140, 330, 160), (60, 45, 45)),
    ((150, 300, 260), (140, 20, 20)),
)
PAINTED = (60, 100, 150, 200, 240)
REPETITIONS = 3


def scan() -> tuple[Volume, dict[int, np.ndarray]]:
    """The scan and its painted slices."""
    rng = np.random.default_rng(0)
    array = np.empty(SHAPE, np.int16)
    painted = {}
    y, x = np.ogrid[: SHAPE[1], : SHAPE[2]]
    for z in range(SHAPE[0]):
        labels = np.zeros(SHAPE[1:], np.uint8)
        for value, ((cz, cy, cx), (rz, ry, rx)) in enumerate(ORGANS, 1):
            labels[((z - cz) / rz) ** 2 + ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1] = value
        array[z] = rng.normal(40.0 * labels, 30)
        if z in PAINTED:
            painted[z] = labels
    return Volume(array, Geometry(SHAPE, SPACING), "CT", "HU", name="large"), painted


def memory() -> float:
    """Peak memory of this process, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def measure() -> tuple[float, float, float, float]:
    """Seconds, seconds of computing, longest step, MiB above the scan."""
    volume, painted = scan()
    before = memory()
    started, computing, last, longest = time.perf_counter(), time.process_time(), time.perf_counter(), 0.0
    run = Propagation(volume, painted, 0, {value: f"organ {value}" for value in range(1, len(ORGANS) + 1)})
    for _ in run.run():
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    run.result()
    return time.perf_counter() - started, time.process_time() - computing, longest, memory() - before


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(*measure())
        return
    # each in a process of its own: peaks of memory are those of a process
    command = [sys.executable, __file__, "--once"]
    runs = [
        [
            float(word)
            for word in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        ]
        for _ in range(REPETITIONS)
    ]
    commit = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=10"],
        check=False,
        capture_output=True,
        text=True,
    ).stdout.strip()
    lines = [
        "# Filling a large scan",
        "",
        f"512 x 512 x 300 voxels, four classes, five painted slices. Commit {commit}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f} at the end. Printed by `python benchmarks/speed/fill.py`.",
        "",
        "| run | seconds | seconds of computing | longest step (s) | MiB above the scan |",
        "|---|---|---|---|---|",
        *(f"| {n} | {a:.2f} | {b:.2f} | {c:.2f} | {d:.0f} |" for n, (a, b, c, d) in enumerate(runs, 1)),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
