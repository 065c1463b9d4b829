"""The report: one HTML file that needs nothing else and says nothing of patients beyond the table's own names."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from napari_cpclnet.evaluation.baselines.registry import DESCRIPTIONS
from napari_cpclnet.evaluation.report.figures import (
    SERIES,
    box_figure,
    gap_figure,
    matrix_figure,
    reliability_figure,
)
from napari_cpclnet.evaluation.report.groups import (
    Condition,
    Groups,
    counted,
    direction,
    modality_name,
    number,
    text,
)
from napari_cpclnet.evaluation.results import CaseResult, write_text
from napari_cpclnet.evaluation.summary import ALL, reliability
from napari_cpclnet.imaging import MODALITIES

_COLUMNS = [
    ("median", "dice", "median", 2),
    ("worst decile", "dice", "worst_decile", 2),
    ("surface Dice", "surface_dice", "mean", 2),
    ("HD95, mm", "hd95_mm", "mean", 0),
    ("volume error", "relative_volume_error", "mean", 2),
    ("false ml", "false_ml", "mean", 0),
    ("seconds", "seconds", "median", 1),
]


def write_report(
    results: Sequence[CaseResult],
    summary: Mapping[str, Any],
    out: Path,
    pictures: Mapping[str, bytes],
    metadata: Mapping[str, Any],
) -> Path:
    """Write the report of an evaluation.

    Parameters
    ----------
    results : sequence of CaseResult
        The first row's method is the one under test, its protocol and shots are shown first.
    summary : mapping
        From :func:`napari_cpclnet.evaluation.summary.summarise` of the same results.
    out : Path
        The HTML file.
    pictures : mapping of str to bytes
        PNG files by key of the task, of the method under test.
    metadata : mapping
        Settings, versions, device, weights and so on; mappings inside become lists of their own.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    write_text(out, report_html(results, summary, pictures, metadata))
    return out


def report_html(
    results: Sequence[CaseResult],
    summary: Mapping[str, Any],
    pictures: Mapping[str, bytes],
    metadata: Mapping[str, Any],
) -> str:
    """Text of the report; arguments as in :func:`write_report`."""
    environment = Environment(
        loader=PackageLoader("napari_cpclnet.evaluation", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"number": number, "counted": counted, "modality": modality_name, "text": text}
    groups = Groups(summary)
    plain = {name: value for name, value in metadata.items() if not isinstance(value, Mapping)}
    shown = [f"{name} {metadata[name]}" for name in ("weights", "device", "date") if metadata.get(name)]
    if metadata.get("cases"):
        shown.append(f"{metadata['cases']} scans of {metadata.get('patients', '?')} patients")
    return environment.get_template("report.html.j2").render(
        groups=groups,
        columns=_COLUMNS,
        shown=shown,
        best=_best_baseline(groups),
        sections=[_section(condition, groups, results) for condition in groups.conditions],
        pictures=_pictures(results, pictures),
        confidence=_confidence(results),
        gap=_gap(groups, summary),
        baselines=[(name, DESCRIPTIONS[name]) for name in groups.methods if name in DESCRIPTIONS],
        settings=[
            *([("Run", plain)] if plain else []),
            *((name, value) for name, value in metadata.items() if isinstance(value, Mapping)),
        ],
    )


def _best_baseline(groups: Groups) -> tuple[float, str] | None:
    """Mean Dice and name, of what was asked for first."""
    others = [] if not groups.conditions else groups.by_method(groups.conditions[0])[1:]
    known = [(group["dice"]["mean"], names[0]) for names, group in others]
    return max((pair for pair in known if pair[0] is not None), default=None)


def _section(condition: Condition, groups: Groups, results: Sequence[CaseResult]) -> dict[str, Any]:
    """Everything about one protocol and number of shots."""
    rows = [r for r in results if (r.protocol, r.shots) == (condition.protocol, condition.shots)]
    supports = [m for m in MODALITIES if any(r.support_modality == m for r in rows)]
    queries = [m for m in MODALITIES if any(r.query_modality == m for r in rows)]
    methods = groups.by_method(condition)
    tables: dict[str, dict[tuple[str, str], tuple[float, int]]] = {name: {} for (name,), _ in methods}
    for method, table in tables.items():
        for support in supports:
            for query in queries:
                group = groups.get(condition, method, support, query)
                if group is not None and group["dice"]["mean"] is not None:
                    table[modality_name(support), modality_name(query)] = group["dice"]["mean"], group["n"]
    values: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        values.setdefault(row.organ, {}).setdefault(row.method, []).append(row.dice)
    names = ([modality_name(m) for m in modalities] for modalities in (supports, queries))
    colours = {m: SERIES[groups.methods.index(m) % len(SERIES)] for m in tables}
    return {
        "condition": condition,
        "methods": methods,
        "lines": groups.by_organ(condition),
        "matrix": matrix_figure(tables, *names) if any(tables.values()) else "",
        "boxes": box_figure(values, colours) if any(math.isfinite(row.dice) for row in rows) else "",
    }


def _gap(groups: Groups, summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """Honest against legacy: the same network, the same pairs."""
    rows = [row for row in summary.get("gap", ()) if row["method"] == groups.methods[0]]
    if not rows:
        return None
    rows = [row for row in rows if row["shots"] == rows[0]["shots"]]
    over_all = [r for r in rows if (r["support_modality"], r["organ"]) == (ALL, ALL)]
    lines = [("all cases", r["honest"], r["legacy"]) for r in over_all]
    directions = [r for r in rows if r["support_modality"] != ALL and r["organ"] == ALL]
    lines += [(direction(r), r["honest"], r["legacy"]) for r in directions]
    organs = [r for r in rows if r["support_modality"] == ALL and r["organ"] != ALL]
    lines += [(r["organ"], r["honest"], r["legacy"]) for r in organs]
    return {"total": over_all[0], "svg": gap_figure(lines)}


def _confidence(results: Sequence[CaseResult]) -> dict[str, Any] | None:
    """Whether the method under test knows how good its answers are."""
    known = [
        r for r in results if r.protocol != "legacy" and math.isfinite(r.confidence) and math.isfinite(r.dice)
    ]
    bins = reliability(known)
    if len(bins) < 2:
        return None
    error = sum(abs(expected - reached) * count for expected, reached, count in bins) / len(known)
    svg = reliability_figure([(r.confidence, r.dice) for r in known], bins)
    return {"count": len(known), "error": error, "svg": svg}


def _pictures(results: Sequence[CaseResult], pictures: Mapping[str, bytes]) -> list[tuple[str, list[Any]]]:
    """Best and worst case of each organ: label, row and picture in base64."""
    of_organ: dict[str, list[CaseResult]] = {}
    for row in results:
        if row.method == results[0].method and row.key in pictures and math.isfinite(row.dice):
            of_organ.setdefault(row.organ, []).append(row)
    found = []
    for organ, rows in of_organ.items():
        rows.sort(key=lambda row: -row.dice)
        ends = [("Best", rows[0]), ("Worst", rows[-1])]
        ends = ends if rows[0].key != rows[-1].key else [("The only case", rows[0])]
        found.append(
            (organ, [(name, row, base64.b64encode(pictures[row.key]).decode()) for name, row in ends])
        )
    return found
