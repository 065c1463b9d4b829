"""Measure how well a few painted slices carry through their own scan, and write the table `same_scan.md`.

    python benchmarks/accuracy/same_scan.py --out results           # runs or resumes the evaluation, then writes
    python benchmarks/accuracy/same_scan.py --out results --no-run  # from results that are there

The evaluation is `napari-cpclnet evaluate --protocol same-volume`: of every structure of every scan 2, 3 and 5 slices
at fractions (i + 0.5) / k of its extent are painted, along the first array axis; all other slices are scored.
`CPCLNet` is what the tool does, `fill` the same without its post-processing, `interpolation` what other viewers do
between painted slices. Scans come from the folder CPCLNET_TEST_DATA.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from make_cases import DEFAULT_DATA, write_table
from table import NAMES, current_commit, table

HERE = Path(__file__).resolve().parent
METHODS = ("interpolation", "fill", "CPCLNet")
SHOTS = ("2", "3", "5")
SETS = ("abdomen13", "abdomen", "sarcoma", "wide")

Row = dict[str, str]


def run(out: Path, data: Path) -> None:
    """Run or resume the evaluation, in a process of its own as a user does."""
    cases = out / "table" / "cases.csv"
    # the four organs of the CTs are among the 13
    write_table(cases, data, SETS)
    lines = cases.read_text(encoding="utf-8").splitlines(keepends=True)
    four = [line for line in lines if ",CT," in line and "6=liver;2=right kidney" in line]
    cases.write_text("".join(line for line in lines if line not in four), encoding="utf-8")
    command = [sys.executable, "-m", "napari_cpclnet", "evaluate", "--cases", str(cases), "--out", str(out)]
    command += ["--protocol", "same-volume", "--plane", "native", "--shots", *SHOTS]
    command += ["--baselines", "interpolation,fill", "--resume"]
    subprocess.run(command, check=True)


def set_of(row: Row) -> str:
    """Set that a result belongs to."""
    patient, modality = row["query_patient"], NAMES.get(row["query_modality"], row["query_modality"])
    if patient.startswith("STS"):
        return f"sarcoma, {modality}"
    kind, _, rest = patient.partition(" ")
    return f"abdomen, {modality}" if kind == "abdomen" else rest.split("_")[0]


def markdown(rows: Sequence[Row], commit: str) -> str:
    """The table from the rows of `cases.csv`."""
    dice: dict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    for row in rows:
        if row["dice"] in ("", "nan"):  # every slice that shows it was painted
            continue
        dice[set_of(row), row["organ"], row["shots"], row["method"]].append(float(row["dice"]))
    sets: dict[str, list[str]] = defaultdict(list)
    for name, organ, _, _ in dice:
        if organ not in sets[name]:
            sets[name].append(organ)

    def mean(name: str, organ: str, shots: str, method: str) -> float:
        found = dice[name, organ, shots, method]
        return sum(found) / len(found)

    head = ["", *(f"{method}, {shots}" for shots in SHOTS for method in METHODS)]
    body = []
    for name, organs in sets.items():
        if len(organs) > 1:
            body += [
                [organ, *(f"{mean(name, organ, s, m):.3f}" for s in SHOTS for m in METHODS)]
                for organ in organs
            ]
        means = [sum(mean(name, o, s, m) for o in organs) / len(organs) for s in SHOTS for m in METHODS]
        body.append([f"**{name}**", *(f"**{value:.3f}**" for value in means)])
    weights = ", ".join(sorted({row["weights"] for row in rows}))
    lines = [
        "# The rest of the painted scan",
        "",
        f"Commit {commit}, weights {weights}. Written by `python benchmarks/accuracy/same_scan.py --out DIR`; not "
        "edited by hand.",
        "",
        "Mean 3-D Dice over scans, then over structures (bold), with 2, 3 and 5 painted slices at fractions "
        "(i + 0.5) / k of a structure's extent; painted slices are not scored. Every structure is a task of its own.",
        "",
        *table(head, body),
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
    parser.add_argument("--no-run", action="store_true", help="only write the table")
    parser.add_argument("--table", type=Path, default=HERE / "same_scan.md", help="file to write")
    options = parser.parse_args(arguments)
    if not options.no_run:
        try:
            run(options.out, options.data)
        except subprocess.CalledProcessError as error:
            return int(error.returncode)
    with (options.out / "cases.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    temporary = options.table.with_name(f".{options.table.name}")
    temporary.write_text(markdown(rows, current_commit()), encoding="utf-8")
    os.replace(temporary, options.table)
    print(f"Wrote {options.table}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
