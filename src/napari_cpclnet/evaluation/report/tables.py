"""Tables of the report, from the summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from napari_cpclnet.evaluation.summary import ALL

Group = Mapping[str, Any]

_MODALITIES = {"PT": "PET"}
_PHRASES = {
    "honest": "painted on another patient",
    "legacy": "painted, under the published protocol",
    "same-volume": "painted on the same scan",
}
_TITLES = {"honest": "Across patients", "legacy": "As published", "same-volume": "Rest of the same scan"}
_COLUMNS = (
    ("median", "dice", "median", 2),
    ("worst decile", "dice", "worst_decile", 2),
    ("surface Dice", "surface_dice", "mean", 2),
    ("HD95, mm", "hd95_mm", "mean", 0),
    ("volume error", "relative_volume_error", "mean", 2),
    ("false ml", "false_ml", "mean", 0),
    ("seconds", "seconds", "median", 1),
)


@dataclass(frozen=True)
class Condition:
    """A protocol with a number of painted slices."""

    protocol: str
    shots: int

    @property
    def title(self) -> str:
        return f"{_TITLES.get(self.protocol, self.protocol)}, {slices(self.shots)}"

    @property
    def phrase(self) -> str:
        count = f"{self.shots} slice{'s' if self.shots != 1 else ''}"
        return f"{count} {_PHRASES.get(self.protocol, 'painted, protocol ' + self.protocol)}"


class Groups:
    """The groups of a summary by what they are groups of; conditions and methods in order of appearance."""

    def __init__(self, summary: Mapping[str, Any]) -> None:
        groups: Sequence[Group] = summary.get("groups", ())
        self.conditions = list(dict.fromkeys(Condition(g["protocol"], g["shots"]) for g in groups))
        self.methods: list[str] = list(dict.fromkeys(g["method"] for g in groups))
        self._groups = {
            (
                Condition(g["protocol"], g["shots"]),
                g["method"],
                g["support_modality"],
                g["query_modality"],
                g["organ"],
            ): g
            for g in groups
        }

    def get(
        self, condition: Condition, method: str, support: str = ALL, query: str = ALL, organ: str = ALL
    ) -> Group | None:
        """One group, or None."""
        return self._groups.get((condition, method, support, query, organ))

    def of(self, condition: Condition) -> list[Group]:
        """All groups of a condition."""
        return [group for key, group in self._groups.items() if key[0] == condition]


def number(value: float | None, digits: int = 2) -> str:
    """A number with fixed digits, or a dash."""
    return "–" if value is None or value != value else f"{value:.{digits}f}"


def slices(count: int) -> str:
    """In words: 1 painted slice, 5 painted slices."""
    return f"{count} painted slice{'s' if count != 1 else ''}"


def modality_name(modality: str) -> str:
    """As people say it: PET for DICOM's PT."""
    return _MODALITIES.get(modality, modality)


def arrow(support: str, query: str) -> str:
    """Direction in a few signs: CT → MR."""
    return f"{modality_name(support)} → {modality_name(query)}"


def methods_table(groups: Groups, condition: Condition, methods: Sequence[str]) -> str:
    """One line per method, over all organs and modalities."""
    lines = []
    for method in methods:
        group = groups.get(condition, method)
        if group is not None:
            lines.append(([f'<td class="name">{escape(method)}</td>'], group, method == groups.methods[0]))
    return _score_table(['<th class="name">Method</th>'], lines, bars=True)


def all_numbers_table(groups: Groups, condition: Condition) -> str:
    """Folded away: one line per organ, direction and method."""
    lines = []
    found = [g for g in groups.of(condition) if g["organ"] != ALL and g["support_modality"] != ALL]
    organs = list(dict.fromkeys(g["organ"] for g in found))
    found.sort(
        key=lambda g: (
            organs.index(g["organ"]),
            g["support_modality"],
            g["query_modality"],
            groups.methods.index(g["method"]),
        )
    )
    for group in found:
        names = (
            group["organ"],
            arrow(group["support_modality"], group["query_modality"]),
            group["method"],
        )
        cells = [f'<td class="name">{escape(name)}</td>' for name in names]
        lines.append((cells, group, group["method"] == groups.methods[0]))
    heads = [f'<th class="name">{name}</th>' for name in ("Organ", "Support → query", "Method")]
    table = _score_table(heads, lines, bars=False)
    return f"<details><summary>All numbers by organ and direction</summary>{table}</details>"


def _score_table(heads: Sequence[str], lines: Sequence[tuple[list[str], Group, bool]], *, bars: bool) -> str:
    head = "".join([*heads, "<th>cases</th><th>mean Dice, 95 % interval</th>"])
    head += "".join(f"<th>{name}</th>" for name, *_ in _COLUMNS) + "<th>missed</th>"
    rows = []
    for cells, group, first in lines:
        dice = group["dice"]
        row = [*cells, f"<td>{group['n']}</td>"]
        length = 100 * (dice["mean"] or 0)
        bar = f'<span class="bar"><i style="width:{length:.0f}%"></i></span>' if bars else ""
        interval = "" if dice["low"] is None else f"{dice['low']:.2f}–{dice['high']:.2f}"
        row.append(
            f'<td>{bar}<span class="mean">{number(dice["mean"])}</span><span class="range">{interval}</span></td>'
        )
        row += [f"<td>{number(group[measure][kind], digits)}</td>" for _, measure, kind, digits in _COLUMNS]
        row.append(f"<td>{group['missed']}</td>")
        mark = ' class="first"' if first else ""
        rows.append(f"<tr{mark}>{''.join(row)}</tr>")
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def shots_table(groups: Groups) -> str:
    """Mean Dice by number of painted slices, for protocols that were run with several."""
    found = []
    for protocol in dict.fromkeys(c.protocol for c in groups.conditions):
        conditions = sorted((c for c in groups.conditions if c.protocol == protocol), key=lambda c: c.shots)
        if len(conditions) < 2:
            continue
        head = "".join(f"<th>{slices(c.shots)}</th>" for c in conditions)
        rows = []
        for method in groups.methods:
            cells = []
            for condition in conditions:
                group = groups.get(condition, method)
                cells.append(f"<td>{number(group['dice']['mean'] if group else None)}</td>")
            first = ' class="first"' if method == groups.methods[0] else ""
            rows.append(f'<tr{first}><td class="name">{escape(method)}</td>{"".join(cells)}</tr>')
        found.append(
            f"<h2>More painted slices</h2><p>Mean Dice, {escape(_TITLES.get(protocol, protocol).lower())}.</p>"
            f'<div class="scroll"><table><thead><tr><th class="name">Method</th>{head}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div>"
        )
    return "\n".join(found)


def absent_table(groups: Groups) -> str:
    """Per organ and method: queries without the organ; empty text if there are none."""
    rows = []
    for condition in groups.conditions:
        for group in groups.of(condition):
            if group["absent"] and group["organ"] != ALL and group["support_modality"] == ALL:
                names = (condition.title, group["organ"], group["method"])
                cells = "".join(f'<td class="name">{escape(name)}</td>' for name in names)
                counts = f"<td>{group['absent']}</td><td>{group['absent_predicted']}</td>"
                rows.append(f"<tr>{cells}{counts}<td>{number(group['absent_ml'], 1)}</td></tr>")
    if not rows:
        return ""
    head = "".join(f'<th class="name">{name}</th>' for name in ("Protocol", "Organ", "Method"))
    head += "<th>cases</th><th>with a prediction</th><th>mean ml</th>"
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def facts_lists(facts: Mapping[str, Any]) -> str:
    """Definition lists: plain facts first, then one list per mapping."""
    plain = {name: value for name, value in facts.items() if not isinstance(value, Mapping)}
    lists: list[tuple[str, Mapping[str, Any]]] = [("Run", plain)] if plain else []
    lists += [(name, value) for name, value in facts.items() if isinstance(value, Mapping)]
    found = [
        f"<section><h3>{escape(_words(name).capitalize())}</h3><dl>{_definitions(values)}</dl></section>"
        for name, values in lists
    ]
    return f'<div class="columns">{"".join(found)}</div>'


def _definitions(values: Mapping[str, Any]) -> str:
    return "".join(
        f"<dt>{escape(_words(name))}</dt><dd>{escape(_text(value))}</dd>" for name, value in values.items()
    )


def _words(name: str) -> str:
    return str(name).replace("_", " ")


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{_words(k)} {_text(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(v) for v in value)
    return str(value)
