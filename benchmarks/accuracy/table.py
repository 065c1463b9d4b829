"""Measure the bundled weights on the shared test data, and write the table in this folder's README.

    python benchmarks/accuracy/table.py --out results           # runs or resumes the evaluation, then writes README.md
    python benchmarks/accuracy/table.py --out results --no-run  # from results that are there

The evaluation is `napari-cpclnet evaluate` with five painted slices, one support per query, every pairing of
modalities, the honest protocol and the legacy one beside it. Scans come from the folder CPCLNET_TEST_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from make_cases import DEFAULT_DATA, MAKERS, SETS, write_table

HERE = Path(__file__).resolve().parent
MODALITIES = ("CT", "MR", "PT")
NAMES = {"PT": "PET", "all": "all"}
TITLES = {
    "Abdomen": ("liver", "right kidney", "left kidney", "spleen"),
    "Further structures of the abdomen": (
        "gallbladder",
        "oesophagus",
        "stomach",
        "aorta",
        "inferior vena cava",
        "portal and splenic vein",
        "pancreas",
        "right adrenal",
        "left adrenal",
    ),
    "Heart, short axis": ("right ventricle", "myocardium", "left ventricle"),
    "Spinal cord": ("spinal cord",),
    "Hippocampus": ("anterior hippocampus", "posterior hippocampus"),
    "Lumbar spine": ("vertebral bodies",),
    "Soft-tissue sarcoma": ("tumour",),
}
BASELINES = "copy,prototype"
PROTOCOLS = ("honest", "legacy")
Group = dict[str, Any]


def run(
    out: Path,
    data: Path,
    weights: Path | None,
    baselines: str,
    protocols: Sequence[str],
    sets: Sequence[str],
    shots: Sequence[int] = (5,),
) -> None:
    """Run or resume the evaluation, in a process of its own as a user does."""
    table = out / "table" / "cases.csv"
    write_table(table, data, sets)
    command = [sys.executable, "-m", "napari_cpclnet", "evaluate", "--cases", str(table), "--out", str(out)]
    command += ["--shots", *map(str, shots), "--supports", "1", "--baselines", baselines]
    command += ["--resume", "--protocol", *protocols]
    # as on the grids of the sets: hearts and spines are stacks along the first array axis
    command += ["--plane", "native"]
    command += ["--weights", str(weights)] if weights else []
    subprocess.run(command, check=True)


def markdown(summary: dict[str, Any], commit: str, words: str = "") -> str:
    """The README from a summary; `words` are further options of the command."""
    facts = summary["facts"]
    groups = summary["groups"]
    methods = list(dict.fromkeys(g["method"] for g in groups))
    shots = next(g["shots"] for g in groups if g["protocol"] == "honest")
    lines = [
        "# Accuracy on real scans",
        "",
        f"Date {facts['date']}, commit {commit}, weights {facts['weights']}, {facts['device']}. Written by "
        f"`python benchmarks/accuracy/table.py --out DIR{words}`; not edited by hand.",
        "",
        f"{shots} painted slices of one scan of one patient, all slices of a scan of another patient, one support "
        "per query and support modality. Support slices are chosen on the support alone, the query's labels are opened "
        "after the prediction is final, organ-free slices count, one fixed threshold. Every organ is a task of its "
        "own. Mean 3-D Dice, with the 95 % bootstrap interval over patients where there are at least two. A scan is "
        "encoded once for all organs that are asked of it in a row, so seconds are less than for a single task.",
    ]
    for title, organs in TITLES.items():
        found = [g for g in groups if g["organ"] in organs and g["protocol"] == "honest" and g["n"]]
        if not found:
            continue
        lines += ["", f"## {title}", "", *organ_table(found, organs, methods)]
        lines += ["", *detail_table(found, organs, methods[0])]
        lines += legacy_table([g for g in summary["gap"] if g["organ"] in organs], organs, methods[0])
    lines += ["", "## Versions", ""]
    lines += [", ".join(f"{name} {version}" for name, version in facts["versions"].items()) + "."]
    return "\n".join(lines) + "\n"


def organ_table(groups: Sequence[Group], organs: Sequence[str], methods: Sequence[str]) -> list[str]:
    """Dice of every method, by pair of modalities and organ."""
    rows = []
    for pair in pairs(groups):
        for method in methods:
            cells = [cell(select(groups, pair, organ, method)) for organ in organs]
            means = [g["dice"]["mean"] for organ in organs if (g := select(groups, pair, organ, method))]
            if means:
                mean = [f"{sum(means) / len(means):.3f}"] if len(organs) > 1 else []
                rows.append([arrow(pair), method, *cells, *mean])
    return table(["support to query", "method", *organs, *(["mean"] if len(organs) > 1 else [])], rows)


def detail_table(groups: Sequence[Group], organs: Sequence[str], method: str) -> list[str]:
    """All measures of the network."""
    rows = []
    for pair in pairs(groups):
        for organ in organs:
            group = select(groups, pair, organ, method)
            if group:
                rows.append(
                    [
                        arrow(pair),
                        organ,
                        str(group["n"]),
                        show(group["dice"]["median"]),
                        show(group["dice"]["worst_decile"]),
                        show(group["surface_dice"]["mean"]),
                        show(group["hd95_mm"]["mean"], 1),
                        show(group["relative_volume_error"]["mean"], 2),
                        show(group["false_ml"]["mean"], 1),
                        show(group["seconds"]["mean"], 1),
                        show(group["peak_mb"], 0),
                    ]
                )
    head = [
        "support to query",
        f"organ ({method})",
        "cases",
        "median Dice",
        "worst decile",
        "surface Dice 2 mm",
    ]
    return table([*head, "HD95 mm", "volume error", "false ml", "seconds", "peak MB"], rows)


def legacy_table(gaps: Sequence[Group], organs: Sequence[str], method: str) -> list[str]:
    """Honest against legacy, for the same pairs and weights."""
    rows = [
        [arrow(pair), organ, show(gap["honest"]), show(gap["legacy"]), f"{gap['gap']:+.3f}"]
        for pair in pairs(gaps)
        for organ in organs
        if (gap := select(gaps, pair, organ, method))
    ]
    if not rows:
        return []
    text = (
        "The same pairs and weights under the protocol of the publications, which is told the organ's first and last "
        "slice and drops all others. Not what to expect of the tool:"
    )
    return ["", text, "", *table(["support to query", "organ", "honest", "legacy", "gap"], rows)]


def pairs(groups: Sequence[Group]) -> list[tuple[str, str]]:
    """Pairs of modalities that occur, in a fixed order."""
    found = {(g["support_modality"], g["query_modality"]) for g in groups}
    return [(a, b) for a in MODALITIES for b in MODALITIES if (a, b) in found]


def select(groups: Sequence[Group], pair: tuple[str, str], organ: str, method: str) -> Group | None:
    """The group of a pair, an organ and a method, if there is one."""
    for group in groups:
        place = (group["support_modality"], group["query_modality"], group["organ"], group["method"])
        if place == (*pair, organ, method):
            return group
    return None


def cell(group: Group | None) -> str:
    """Mean and interval."""
    if group is None:
        return "-"
    dice = group["dice"]
    interval = f" ({dice['low']:.2f} to {dice['high']:.2f})" if dice["low"] is not None else ""
    return show(dice["mean"]) + interval


def show(value: float | None, digits: int = 3) -> str:
    """A number, or a dash."""
    return "-" if value is None else f"{value:.{digits}f}"


def arrow(pair: tuple[str, str]) -> str:
    """Words for a pair of modalities."""
    return " to ".join(NAMES.get(m, m) for m in pair)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]


def current_commit() -> str:
    """Short hash of the checkout; says so if it has changes."""
    try:
        command = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=10"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the evaluation's results")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("CPCLNET_TEST_DATA", DEFAULT_DATA)), help="test data"
    )
    parser.add_argument("--weights", type=Path, help="weights file; the bundled one if missing")
    parser.add_argument("--baselines", default=BASELINES, help="all, none or names")
    parser.add_argument("--protocols", nargs="+", default=PROTOCOLS)
    parser.add_argument("--sets", nargs="+", choices=tuple(MAKERS), default=SETS, help="sets of scans")
    parser.add_argument("--no-run", action="store_true", help="only write the table")
    parser.add_argument("--readme", type=Path, default=HERE / "README.md", help="file to write")
    options = parser.parse_args(arguments)
    if not options.no_run:
        try:
            run(
                options.out, options.data, options.weights, options.baselines, options.protocols, options.sets
            )
        except subprocess.CalledProcessError as error:
            return int(error.returncode)
    chosen = (("--sets", options.sets, SETS), ("--protocols", options.protocols, PROTOCOLS))
    words = "".join(f" {name} {' '.join(given)}" for name, given, default in chosen if [*given] != [*default])
    words += f" --baselines {options.baselines}" if options.baselines != BASELINES else ""
    summary = json.loads((options.out / "summary.json").read_text(encoding="utf-8"))
    temporary = options.readme.with_name(f".{options.readme.name}")
    temporary.write_text(markdown(summary, current_commit(), words), encoding="utf-8")
    os.replace(temporary, options.readme)
    print(f"Wrote {options.readme}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
