"""Whether what is quicker finds the same: real scans labelled by this checkout and by another one, or in bfloat16.

    git worktree add /tmp/before COMMIT
    python benchmarks/speed/same_results.py --other /tmp/before --out benchmarks/speed/same_results.md
    python benchmarks/speed/same_results.py --precision bf16

Five painted slices of one patient's CT, four organs, registered as `segment` does it: Dice with the truth by both, and
with each other, and the seconds of computing, the two in turn. Scans come from the folder CPCLNET_TEST_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parents[2]
ORGANS = {1: "spleen", 2: "right kidney", 3: "left kidney", 6: "liver"}
PAIRS = (("abdomen_ct/ct_10", "abdomen_ct/ct_16"), ("abdomen_ct/ct_20", "abdomen_ct/ct_28"))
SHOTS = 5


def label(support: str, query: str, precision: str, out: Path) -> None:
    """Label one scan in this process, and write labels and seconds of computing."""
    from napari_cpclnet.evaluation.protocols import choose_slices
    from napari_cpclnet.imaging import read_volume
    from napari_cpclnet.model import load_weights
    from napari_cpclnet.segmentation import SegmentationSettings, Segmenter, SupportSet

    painted_on, volume = (read_volume(f"{name}_image.nii.gz") for name in (support, query))
    labels = np.rint(read_volume(f"{support}_label.nii.gz").array).astype(np.uint8)
    painted = SupportSet(ORGANS)
    slices = {int(i) for value in ORGANS for i in choose_slices((labels == value).sum((1, 2)), SHOTS)}
    painted.add(painted_on, labels, slices=sorted(slices), plane="axial")
    segmenter = Segmenter(load_weights(), SegmentationSettings(device="cpu", precision=precision))
    started = time.process_time()
    segmenter.set_support(painted)
    for _ in segmenter.predict(volume):
        pass
    found = segmenter.result().labels
    np.savez_compressed(out, labels=found, seconds=time.process_time() - started)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Overlap of two masks."""
    return 2 * int((one & other).sum()) / max(1, int(one.sum()) + int(other.sum()))


def compared(data: Path, other: Path, precision: str) -> str:
    """The table."""
    lines = [
        "| support, query, organ | Dice here | of the other | difference | with each other | seconds here, other |",
        "|---|---|---|---|---|---|",
    ]
    worst = 0.0
    for support, query in PAIRS:
        found, seconds = [], []
        truth = _read(data / f"{query}_label.nii.gz")
        for checkout, how in ((HERE, "fp32"), (other, precision)):
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "labels.npz"
                words = [
                    sys.executable,
                    __file__,
                    "--one",
                    str(data / support),
                    str(data / query),
                    how,
                    str(out),
                ]
                env = {**os.environ, "PYTHONPATH": str(checkout / "src")}
                subprocess.run(words, check=True, env=env)
                with np.load(out) as file:
                    found.append(file["labels"])
                    seconds.append(float(file["seconds"]))
        for value, name in ORGANS.items():
            here, there = (dice(labels == value, truth == value) for labels in found)
            both = dice(found[0] == value, found[1] == value)
            worst = max(worst, abs(here - there))
            lines.append(
                f"| {Path(support).name}, {Path(query).name}, {name} | {here:.4f} | {there:.4f} | "
                f"{here - there:+.4f} | "
                f"{both:.4f} | {seconds[0]:.1f}, {seconds[1]:.1f} |"
            )
    return "\n".join([*lines, "", f"Largest difference of a Dice: {worst:.4f}."]) + "\n"


def _read(path: Path) -> np.ndarray:
    from napari_cpclnet.imaging import read_volume

    return np.rint(read_volume(path).array).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(os.environ.get("CPCLNET_TEST_DATA", HERE.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default, help="test data")
    parser.add_argument("--other", type=Path, default=HERE, help="another checkout; default: this one")
    parser.add_argument("--precision", default="fp32", help="of the other")
    parser.add_argument("--out", type=Path, help="Markdown file to write; numbers beside it")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        support, query, precision, out = options.one
        label(support, query, precision, Path(out))
        return
    table = compared(options.data, options.other.resolve(), options.precision)
    commits = [
        subprocess.run(
            ["git", "-C", str(path), "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True
        ).stdout.strip()
        for path in (HERE, options.other)
    ]
    heading = (
        f"# The same results\n\nPrinted by `python benchmarks/speed/same_results.py`; here {commits[0]}, the other "
        f"{commits[1]} in {options.precision}, one thread.\n\n"
    )
    print(heading + table)
    if options.out:
        options.out.write_text(heading + table, encoding="utf-8")
        numbers = json.dumps(
            {"commits": commits, "precision": options.precision, "table": table.splitlines()}
        )
        options.out.with_suffix(".json").write_text(numbers, encoding="utf-8")


if __name__ == "__main__":
    main()
