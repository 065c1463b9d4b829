"""Measure on phantoms at which levels of the body organs lie, and write the table that suggestions use.

    python benchmarks/annotation/organ_levels.py --phantoms 24

For each organ and level, in steps of a tenth from the iliac crest (0) to the dome of the liver (1) and beyond: how well
a slice there shows the organ, in percent, the mean over phantoms of 1 - exp(-6 share), where share is the organ's
area on the slice as a part of its largest. A kidney's tip teaches something, its middle everything.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_cpclnet.phantoms.phantom import make_phantom
from napari_cpclnet.segmentation.organ_atlas import LEVELS, TABLE

ORGANS = {
    "adrenal gland": ("left adrenal", "right adrenal"),
    "aorta": ("aorta",),
    "bladder": ("bladder",),
    "duodenum": ("duodenum",),
    "esophagus": ("oesophagus",),
    "gallbladder": ("gallbladder",),
    "heart": ("heart",),
    "inferior vena cava": ("vena cava",),
    "kidney": ("left kidney", "right kidney"),
    "left kidney": ("left kidney",),
    "liver": ("liver",),
    "lung": ("lung",),
    "pancreas": ("pancreas",),
    "portal vein": ("portal vein",),
    "right kidney": ("right kidney",),
    "spleen": ("spleen",),
    "stomach": ("stomach",),
}
"""Names of the terminology and what they are on phantoms."""

SEED = 77


def shown(number: int) -> dict[str, np.ndarray]:
    """How well slices at `LEVELS` show the organs of one phantom, in 0 to 1."""
    phantom = make_phantom(np.random.default_rng((SEED, number)))
    found = {}
    for organ, parts in ORGANS.items():
        area = sum(phantom.mask(part).sum((1, 2)) for part in parts)
        largest = max(area.max(), 1)
        found[organ] = np.interp(LEVELS, phantom.level, 1 - np.exp(-6 * area / largest))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--phantoms", type=int, default=24)
    options = parser.parse_args(arguments)
    tables = [shown(number) for number in range(options.phantoms)]
    steps = ", ".join(f"{level:.1f}" for level in LEVELS)
    lines = [
        f"# How well a slice shows an organ, in percent, at the levels {steps}:",
        "# 0 is the iliac crest, 1 the dome of the liver. Measured on phantoms; written by "
        "benchmarks/annotation/organ_levels.py.",
    ]
    for organ in ORGANS:
        mean = np.mean([table[organ] for table in tables], axis=0)
        lines.append(f"{organ}: [{', '.join(str(int(100 * v + 0.5)) for v in mean)}]")
    temporary = Path(f"{TABLE}.part")
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.replace(temporary, TABLE)
    print(f"Wrote {TABLE}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
