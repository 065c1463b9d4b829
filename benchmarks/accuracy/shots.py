"""How many slices to paint: Dice in other patients with 1, 5 and 20 painted slices, and with the whole scan painted.

    python benchmarks/accuracy/shots.py --out DIR --table benchmarks/accuracy/shots.md

Runs or resumes `napari-cpclnet evaluate` in DIR, on all 13 structures of the abdominal CT and on the other sets of one
modality each, and writes the table. Scans come from the folder CPCLNET_TEST_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from make_cases import DEFAULT_DATA
from table import TITLES, current_commit, run, show, table

WHOLE = 100
"""As many slices as `evaluate` takes: all, or nearly all, on which a structure shows."""
SHOTS = (1, 5, 20, WHOLE)
SETS = ("abdomen13", "wide")


def markdown(summary: dict[str, Any], commit: str) -> str:
    """The table from a summary of an evaluation."""
    facts = summary["facts"]
    dice = {
        (g["organ"], g["shots"]): g["dice"]["mean"]
        for g in summary["groups"]
        if g["protocol"] == "honest" and g["n"]
    }
    rows, means = [], []
    for title, organs in TITLES.items():
        for organ in organs:
            values = [dice.get((organ, shots)) for shots in SHOTS]
            if all(value is not None for value in values):
                means.append(values)
                rows.append([title, organ, *(show(value) for value in values)])
    rows.append(["all", "mean", *(show(sum(column) / len(means)) for column in zip(*means, strict=True))])
    heads = ["set", "structure", *("whole scan" if shots == WHOLE else str(shots) for shots in SHOTS)]
    lines = [
        "# How many slices to paint",
        "",
        f"Date {facts['date']}, commit {commit}, weights {facts['weights']}, {facts['device']}. Written by "
        "`python benchmarks/accuracy/shots.py --out DIR --table benchmarks/accuracy/shots.md`; not edited by hand.",
        "",
        "Mean 3-D Dice in the scan of another patient of the same modality, by the number of painted slices, honest "
        "protocol. One slice is that of the largest area; more lie at fractions of the structure's extent.",
        "",
        *table(heads, rows),
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the evaluation's results")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("CPCLNET_TEST_DATA", DEFAULT_DATA)), help="test data"
    )
    parser.add_argument("--weights", type=Path, help="weights file; the bundled one if missing")
    parser.add_argument("--no-run", action="store_true", help="only write the table")
    parser.add_argument("--table", type=Path, required=True, help="file to write")
    options = parser.parse_args(arguments)
    if not options.no_run:
        run(options.out, options.data, options.weights, "none", ("honest",), SETS, SHOTS)
    summary = json.loads((options.out / "summary.json").read_text(encoding="utf-8"))
    options.table.write_text(markdown(summary, current_commit()), encoding="utf-8")
    print(f"Wrote {options.table}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
