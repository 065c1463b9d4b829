"""The table of the annotation benchmark, and whether suggestion wins."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

FIELDS = ("scan", "protocol", "strategy", "seed", "k", "slices")
TITLES = {
    "within": "within one scan, nothing painted before",
    "across": "one slice painted in another patient and modality before",
}
Rows = Sequence[Mapping[str, str]]
Curve = dict[int, float]


def curves(rows: Rows, protocol: str, modality: str, organs: Sequence[str]) -> dict[str, dict[str, Curve]]:
    """Mean Dice by strategy, scan and number of painted slices; means over seeds.

    Only of strategies that are through with every scan that suggestion is through with.
    """
    found: dict[str, dict[str, dict[int, list[float]]]] = {}
    for row in rows:
        if row["protocol"] == protocol and modality in row["scan"]:
            scans = found.setdefault(row["strategy"], {}).setdefault(row["scan"], {})
            scans.setdefault(int(row["k"]), []).append(float(np.mean([float(row[o]) for o in organs])))
    through = set(found.get("suggested", {}))
    return {
        strategy: {scan: {k: float(np.mean(v)) for k, v in curve.items()} for scan, curve in scans.items()}
        for strategy, scans in found.items()
        if through <= set(scans)
    }


def markdown(rows: Rows, organs: Sequence[str], weights: str) -> str:
    """The whole README."""
    lines = [
        "# Painting the slices that are suggested",
        "",
        f"Date {datetime.date.today().isoformat()}, commit {commit()}, weights {weights}. Written by `python "
        "benchmarks/annotation/run.py --out DIR`, whose first lines say what is compared; not edited by hand. Mean "
        f"3-D Dice of {', '.join(organs)}, all slices of the scan, against the number of painted slices. *Even* and "
        "*random* know from the truth where the organs begin and end; *suggested* and *even, blind* do not. Scans and "
        "choices that are not in a table were not run, or not to the end.",
    ]
    for protocol, title in TITLES.items():
        for modality in ("MR", "CT"):
            found = curves(rows, protocol, modality, organs)
            if len(found) > 1 and "suggested" in found:
                lines += ["", f"## {modality}: {title}", "", *_table(found), "", *_verdict(found)]
    return "\n".join(lines) + "\n"


def _scans(found: dict[str, dict[str, Curve]]) -> list[str]:
    return sorted(found["suggested"])


def _table(found: dict[str, dict[str, Curve]]) -> list[str]:
    scans = _scans(found)
    budgets = sorted({k for curve in found["suggested"].values() for k in curve})
    lines = [f"{len(scans)} scans: {', '.join(scans)}.", ""]
    lines += [
        f"| slices | {' | '.join(str(k) for k in budgets)} |",
        f"| --- |{' --- |' * len(budgets)}",
    ]
    for strategy, by_scan in found.items():
        cells = []
        for k in budgets:
            values = [by_scan[scan][k] for scan in scans if k in by_scan[scan]]
            cells.append(f"{np.mean(values):.3f}" if values else "")
        lines.append(f"| {strategy} | {' | '.join(cells)} |")
    return lines


def _verdict(found: dict[str, dict[str, Curve]]) -> list[str]:
    """Paired differences to each other choice, and how many slices are saved."""
    lines = []
    scans = _scans(found)
    for strategy, by_scan in found.items():
        if strategy == "suggested":
            continue
        differences = []
        for scan in scans:
            own, other = found["suggested"][scan], by_scan[scan]
            differences.append(float(np.mean([own[k] - other[k] for k in other if k > 0 and k in own])))
        mean = float(np.mean(differences))
        better = sum(d > 0 for d in differences)
        word = "wins" if mean > 0 and 2 * better > len(scans) else "does not win"
        lines.append(
            f"- Against {strategy}: suggestion {word}; {mean:+.3f} Dice over all numbers of slices, better in {better} "
            f"of {len(scans)} scans{_saved(found['suggested'], by_scan, scans)}."
        )
    return lines


def _saved(own: dict[str, Curve], other: dict[str, Curve], scans: Sequence[str]) -> str:
    """How many suggested slices are as good as four of the other choice."""
    needed = []
    for scan in scans:
        goal = other[scan].get(4)
        if goal is None:
            return ""
        enough = [k for k, value in sorted(own[scan].items()) if value >= goal]
        needed.append(enough[0] if enough else max(own[scan]) + 1)
    return f"; what four such slices reach takes {np.median(needed):g} suggested ones (median)"


def commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
