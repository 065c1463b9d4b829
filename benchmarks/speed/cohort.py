"""What 1,000 scans cost: some phantoms labelled by a cluster on this machine, and by one process, and extrapolated.

    python benchmarks/speed/cohort.py --out benchmarks/speed/cohort.md
    python benchmarks/speed/cohort.py --size 32x256 --scans 2 --only quick

Runs `segment` as a user would, with and without `--scheduler local`, on phantom CTs of 512 x 512 x 100 voxels with four
classes and five painted slices: seconds by the clock, computing of all processes together, and whether each scan has
the same labels both ways. Scans are independent of each other, so hours on more cores are computing divided by the
cores; that is reckoned, not measured.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from stages import ORGANS, scan

from napari_cpclnet.imaging import Segmentation, read_segmentation, write_segmentation, write_volume
from napari_cpclnet.threads import usable_cores

CLASSES, SHOTS = 4, 5
CORES = (2, 16, 64, 512)


def make(folder: Path, size: str, count: int) -> list[str]:
    """Write a support and so many queries; returns the options of `segment` for them."""
    slices, side = (int(n) for n in size.split("x"))
    volume, labels = scan(1, slices, side)
    labels[labels > CLASSES] = 0
    shown = np.flatnonzero(labels.any((1, 2)))
    painted = np.unique(np.linspace(shown[0], shown[-1], SHOTS + 2).astype(int)[1:-1])
    image, mask = (
        write_volume(volume, folder / "support.nii.gz"),
        write_segmentation(
            Segmentation(labels, dict(enumerate(ORGANS[:CLASSES], 1)), volume.geometry, "support"),
            folder / "support_labels.nii.gz",
        ),
    )
    (folder / "queries").mkdir()
    for number in range(count):  # one that was seen before would cost less
        write_volume(scan(2 + number, slices, side)[0], folder / "queries" / f"scan_{number}.nii.gz")
    listed = ",".join(map(str, painted))
    return ["--support", str(image), str(mask), "--slices", listed, "--query", str(folder / "queries")]


def measure(words: list[str], out: Path) -> tuple[float, float]:
    """Seconds by the clock and of computing of a command and all that it starts."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "napari_cpclnet",
        "segment",
        *words,
        "--device",
        "cpu",
        "--out",
        str(out),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    computing = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, computing


def same(one: Path, other: Path) -> str:
    """Whether two folders hold the same labels; else the least Dice of any two."""
    worst = 1.0
    for path in sorted(one.glob("*_labels.nii.gz")):
        a, b = (read_segmentation(folder / path.name).labels for folder in (one, other))
        both = 2 * np.count_nonzero((a == b) & (a > 0)) / max(1, np.count_nonzero(a) + np.count_nonzero(b))
        worst = min(worst, float(both))
    return "yes" if worst == 1.0 else f"Dice {worst:.4f} at the least"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="100x512", help="slices x pixels a side")
    parser.add_argument("--scans", type=int, default=4)
    parser.add_argument("--only", choices=["quick", "thorough"], help="of the two ways to label")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    commit = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=10"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    lines = [
        "# What 1,000 scans cost",
        "",
        f"Printed by `python benchmarks/speed/cohort.py`; commit {commit}, {usable_cores()} cores, load "
        f"{os.getloadavg()[0]:.1f} at the start. {options.scans} phantom CTs of {options.size} (slices x pixels a "
        f"side), {CLASSES} classes, {SHOTS} painted slices. Start of the command and of its workers is included.",
        "",
        "| | by | seconds | computing a scan, s | core-hours for 1,000 | "
        + " | ".join(f"hours on {cores} cores" for cores in CORES)
        + " | same labels |",
        "|---" * (6 + len(CORES)) + "|",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = make(folder, options.size, options.scans)
        for how in ("quick", "thorough"):
            if options.only not in (None, how):
                continue
            quick = ["--quick"] if how == "quick" else []
            for by, more in (("one process", []), ("cluster of all cores", ["--scheduler", "local"])):
                out = folder / f"{how} {by}"
                seconds, computing = measure([*words, *quick, *more], out)
                hours = 1000 * computing / options.scans / 3600
                each = " | ".join(f"{hours / cores:.2f}" for cores in CORES)
                alike = same(folder / f"{how} one process", out) if more else ""
                one = computing / options.scans
                lines.append(f"| {how} | {by} | {seconds:.0f} | {one:.1f} | {hours:.1f} | {each} | {alike} |")
                print(lines[-1], file=sys.stderr, flush=True)
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
