"""Whether what is quicker finds the same: real scans labelled the plain way and by each quicker path.

    python benchmarks/speed/same_results.py --out benchmarks/speed/same_results.md
    git worktree add /tmp/before COMMIT && python benchmarks/speed/same_results.py --other /tmp/before

Plain is float32 in one thread, one slice at a time. The paths are slices in batches (as shipped), two threads,
bfloat16, and a worker of a cluster; with ``--other`` also another checkout. Five painted slices of one patient's CT,
four organs, registered as `segment` does it: Dice with the truth and with the plain labels, and seconds of computing.
Tolerance: no Dice with the truth changes by more than 0.002. Each run has a process of its own, and what is in
``--folder`` is not run again. Scans come from the folder CPCLNET_TEST_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parents[2]
ORGANS = {1: "spleen", 2: "right kidney", 3: "left kidney", 6: "liver"}
PAIRS = (("abdomen_ct/ct_10", "abdomen_ct/ct_16"), ("abdomen_ct/ct_20", "abdomen_ct/ct_28"))
SHOTS = 5
TOLERANCE = 0.002


@dataclass(frozen=True)
class Way:
    """One way to the labels: settings, threads, and whether the segmenter travels as to a cluster."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    threads: int = 1
    travels: bool = False
    checkout: Path = HERE


PLAIN = Way("plain", {"batch_size": 1, "precision": "fp32"})
PATHS = (
    Way("as shipped (batches)"),
    Way("two threads", threads=2),
    Way("bfloat16", {"precision": "bf16"}),
    Way("worker of a cluster", travels=True),
)


def label(support: str, query: str, settings: dict[str, Any], out: Path, *, travels: bool) -> None:
    """Label one scan in this process, and write labels and seconds of computing."""
    from napari_cpclnet.evaluation.protocols import choose_slices
    from napari_cpclnet.imaging import read_volume
    from napari_cpclnet.model import load_weights
    from napari_cpclnet.segmentation import SegmentationSettings, Segmenter, SupportSet

    painted_on, volume = (read_volume(f"{name}_image.nii.gz") for name in (support, query))
    labels = _read(Path(f"{support}_label.nii.gz"))
    painted = SupportSet(ORGANS)
    slices = {int(i) for value in ORGANS for i in choose_slices((labels == value).sum((1, 2)), SHOTS)}
    painted.add(painted_on, labels, slices=sorted(slices), plane="axial")
    wanted = SegmentationSettings(device="cpu", **settings)
    started = time.process_time()
    if travels:
        from napari_cpclnet.cluster import pack_segmenter, unpack_segmenter

        segmenter = unpack_segmenter(pack_segmenter(load_weights(), wanted, painted))
    else:
        segmenter = Segmenter(load_weights(), wanted)
        segmenter.set_support(painted)
    for _ in segmenter.predict(volume):
        pass
    found = segmenter.result().labels
    np.savez_compressed(out, labels=found, seconds=time.process_time() - started)


def labelled(path: Way, support: Path, query: Path, folder: Path) -> tuple[np.ndarray, float]:
    """Labels of a scan by a path, and seconds of computing."""
    out = folder / f"{query.name}_{path.name.replace(' ', '_')}.npz"
    if not out.is_file():
        making = out.with_name(f"part_{out.name}")
        asked = json.dumps([str(support), str(query), path.settings, str(making), path.travels])
        env = {
            **os.environ,
            "PYTHONPATH": str(path.checkout / "src"),
            "OMP_NUM_THREADS": str(path.threads),
            "OMP_WAIT_POLICY": "passive",
        }
        subprocess.run([sys.executable, __file__, "--one", asked], check=True, env=env)
        making.replace(out)
    with np.load(out) as file:
        return file["labels"], float(file["seconds"])


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Overlap of two masks."""
    return 2 * int((one & other).sum()) / max(1, int(one.sum()) + int(other.sum()))


def compared(
    data: Path, paths: tuple[Way, ...], folder: Path, pairs: tuple[tuple[str, str], ...]
) -> tuple[list[str], list[dict[str, Any]]]:
    """The tables, and their numbers."""
    numbers: list[dict[str, Any]] = []
    for support, query in pairs:
        truth = _read(data / f"{query}_label.nii.gz")
        plain, plain_seconds = labelled(PLAIN, data / support, data / query, folder)
        for path in paths:
            found, seconds = labelled(path, data / support, data / query, folder)
            for value, name in ORGANS.items():
                before, after = (dice(labels == value, truth == value) for labels in (plain, found))
                both = dice(plain == value, found == value)
                numbers.append(
                    {
                        "path": path.name,
                        "scans": f"{Path(support).name}, {Path(query).name}",
                        "organ": name,
                        "plain": before,
                        "dice": after,
                        "both": both,
                        "seconds": seconds,
                        "plain seconds": plain_seconds,
                    }
                )
    lines = [
        "| path | largest change of a Dice with the truth | least Dice with the plain labels | computing, of plain "
        f"| within {TOLERANCE} |",
        "|---|---|---|---|---|",
    ]
    for path in paths:
        own = [row for row in numbers if row["path"] == path.name]
        worst = max((row["dice"] - row["plain"] for row in own), key=abs)
        share = sum(row["seconds"] for row in own) / sum(row["plain seconds"] for row in own)
        within = "yes" if abs(worst) <= TOLERANCE else "**no**"
        lines.append(
            f"| {path.name} | {worst:+.4f} | {min(row['both'] for row in own):.4f} | {share:.2f} | {within} |"
        )
    lines += ["", "| path | support, query | organ | plain | path | change | with each other |"]
    lines.append("|---|---|---|---|---|---|---|")
    lines += [
        f"| {row['path']} | {row['scans']} | {row['organ']} | {row['plain']:.4f} | {row['dice']:.4f} | "
        f"{row['dice'] - row['plain']:+.4f} | {row['both']:.4f} |"
        for row in numbers
    ]
    return lines, numbers


def _read(path: Path) -> np.ndarray:
    from napari_cpclnet.imaging import read_volume

    return np.rint(read_volume(path).array).astype(np.uint8)


def _commit(path: Path) -> str:
    asked = ["git", "-C", str(path), "describe", "--always", "--dirty", "--abbrev=10"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(os.environ.get("CPCLNET_TEST_DATA", HERE.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default, help="test data")
    parser.add_argument(
        "--folder", type=Path, default=Path("outputs/same_results"), help="of what is labelled"
    )
    parser.add_argument("--pairs", type=int, default=len(PAIRS), help="of scans")
    parser.add_argument("--other", type=Path, help="another checkout, as one more path")
    parser.add_argument("--out", type=Path, help="Markdown file to write; numbers beside it")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        support, query, settings, out, travels = json.loads(options.one)
        label(support, query, settings, Path(out), travels=travels)
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    paths = PATHS
    if options.other:
        other = options.other.resolve()
        paths = (*PATHS, Way(f"commit {_commit(other)}", checkout=other))
    lines, numbers = compared(options.data.resolve(), paths, options.folder.resolve(), PAIRS[: options.pairs])
    heading = [
        "# The same results",
        "",
        f"Printed by `python benchmarks/speed/same_results.py`; commit {_commit(HERE)}. Plain is float32 in one "
        "thread, one slice at a time; five painted slices of one patient's CT label another's, registered.",
        "",
    ]
    text = "\n".join([*heading, *lines]) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
        options.out.with_suffix(".json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
