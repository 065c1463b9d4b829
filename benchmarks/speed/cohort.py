"""What a thousand scans cost: core-hours measured here, and what follows for clusters.

    python benchmarks/speed/cohort.py --out benchmarks/speed/cohort.md

`napari-cpclnet segment` labels some phantom CTs from five painted slices of another one, four organs, in its own
process and with ``--scheduler local``. What is counted is the computing of all its processes, which depends little on
who else uses the machine, and of it what each further scan takes. Hours on clusters are that divided by their cores:
scans are independent, and one core labels one scan.
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
from stages import ORGANS, commit, scan

from napari_cpclnet.cluster import pack_segmenter
from napari_cpclnet.imaging import Segmentation, write_segmentation, write_volume
from napari_cpclnet.model import load_weights, weights_hash
from napari_cpclnet.model.weights import bundled_weights
from napari_cpclnet.segmentation import SegmentationSettings, SupportSet

CORES = (2, 16, 64, 512)
CLASSES = 4


def computing(folder: Path, count: int, *more: str) -> float:
    """Seconds of computing of the command and all it starts, for so many scans."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    queries = [str(folder / f"query_{number}.nii.gz") for number in range(count)]
    words = ["--support", str(folder / "support.nii.gz"), str(folder / "painted.nii.gz"), "--query", *queries]
    words += ["--out", str(folder / "out"), "--overwrite", "--device", "cpu", *more]
    subprocess.run(
        [sys.executable, "-m", "napari_cpclnet", "segment", *words],
        check=True,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    parser.add_argument("--slices", type=int, default=100)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--scans", type=int, default=3)
    options = parser.parse_args()
    lines = [
        "# What a thousand scans cost",
        "",
        f"Printed by `python benchmarks/speed/cohort.py`; {time.strftime('%Y-%m-%d')}, commit {commit()}, weights "
        f"{weights_hash(bundled_weights())}. {options.scans} phantom CTs of {options.side} x {options.side} x "
        f"{options.slices} voxels, {CLASSES} classes; seconds of computing on cores of this machine.",
        "",
        "| | first scan, with starting | each further scan | core-hours for 1,000 | "
        f"{' | '.join(f'hours on {n} cores' for n in CORES)} |",
        "|---" * (4 + len(CORES)) + "|",
    ]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        volume, labels = scan(1, options.slices, options.side)
        labels[labels > CLASSES] = 0
        shown = np.flatnonzero(labels.any((1, 2)))
        slices = np.linspace(shown[0], shown[-1], 7).astype(int)[1:-1]
        painted = np.zeros_like(labels)
        painted[slices] = labels[slices]
        names = dict(enumerate(ORGANS[:CLASSES], 1))
        write_volume(volume, folder / "support.nii.gz")
        write_segmentation(Segmentation(painted, names, volume.geometry), folder / "painted.nii.gz")
        for number in range(options.scans):
            write_volume(scan(2 + number, options.slices, options.side)[0], folder / f"query_{number}.nii.gz")
        for title, more in (
            ("thorough", ()),
            ("thorough, `--scheduler local`", ("--scheduler", "local")),
            ("`--quick`", ("--quick",)),
        ):
            one, all_of_them = (computing(folder, count, *more) for count in (1, options.scans))
            each = (all_of_them - one) / (options.scans - 1)
            hours = each * 1000 / 3600
            cells = [f"{hours / n:.2f}" for n in CORES]
            lines.append(f"| {title} | {one:.1f} | {each:.1f} | {hours:.1f} | {' | '.join(cells)} |")
            print(lines[-1], file=sys.stderr, flush=True)
        support = SupportSet(names)
        support.add(volume, painted, slices=slices.tolist(), plane="axial")
        sent = len(pack_segmenter(load_weights(), SegmentationSettings(), support)) / 1e6
        back = max(path.stat().st_size for path in (folder / "out").iterdir()) / 1e6
    lines += [
        "",
        f"Each worker is sent {sent:.0f} MB once; the labels of a scan are a file of {back:.1f} MB.",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
