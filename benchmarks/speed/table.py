"""The page of `run.py`: targets, cases, stages with their distance from the machine, and curves of growth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Figures = dict[str, dict[str, Any]]
NETWORK = (
    "encode",
    "describe the support (CRPD)",
    "match, appearance",
    "RAMP",
    "decode",
    "prior decoder",
    "register: name structures",
)
"""Stages that are products and convolutions of a network."""
GB = 1e9 / 2**20
CURVES = {
    "slices": ("z", tuple(f"{z}x256x1x5" for z in (16, 32, 64, 128)), 0),
    "pixels a side": ("side", tuple(f"32x{side}x1x5" for side in (128, 256, 384, 512)), 1),
    "classes": ("classes", tuple(f"32x256x{classes}x5" for classes in (1, 2, 4, 6)), 2),
    "painted slices": ("shots", tuple(f"32x256x1x{shots}" for shots in (1, 2, 5, 10, 20)), 3),
}


def page(found: Figures, facts: dict[str, str], exponents: dict[str, float]) -> str:
    """All of it in Markdown."""
    limits = found.get("limits", {})
    lines = [
        "# Where the time goes",
        "",
        f"Printed by `python benchmarks/speed/run.py`; {facts['date']}, commit {facts['commit']}, weights "
        f"{limits.get('weights', 'unknown')}, {limits.get('threads', '?')} thread(s), {limits.get('processor', '')}, "
        f"load {limits.get('load', '?')} at the start. Not edited by hand.",
        "",
        "A phantom CT is labelled from painted slices of another phantom CT, both read from files. A case is slices "
        "x side x classes x painted slices; *thorough* registers the scans, *quick* does not. Computing is the time "
        "of all cores, which depends little on what else the machine does; seconds are by the clock.",
        "",
        "## Targets",
        "",
        "| target | figure | |",
        "|---|---|---|",
    ]
    lines += [f"| {what} | {figure} | {verdict} |" for what, figure, verdict in targets(found)]
    lines += ["", "## Cases", ""]
    lines += [
        "| case | | seconds | computing, s | ms a slice and class | first slice, s | peak MiB | above the scan in "
        "float32, MiB | mean Dice | commit |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, one in cases(found):
        z, _, classes, _ = (int(n) for n in one["case"].split("x"))
        above = one["peak MiB"] - one["scan as float32 MiB"]
        each = 1000 * one["computing"] / z / classes
        lines.append(
            f"| {one['case']} | {name.split()[1]} | {one['seconds']:.1f} | {one['computing']:.1f} | {each:.0f} | "
            f"{one['first slice']:.2f} | {one['peak MiB']:.0f} | {above:.0f} | {np.mean(one['dice']):.3f} | "
            f"{one.get('commit', '')} |"
        )
    lines += ["", *stage_tables(found), "", *growth(exponents), "", *machine(found)]
    return "\n".join(lines) + "\n"


def cases(found: Figures) -> Iterator[tuple[str, dict[str, Any]]]:
    """Cases that were measured, the smaller ones first."""
    named = [
        (name, one) for name, one in found.items() if "stages" in one and not name.startswith("operations")
    ]
    return iter(sorted(named, key=lambda pair: (pair[0].split()[1], *map(int, pair[1]["case"].split("x")))))


def targets(found: Figures) -> Iterator[tuple[str, str, str]]:
    """What is aimed at, the figure, and whether it was reached."""

    def verdict(value: float, most: float) -> str:
        return "reached" if value <= most else "**not reached**"

    def clocked(seconds: float, computing: float, most: float) -> str:
        if seconds > most >= computing:
            return "reached in computing; by the clock others had the machine"
        return verdict(seconds, most)

    limits = found.get("limits")
    if limits:
        rates = [value for name, value in limits.items() if name.startswith("convolution fp32")]
        share = limits["encoder"] / max(rates)
        plain = limits["encoder"] / limits["convolution fp32"]
        figure = f"{100 * share:.0f} % of the better layout, {100 * plain:.0f} % of the plain one"
        yield (
            "encoder at 60 % of the machine's rate of convolution (fp32)",
            figure,
            "reached"
            if share >= 0.6
            else "**not reached**" + (", but in its own layout" if plain >= 0.6 else ""),
        )
    for how in ("quick", "thorough"):

        def case(name: str, how: str = how) -> dict[str, Any] | None:
            return found.get(f"{name} {how}")

        if one := case("100x512x4x5"):
            rest = 1 - sum(one["stages"].get(name, 0) for name in NETWORK) / one["computing"]
            yield f"what is no network under 20 % of a run, {how}", f"{100 * rest:.0f} %", verdict(rest, 0.2)
        if (first := case("100x512x1x5")) and (six := case("100x512x6x5")):
            further = (six["computing"] - first["computing"]) / 5 / first["computing"]
            figure = f"{100 * further:.0f} %"
            yield f"each further class under 25 % of the first, {how}", figure, verdict(further, 0.25)
        if (first := case("100x512x1x1")) and (twenty := case("100x512x1x20")):
            times = twenty["computing"] / first["computing"]
            yield f"20 painted slices under 1.5 times one, {how}", f"{times:.2f} times", verdict(times, 1.5)
        if one := case("100x512x4x5"):
            late, own = one["first slice"], one.get("first slice, computing", np.inf)
            figure = f"{late:.2f} s by the clock" + (f", {own:.2f} s of computing" if own < np.inf else "")
            yield f"first slice of 512 x 512 x 100 within 1 s, {how}", figure, clocked(late, own, 1)
            seconds, computing = one["seconds"], one["computing"]
            figure = f"{seconds:.1f} s by the clock, {computing:.1f} s of computing"
            what = f"the whole scan with four classes under 15 s, {how}"
            yield what, figure, clocked(seconds, computing, 15)
        room = 1.5 if how == "quick" else 2.0
        what = f"peak memory of 512 x 512 x 600 under the scan in float32 + {room} GB, {how}"
        long = [one for name, one in cases(found) if name.startswith("600x512") and name.endswith(how)]
        if long:
            one = max(long, key=lambda c: c["peak MiB"])
            above = (one["peak MiB"] - one["scan as float32 MiB"]) / GB
            yield f"{what} ({one['case']})", f"+ {above:.2f} GB", verdict(above, room)
        else:
            yield what, "not measured", ""
    if one := found.get("dock"):
        figure = f"{one['panel, clock']:.2f} s by the clock, {one['panel, computing']:.2f} s of computing"
        yield (
            "panel there 0.5 s after napari's own window",
            figure,
            clocked(one["panel, clock"], one["panel, computing"], 0.5),
        )


def stage_tables(found: Figures) -> Iterator[str]:
    """Milliseconds and shares of the stages, and their distance from the machine."""
    limits = found.get("limits", {})
    best = max(
        (v for n, v in limits.items() if n.startswith(("convolution fp32", "matrix product fp32"))), default=0
    )
    for how in ("quick", "thorough"):
        one = found.get(f"100x512x4x5 {how}")
        if one is None:
            continue
        counted = found.get(f"operations 100x512x4x5 {how}", {}).get("operations", {})
        yield f"## Stages, 100x512x4x5 {how}"
        yield ""
        yield "Operations are those of products and convolutions, compared with the best rate of this machine in fp32."
        yield ""
        yield "| stage | computing, ms a slice | share | GFLOP | GFLOP/s | of the machine's rate |"
        yield "|---|---|---|---|---|---|"
        for name, seconds in sorted(one["stages"].items(), key=lambda pair: -pair[1]):
            cells = ["", "", ""]
            if counted.get(name) and seconds > 0:
                done = counted[name] / 1e9
                cells = [
                    f"{done:.0f}",
                    f"{done / seconds:.0f}",
                    f"{100 * done / seconds / best:.0f} %" if best else "",
                ]
            share = 100 * seconds / one["computing"]
            each = 1000 * seconds / int(one["case"].split("x")[0])
            yield f"| {name} | {each:.1f} | {share:.0f} % | {' | '.join(cells)} |"
        yield ""


def growth(exponents: dict[str, float]) -> Iterator[str]:
    """How computing grows."""
    if not exponents:
        return
    yield "## Growth"
    yield ""
    yield "![Seconds of computing by slices, pixels, classes and painted slices](growth.svg)"
    yield ""
    yield "Computing grows like a power of the number; the exponent is that of the last step, 1 is linear."
    yield ""
    yield "| by | exponent | |"
    yield "|---|---|---|"
    for name, exponent in exponents.items():
        linear = 2 if name == "pixels a side" else 1
        verdict = "worse than linear" if exponent > 1.1 * linear else "linear or better"
        note = f" in the number of pixels: {exponent / linear:.2f}" if linear == 2 else ""
        yield f"| {name} | {exponent:.2f}{note} | {verdict} |"


def machine(found: Figures) -> Iterator[str]:
    """What the machine does, how long the program takes to start, rates, and the peer."""
    titles: dict[str, tuple[str, Callable[[float], str]]] = {
        "limits": ("The machine in the same run (GFLOP/s, copying in GB/s)", lambda v: f"{v:.0f}"),
        "start": ("Start of a fresh process, seconds of computing", lambda v: f"{v:.2f}"),
        "dock": ("napari's window, and then the panel, seconds", lambda v: f"{v:.2f}"),
        "training": (
            "A training step on phantoms, recipe's sizes",
            lambda v: f"{v:.2f} ({1 / v:.2f} a second)",
        ),
        "pseudo-labels": ("Pseudo-labels of 256 x 256 pixels, of computing", lambda v: f"{v:.2f}"),
        "peer": ("UniverSeg's network, milliseconds of computing a slice and class", lambda v: f"{v:.0f}"),
    }
    for name, (title, shown) in titles.items():
        one = found.get(name)
        if one is None:
            continue
        yield f"## {title}"
        yield ""
        if "missing" in one:
            yield f"Not measured: {one['missing']}; `--peer-path` names a folder with its package."
        else:
            yield "| | |"
            yield "|---|---|"
            numbers = {key: value for key, value in one.items() if isinstance(value, float)}
            yield from (f"| {key} | {shown(value)} |" for key, value in numbers.items() if key != "load")
        yield ""


def draw_growth(found: Figures, path: Path) -> dict[str, float]:
    """Draw the curves that were measured; returns the exponent of each between its last two points."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "growth"
    from matplotlib import pyplot

    exponents: dict[str, float] = {}
    figure, axes = pyplot.subplots(1, len(CURVES), figsize=(3 * len(CURVES), 2.8), layout="constrained")
    for axis, (title, (_, names, place)) in zip(axes, CURVES.items(), strict=True):
        points = [
            (int(name.split("x")[place]), found[f"{name} thorough"])
            for name in names
            if f"{name} thorough" in found
        ]
        axis.set_xlabel(title)
        axis.set_ylim(bottom=0)
        if len(points) < 2:
            continue
        numbers = [number for number, _ in points]
        total = [one["computing"] for _, one in points]
        network = [sum(one["stages"].get(name, 0) for name in NETWORK) for _, one in points]
        axis.plot(numbers, total, marker="o", label="all")
        axis.plot(numbers, network, marker="o", label="network")
        axis.set_ylim(0, 1.1 * max(total))
        exponents[title] = float(np.log(total[-1] / total[-2]) / np.log(numbers[-1] / numbers[-2]))
    axes[0].set_ylabel("computing, s")
    if exponents:
        axes[0].legend(frameon=False)
        figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return exponents
