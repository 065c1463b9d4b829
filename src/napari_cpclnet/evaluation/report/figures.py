"""Figures of the report: SVG that takes its ink from the page, so that it reads on light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextPath

# Colours that matplotlib writes and the page replaces by its own.
_INK, _MUTED, _LINE, _ACCENT = "#010203", "#040506", "#070809", "#0a0b0c"
_VARIABLES = {_INK: "var(--ink)", _MUTED: "var(--muted)", _LINE: "var(--line)", _ACCENT: "var(--accent)"}

# Okabe and Ito without black and yellow: distinct in every form of colour blindness, legible on light and dark.
SERIES = ("#0a9d76", "#d9730d", "#3b8fd0", "#c56ba0", "#b8960c", "#8a8f98")

_RC: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "text.parse_math": False,
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _MUTED,
    "axes.edgecolor": _LINE,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}


def matrix_figure(
    tables: Mapping[str, Mapping[tuple[str, str], tuple[float, int]]],
    supports: Sequence[str],
    queries: Sequence[str],
) -> str:
    """Mean Dice by support (rows) and query (columns) modality, one block per method.

    Parameters
    ----------
    tables : mapping of str to mapping
        For each method (mean, number of cases) of each (support, query).
    supports, queries : sequence of str
        Order of rows and columns.

    Returns
    -------
    str
        An <svg> element.
    """
    per_row, cell = 3, 0.66
    columns, rows = min(per_row, len(tables)), -(-len(tables) // per_row)
    left, top, gap, bottom = 0.75, 0.62, 0.25, 0.15
    block_width, block_height = len(queries) * cell, len(supports) * cell
    width = columns * (left + block_width + gap)
    height = rows * (top + block_height + bottom)
    with matplotlib.rc_context(_RC):
        figure = Figure(figsize=(width, height))
        for place, (method, table) in enumerate(tables.items()):
            row, column = divmod(place, per_row)
            x = (column * (left + block_width + gap) + left) / width
            y = 1 - (row * (top + block_height + bottom) + top + block_height) / height
            axes = figure.add_axes((x, y, block_width / width, block_height / height))
            _draw_matrix(axes, table, supports, queries)
            above = y + (block_height + 0.38) / height
            figure.text(x, above, method, fontsize=11, fontweight="bold")
        return _svg(figure, "Mean Dice by support and query modality")


def _draw_matrix(
    axes: Any,
    table: Mapping[tuple[str, str], tuple[float, int]],
    supports: Sequence[str],
    queries: Sequence[str],
) -> None:
    for i, support in enumerate(supports):
        for j, query in enumerate(queries):
            mean, count = table.get((support, query), (float("nan"), 0))
            if count == 0 or not np.isfinite(mean):
                axes.text(j + 0.5, i + 0.5, "–", ha="center", va="center", fontsize=12)
                continue
            # the page's accent, more opaque where Dice is higher: the page's ink stays legible on it
            alpha = 0.08 + 0.62 * float(np.clip(mean, 0, 1))
            axes.add_patch(Rectangle((j + 0.03, i + 0.03), 0.94, 0.94, facecolor=_ACCENT, alpha=alpha))
            axes.text(j + 0.5, i + 0.44, f"{mean:.2f}", ha="center", va="center", fontsize=12)
            axes.text(j + 0.5, i + 0.76, f"n {count}", ha="center", va="center", fontsize=7)
    axes.set(xlim=(0, len(queries)), ylim=(len(supports), 0))
    axes.set_xticks(np.arange(len(queries)) + 0.5, queries)
    axes.set_yticks(np.arange(len(supports)) + 0.5, [f"{m} →" for m in supports])
    axes.xaxis.tick_top()
    _bare(axes, 3)


def box_figure(
    values: Mapping[str, Mapping[str, Sequence[float]]],
    colours: Mapping[str, str],
    label: str = "Dice",
) -> str:
    """Dice of every case: for each organ one box per method, with its cases as dots.

    Parameters
    ----------
    values : mapping of organ to mapping of method to Dice values
        Values that are not finite are left out.
    colours : mapping of method to colour
        Also the order of the methods.
    """
    step, pad = 0.24, 0.3
    methods = list(colours)
    block = len(methods) * step + pad
    height = len(values) * block + 1.0
    with matplotlib.rc_context(_RC):
        figure = Figure(figsize=(8.6, height))
        axes = figure.add_axes((0.17, 0.5 / height, 0.81, 1 - 1.0 / height))
        ticks = []
        for place, organ in enumerate(values):
            middle = place * block + block / 2
            ticks.append(middle)
            if place:
                axes.axhline(place * block, color=_LINE, linewidth=0.8)
            for k, method in enumerate(methods):
                found = np.array([v for v in values[organ].get(method, ()) if np.isfinite(v)])
                if found.size:
                    y = middle + (k - (len(methods) - 1) / 2) * step
                    _draw_box(axes, found, y, step, colours[method])
        axes.set(xlim=(-0.015, 1.015), ylim=(len(values) * block, 0), xlabel=label)
        axes.set_yticks(ticks, list(values))
        axes.set_xticks(np.arange(0, 1.01, 0.2))
        axes.grid(axis="x", color=_LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        _bare(axes, 6)
        _draw_legend(figure, colours, 1 - 0.3 / height, 0.17)
        return _svg(figure, "Dice of every case by organ and method")


def _draw_box(axes: Any, found: Any, y: float, step: float, colour: str) -> None:
    axes.boxplot(
        found,
        positions=[y],
        orientation="horizontal",
        widths=step * 0.7,
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": colour, "edgecolor": "none", "alpha": 0.35},
        medianprops={"color": colour, "linewidth": 2.5, "solid_capstyle": "butt"},
        whiskerprops={"color": colour, "linewidth": 1},
        capprops={"linewidth": 0},
    )
    # spread by a fixed pattern, so that equal values do not hide each other
    offsets = ((np.arange(found.size) * 0.618) % 1 - 0.5) * step * 0.45
    axes.scatter(found, y + offsets, s=9, color=colour, edgecolors="none", alpha=0.9, zorder=3)


def gap_figure(rows: Sequence[tuple[str, float, float]]) -> str:
    """What the published protocol adds: honest and legacy mean Dice as two ends of a line.

    Parameters
    ----------
    rows : sequence of (name, honest, legacy)
    """
    height = 0.34 * len(rows) + 1.0
    with matplotlib.rc_context(_RC):
        figure = Figure(figsize=(8.6, height))
        axes = figure.add_axes((0.30, 0.5 / height, 0.68, 1 - 1.0 / height))
        for place, (_, honest, legacy) in enumerate(rows):
            axes.plot([honest, legacy], [place, place], color=_MUTED, linewidth=1.5, zorder=2, alpha=0.6)
            axes.scatter([honest], [place], s=52, color=SERIES[0], edgecolors="none", zorder=3)
            axes.scatter([legacy], [place], s=52, color=SERIES[1], edgecolors="none", zorder=3)
            axes.text(
                max(honest, legacy) + 0.02,
                place,
                f"{legacy - honest:+.2f}",
                va="center",
                fontsize=9,
                color=_MUTED,
            )
        axes.set(xlim=(-0.015, 1.08), ylim=(len(rows) - 0.5, -0.5), xlabel="Mean Dice")
        axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
        axes.set_xticks(np.arange(0, 1.01, 0.2))
        axes.grid(axis="x", color=_LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        _bare(axes, 6)
        _draw_legend(figure, {"honest": SERIES[0], "legacy": SERIES[1]}, 1 - 0.3 / height, 0.30)
        return _svg(figure, "Mean Dice under the honest and the legacy protocol")


def reliability_figure(
    answers: Sequence[tuple[float, float]], bins: Sequence[tuple[float, float, int]]
) -> str:
    """Dice that was expected against Dice that was reached; on the diagonal both are the same.

    Parameters
    ----------
    answers : sequence of (expected, reached)
    bins : sequence of (expected, reached, number of answers)
        Means of answers of which about the same was expected.
    """
    with matplotlib.rc_context(_RC):
        figure = Figure(figsize=(4.4, 4.2))
        axes = figure.add_axes((0.14, 0.13, 0.84, 0.85))
        axes.plot([0, 1], [0, 1], color=_LINE, linewidth=1.2, zorder=1)
        expected, reached = zip(*answers, strict=True)
        axes.scatter(expected, reached, s=9, color=_MUTED, edgecolors="none", alpha=0.45, zorder=2)
        sizes = [30 + 4 * count for _, _, count in bins]
        axes.plot([e for e, _, _ in bins], [r for _, r, _ in bins], color=SERIES[0], linewidth=1.5, zorder=3)
        axes.scatter(
            [e for e, _, _ in bins],
            [r for _, r, _ in bins],
            s=np.minimum(sizes, 160),
            color=SERIES[0],
            edgecolors="none",
            zorder=4,
        )
        axes.set(
            xlim=(-0.02, 1.02),
            ylim=(-0.02, 1.02),
            xlabel="Dice that was expected",
            ylabel="Dice that was reached",
        )
        axes.grid(color=_LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        _bare(axes, 6)
        return _svg(figure, "Dice that was expected against Dice that was reached")


def _bare(axes: Any, pad: float) -> None:
    """Labels without ticks and frame."""
    axes.tick_params(length=0, pad=pad)
    for side in axes.spines.values():
        side.set_visible(False)


def _draw_legend(figure: Figure, colours: Mapping[str, str], y: float, x: float) -> None:
    width, height = figure.get_size_inches()
    for name, colour in colours.items():
        figure.add_artist(Rectangle((x, y), 0.11 / width, 0.11 / height, color=colour))
        figure.text(x + 0.18 / width, y + 0.055 / height, name, va="center_baseline", fontsize=10)
        x += (0.42 + TextPath((0, 0), name, size=10).get_extents().width / 72) / width


def _svg(figure: Figure, title: str) -> str:
    """Inline <svg> without prologue, metadata or namespaces, which HTML does not need."""
    text = io.StringIO()
    FigureCanvasSVG(figure).print_svg(text)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'^<svg([^>]*?) width="[^"]*"', r"<svg\1", svg)
    svg = re.sub(r'^<svg([^>]*?) height="[^"]*"', r"<svg\1", svg)
    width = round(float(figure.get_size_inches()[0]) * 96)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{title}" style="max-width:{width}px"', 1)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg
