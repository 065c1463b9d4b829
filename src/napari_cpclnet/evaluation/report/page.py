"""The report: one HTML file that needs nothing else and says nothing of patients beyond the table's own names."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from napari_cpclnet.evaluation.baselines.registry import DESCRIPTIONS
from napari_cpclnet.evaluation.report.figures import (
    SERIES,
    box_figure,
    gap_figure,
    matrix_figure,
    reliability_figure,
)
from napari_cpclnet.evaluation.report.style import STYLE
from napari_cpclnet.evaluation.report.tables import (
    Condition,
    Groups,
    absent_table,
    all_numbers_table,
    arrow,
    facts_lists,
    methods_table,
    modality_name,
    number,
    shots_table,
)
from napari_cpclnet.evaluation.results import CaseResult, write_text
from napari_cpclnet.evaluation.summary import ALL, reliability
from napari_cpclnet.imaging import MODALITIES

_PROTOCOLS = {
    "honest": "Support and query are different patients. Support slices are chosen on the support alone, every slice "
    "of the query counts, its truth is opened after the prediction is final.",
    "legacy": "The published protocol: the organ's first and last slice are read from the query's truth, all other "
    "slices are dropped, and each third gets its own support slice. These numbers say nothing about use on new scans.",
    "same-volume": "Some slices of a scan are painted, the rest of the same scan is segmented. Painted slices do not "
    "count.",
}
_MEASURES = """
<dl>
<dt>Dice</dt><dd>Overlap of prediction and truth in 3-D: 0 none, 1 perfect. Every case counts.</dd>
<dt>Surface Dice</dt><dd>Share of both surfaces that lies within the tolerance (in mm, see the settings) of the
other.</dd>
<dt>HD95</dt><dd>95th percentile of the distances between the surfaces; unknown where nothing was predicted.</dd>
<dt>Volume error</dt><dd>Absolute difference of the volumes, as a part of the true one.</dd>
<dt>False ml</dt><dd>Predicted ml in slices that do not show the organ.</dd>
<dt>Worst decile</dt><dd>A tenth of the cases is worse than this.</dd>
<dt>Interval</dt><dd>95 % bootstrap interval of the mean over patients.</dd>
<dt>Absent organs</dt><dd>A query without the organ has no Dice; what was predicted there is listed apart.</dd>
</dl>
"""


def write_report(
    results: Sequence[CaseResult],
    summary: Mapping[str, Any],
    out: Path,
    pictures: Mapping[str, bytes],
    facts: Mapping[str, Any],
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
    facts : mapping
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
    write_text(out, report_html(results, summary, pictures, facts))
    return out


def report_html(
    results: Sequence[CaseResult],
    summary: Mapping[str, Any],
    pictures: Mapping[str, bytes],
    facts: Mapping[str, Any],
) -> str:
    """Text of the report; arguments as in :func:`write_report`."""
    groups = Groups(summary)
    body = [_head(groups, facts)]
    # what was asked for first, with its pictures, before what is only compared with it
    sections = [_condition(condition, groups, results) for condition in groups.conditions]
    body += sections[:1]
    body.append(_pictures(results, pictures))
    body.append(_confidence(results))
    body.append(_gap(groups, summary))
    body.append(shots_table(groups))
    body += sections[1:]
    body.append(_absent(groups))
    body.append(_method_notes(groups))
    body.append("<h2>How to read the numbers</h2>" + _MEASURES)
    body.append("<h2>Settings and versions</h2>" + facts_lists(facts))
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Evaluation of {escape(groups.methods[0] if groups.methods else 'nothing')}</title>\n"
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def _head(groups: Groups, facts: Mapping[str, Any]) -> str:
    """Title, the result in a sentence, and five numbers."""
    shown = [f"{name} {facts[name]}" for name in ("weights", "device", "date") if facts.get(name)]
    if facts.get("cases"):
        shown.append(f"{facts['cases']} scans of {facts.get('patients', '?')} patients")
    meta = f'<p class="meta">{escape(" · ".join(shown))}</p>'
    if not groups.conditions:
        return f"<header><h1>Evaluation</h1>{meta}<p>There are no results yet.</p></header>"
    condition, method = groups.conditions[0], groups.methods[0]
    main = groups.get(condition, method)
    title = f'<p class="eyebrow">napari-cpclnet</p><h1>Evaluation of {escape(method)}</h1>'
    if main is None or not main["n"]:
        return f"<header>{title}{meta}<p>No query shows an organ that was asked for.</p></header>"
    dice = main["dice"]
    interval = "" if dice["low"] is None else f" (95 % interval {dice['low']:.2f} to {dice['high']:.2f})"
    patients = f"{main['patients']} patient{'s' if main['patients'] != 1 else ''}"
    sentence = (
        f"{escape(method)} reaches a mean Dice of <b>{number(dice['mean'])}</b>{interval} in {main['n']} cases of "
        f"{patients}, with {escape(condition.phrase)}. A tenth of the cases stays below "
        f"{number(dice['worst_decile'])}."
    )
    others = [(groups.get(condition, name), name) for name in groups.methods[1:]]
    known = [
        (g["dice"]["mean"], name) for g, name in others if g is not None and g["dice"]["mean"] is not None
    ]
    if known:
        best, name = max(known)
        sentence += f" The best baseline, {escape(name)}, reaches {number(best)}."
    tiles = (
        (number(dice["mean"]), "mean Dice" + interval.replace(" (", ", ").replace(")", "")),
        (number(dice["worst_decile"]), "Dice that a tenth of the cases fails to reach"),
        (number(main["surface_dice"]["mean"]), "mean surface Dice"),
        (number(main["false_ml"]["mean"], 0) + " ml", "mean false positives in organ-free slices"),
        (number(main["seconds"]["median"], 1) + " s", "median time of a case"),
    )
    boxes = "".join(f"<div><b>{value}</b><span>{label}</span></div>" for value, label in tiles)
    warning = f'<p class="warn">{_PROTOCOLS["legacy"]}</p>' if condition.protocol == "legacy" else ""
    return f'<header>{title}<p class="lead">{sentence}</p>{warning}<div class="tiles">{boxes}</div>{meta}</header>'


def _condition(condition: Condition, groups: Groups, results: Sequence[CaseResult]) -> str:
    """Everything about one protocol and number of shots."""
    rows = [r for r in results if (r.protocol, r.shots) == (condition.protocol, condition.shots)]
    supports = [m for m in MODALITIES if any(r.support_modality == m for r in rows)]
    queries = [m for m in MODALITIES if any(r.query_modality == m for r in rows)]
    methods = [m for m in groups.methods if groups.get(condition, m) is not None]
    tables: dict[str, dict[tuple[str, str], tuple[float, int]]] = {}
    for method in methods:
        tables[method] = {}
        for support in supports:
            for query in queries:
                group = groups.get(condition, method, support, query)
                if group is not None and group["dice"]["mean"] is not None:
                    key = (modality_name(support), modality_name(query))
                    tables[method][key] = (group["dice"]["mean"], group["n"])
    values: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        values.setdefault(row.organ, {}).setdefault(row.method, []).append(row.dice)
    found = [f"<h2>{escape(condition.title)}</h2><p>{_PROTOCOLS.get(condition.protocol, '')}</p>"]
    found.append(methods_table(groups, condition, methods))
    if any(tables.values()):
        figure = matrix_figure(
            tables, [modality_name(m) for m in supports], [modality_name(m) for m in queries]
        )
        found.append(
            _figure(
                figure,
                "Mean Dice of each support modality (rows) on each query modality (columns), all organs.",
            )
        )
    if any(math.isfinite(v) for organ in values.values() for dice in organ.values() for v in dice):
        figure = box_figure(values, {m: _colour(groups, m) for m in methods})
        found.append(
            _figure(
                figure, "Every case. Boxes reach from the first to the third quartile, lines mark medians."
            )
        )
    found.append(all_numbers_table(groups, condition))
    return "\n".join(found)


def _colour(groups: Groups, method: str) -> str:
    return SERIES[groups.methods.index(method) % len(SERIES)]


def _gap(groups: Groups, summary: Mapping[str, Any]) -> str:
    """Honest against legacy: the same network, the same pairs."""
    method = groups.methods[0] if groups.methods else ""
    rows = [row for row in summary.get("gap", ()) if row["method"] == method]
    if not rows:
        return ""
    shots = rows[0]["shots"]
    rows = [row for row in rows if row["shots"] == shots]
    over_all = [r for r in rows if (r["support_modality"], r["organ"]) == (ALL, ALL)]
    directions = [r for r in rows if r["support_modality"] != ALL and r["organ"] == ALL]
    organs = [r for r in rows if r["support_modality"] == ALL and r["organ"] != ALL]
    lines = [("all cases", r["honest"], r["legacy"]) for r in over_all]
    lines += [
        (arrow(r["support_modality"], r["query_modality"]), r["honest"], r["legacy"]) for r in directions
    ]
    lines += [(r["organ"], r["honest"], r["legacy"]) for r in organs]
    total = over_all[0]
    text = (
        f"The same weights on the same {total['n']} pairs of support and query: {number(total['honest'])} honest with "
        f"{shots} painted slices, {number(total['legacy'])} under the published protocol, which is told where the "
        "organ begins and ends and leaves out all other slices. The difference of "
        f"{total['gap']:+.2f} is the protocol's."
    )
    return f"<h2>What the published protocol hides</h2><p>{text}</p>" + _figure(
        gap_figure(lines), f"Mean Dice of {escape(method)} under both protocols, and legacy minus honest."
    )


def _confidence(results: Sequence[CaseResult]) -> str:
    """Whether the method under test knows how good its answers are."""
    known = [
        r for r in results if r.protocol != "legacy" and math.isfinite(r.confidence) and math.isfinite(r.dice)
    ]
    bins = reliability(known)
    if len(bins) < 2:
        return ""
    error = sum(abs(expected - reached) * count for expected, reached, count in bins) / len(known)
    text = (
        f"With every answer comes the Dice to expect of it. Over {len(known)} answers it was off by {number(error)} on "
        "average over the groups of the figure."
    )
    figure = reliability_figure([(r.confidence, r.dice) for r in known], bins)
    caption = (
        "Every point is an answer; the line joins means of answers of which about the same was expected."
    )
    return f"<h2>Whether it knows how good it is</h2><p>{text}</p>" + _figure(figure, caption)


def _pictures(results: Sequence[CaseResult], pictures: Mapping[str, bytes]) -> str:
    """Best and worst case of each organ."""
    method = results[0].method if results else ""
    of_organ: dict[str, list[CaseResult]] = {}
    for row in results:
        if row.method == method and row.key in pictures and math.isfinite(row.dice):
            of_organ.setdefault(row.organ, []).append(row)
    if not of_organ:
        return ""
    found = [
        f"<h2>Best and worst cases</h2><p>{escape(method)}, in the slice that shows most of the organ.</p>"
    ]
    for organ, rows in of_organ.items():
        rows.sort(key=lambda row: -row.dice)
        found.append(f"<h3>{escape(organ)}</h3>")
        ends = [(rows[0], "Best")] + ([(rows[-1], "Worst")] if rows[-1].key != rows[0].key else [])
        for row, label in ends:
            label = label if len(ends) > 1 else "The only case"
            image = base64.b64encode(pictures[row.key]).decode("ascii")
            caption = (
                f"<b>{label}: Dice {number(row.dice)}</b> in the whole scan. Support {_scan(row, 'support')}, query "
                f"{_scan(row, 'query')}; {row.shots} painted slice{'s' if row.shots != 1 else ''}, "
                f"{number(row.predicted_ml, 0)} ml predicted, {number(row.truth_ml, 0)} ml true."
            )
            alt = escape(f"{label} case of {organ}: truth, prediction and errors")
            found.append(
                f'<figure><img src="data:image/png;base64,{image}" alt="{alt}">'
                f"<figcaption>{caption}</figcaption></figure>"
            )
    return "\n".join(found)


def _scan(row: CaseResult, side: str) -> str:
    modality, patient = getattr(row, f"{side}_modality"), getattr(row, f"{side}_patient")
    return f"{escape(modality_name(modality))} of {escape(patient)}"


def _absent(groups: Groups) -> str:
    table = absent_table(groups)
    if not table:
        return ""
    return (
        "<h2>Queries without the organ</h2><p>They have no Dice. The right answer is nothing; this is what was "
        f"predicted.</p>{table}"
    )


def _method_notes(groups: Groups) -> str:
    known = [name for name in groups.methods if name in DESCRIPTIONS]
    if not known:
        return ""
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(DESCRIPTIONS[name])}</dd>" for name in known)
    return (
        "<h2>Baselines</h2><p>Their settings are fixed; nothing is tuned on a query. All methods get the same painted "
        f"slices.</p><dl>{rows}</dl>"
    )


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"
