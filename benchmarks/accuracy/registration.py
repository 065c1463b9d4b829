"""What registration alone carries over: complete labels of one patient, warped to another.

    python benchmarks/accuracy/registration.py            # prints the tables of registration.md
    python benchmarks/accuracy/registration.py --only vertebrae heart
    python benchmarks/accuracy/registration.py --mind     # without the network

Scans come from the folder CPCLNET_TEST_DATA. No label has a part in the registration; seconds are those of the CPU, one
thread, both scans new to the network.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from make_cases import DEFAULT_DATA
from numpy.typing import NDArray

from napari_cpclnet.imaging import Volume, read_volume
from napari_cpclnet.model import load_weights
from napari_cpclnet.registration import Field, RegistrationSettings, register

Labels = NDArray[np.uint8]

MR_AS_CT = {1: 6, 2: 2, 3: 3, 4: 1}
"""Labels of the abdominal MRs, and the CTs' of the same organs."""


@dataclass(frozen=True)
class Task:
    """Pairs of scans of which the first is the support, named by folder and file."""

    title: str
    pairs: tuple[tuple[str, str], ...]


def _pairs(folder: str, *names: str) -> tuple[tuple[str, str], ...]:
    """Each scan of a folder as the support of the next."""
    files = [f"{folder}/{name}" for name in names]
    return tuple(pairwise(files))


CT, MR = "abdomen_ct/ct_", "abdomen_mr/mr_"
TASKS = {
    "ct": Task(
        "CT to CT, 13 structures", ((f"{CT}10", f"{CT}28"), (f"{CT}28", f"{CT}20"), (f"{CT}16", f"{CT}10"))
    ),
    "ct-mr": Task("CT to MR, 4 organs", ((f"{CT}10", f"{MR}1"), (f"{CT}20", f"{MR}8"))),
    "mr-ct": Task("MR to CT, 4 organs", ((f"{MR}3", f"{CT}16"), (f"{MR}15", f"{CT}28"))),
    "mr": Task("MR to MR, 4 organs", ((f"{MR}1", f"{MR}8"), (f"{MR}15", f"{MR}3"))),
    "vertebrae": Task("vertebral bodies", _pairs("wide/vb2", "vb2_05", "vb2_06", "vb2_07", "vb2_05")),
    "hippocampus": Task(
        "hippocampus, two parts",
        _pairs("wide/hippocampus", "hippocampus_001", "hippocampus_003", "hippocampus_004"),
    ),
    "heart": Task(
        "heart in short axis, 3 structures",
        _pairs("wide/acdc", "acdc_p001f01", "acdc_p021f01", "acdc_p001f12"),
    ),
    "cord": Task("spinal cord", _pairs("wide/cord", "cord_t2", "cord_t1", "cord_unf01T1w")),
}


def scan(data: Path, name: str) -> tuple[Volume, Labels]:
    """A scan and its labels, those of the abdominal MRs as the CTs'."""
    volume = read_volume(data / f"{name}_image.nii.gz")
    labels = np.rint(read_volume(data / f"{name}_label.nii.gz").array).astype(np.uint8)
    if name.startswith(MR):
        labels = np.select([labels == mr for mr in MR_AS_CT], list(MR_AS_CT.values()), 0).astype(np.uint8)
    return volume, labels


def dice(found: Labels, true: Labels, support: Labels) -> float:
    """Mean over the structures that both scans show."""
    shared = [v for v in np.unique(support) if v and (true == v).any()]
    each = [2 * ((found == v) & (true == v)).sum() / ((found == v).sum() + (true == v).sum()) for v in shared]
    return float(np.mean(each))


def measured(field: Field, support: Labels, true: Labels) -> tuple[float, float]:
    """Dice of the affine start alone, and of the whole registration."""
    start = replace(field, displacement=torch.zeros_like(field.displacement))
    return dice(start.warp(support), true, support), dice(field.warp(support), true, support)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("CPCLNET_TEST_DATA", DEFAULT_DATA)), help="test data"
    )
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--mind", action="store_true", help="without the network")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    network = None if options.mind else load_weights()
    settings = RegistrationSettings(device="cpu")
    print(f"Weights {network.metadata['hash']}\n" if network else "MIND alone\n")
    print(
        "| task | support to query | affine start | registered | network | cost | cycle error (mm) | seconds |"
    )
    print("|---|---|---|---|---|---|---|---|")
    means = []
    for task in (TASKS[name] for name in options.only):
        rows = []
        for names in task.pairs:
            (support, painted), (query, true) = (scan(options.data, name) for name in names)
            begun = time.process_time()
            field = register(support, query, settings, network=network)
            seconds = time.process_time() - begun
            rows.append((*measured(field, painted, true), seconds))
            used = "yes" if field.used_network else "no"
            pair = " to ".join(name.rpartition("/")[2] for name in names)
            print(
                f"| {task.title} | {pair} | {rows[-1][0]:.3f} | {rows[-1][1]:.3f} | {used} | {field.cost:.3f} "
                f"| {field.cycle_error_mm:.1f} | {seconds:.0f} |",
                flush=True,
            )
        start, registered, seconds = np.mean(rows, axis=0)
        means.append(f"| {task.title} | {len(rows)} | {start:.3f} | {registered:.3f} | {seconds:.0f} |")
    print("\n| task | pairs | affine start | registered | seconds |\n|---|---|---|---|---|")
    print("\n".join(means))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
