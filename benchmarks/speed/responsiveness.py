"""How long the window stands still in an afternoon with many scans, step by step, and whose code it is.

    xvfb-run -a -s "-screen 0 1280x1024x24 +extension GLX" python benchmarks/speed/responsiveness.py --out FILE

A real napari window of 1280x720 is worked as by hand, on phantoms: three slices of a CT are painted, the MRs of other
patients are labelled, looked at, measured, reviewed, mended, labelled again, saved and opened
(`tests/gui/many_scans.py`). While a step goes on, every stretch in which the event loop did not turn is measured
(`tests/gui/event_loop.py`), in seconds for which the window's thread computed or waited for another one of ours: what
other programs do does not count.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).parent
BOUND_S = 0.2
SHOWN_S = 0.02


def main() -> None:
    """Read the arguments, go through the afternoon and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scans", type=int, default=10, help="MRs to label")
    parser.add_argument("--quick", action="store_true", help="label without registration")
    parser.add_argument("--check", action="store_true", help="fail where the window stands still for longer")
    parser.add_argument("--out", type=Path, help="Markdown file; default: only print")
    given = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["NAPARI_CONFIG"] = str(folder / "napari.yaml")  # read when napari is imported
        os.environ["CPCLNET_STATE_DIR"] = str(folder / "state")
        sys.path[:0] = [str(HERE.parents[1] / "tests" / "gui"), str(HERE.parent / "annotation")]
        rows = afternoon(folder, given.scans, align=not given.quick)
        text = markdown(rows, given.scans, quick=given.quick)
        print(text)
        if given.out is not None:
            given.out.write_text(text)
        sys.stdout.flush()
        failed = given.check and max(block.ours for *_, block in rows) > BOUND_S
        os._exit(1 if failed else 0)  # napari takes its time to close, and nobody waits for it


def afternoon(folder: Path, scans: int, *, align: bool) -> list[tuple[str, float, Any]]:
    """Go through all steps; the worst block of each, with the seconds that the step took."""
    import napari
    from event_loop import EventLoopWatch
    from hands import Hands, register_plugin
    from many_scans import ManyScans, write_scans
    from working_day import WorkingDay, organs_of_the_sample

    files, organs = write_scans(folder, scans), organs_of_the_sample()
    register_plugin()
    viewer = napari.Viewer(show=False)
    viewer.window._qt_window.resize(1280, 720)
    viewer.window._qt_window.show()
    hands = Hands(viewer)
    hands.wait(1)
    watch, rows = EventLoopWatch(), []
    day = WorkingDay(hands, watch.script)
    for what, do in ManyScans(day, folder, files, organs, align=align).steps():
        hands.wait(0.5)
        watch.begin()
        began = time.monotonic()
        do()
        hands.wait(0.5)
        rows.append((what, time.monotonic() - began, watch.worst))
        print(f"{what}: {rows[-1][1]:.1f} s, {watch.worst.ours:.3f} s", file=sys.stderr, flush=True)
    watch.end()
    return rows


def markdown(rows: list[tuple[str, float, Any]], scans: int, *, quick: bool) -> str:
    """The table."""
    from report import commit

    options = f" --scans {scans}" if scans != 10 else ""
    longest = max(rows, key=lambda row: row[2].ours)
    lines = [
        "# How long the window stands still",
        "",
        f"Written by `python benchmarks/speed/responsiveness.py{options}{' --quick' if quick else ''} --out FILE`;",
        f"commit {commit()}, software OpenGL. Phantoms: one CT, {scans} MRs. For each step the block of the event",
        "loop with the most that is ours, in seconds of the window's thread: *whole*, and *ours*, without what is",
        "named beside it. That are calls of napari that nobody can divide (of each kind the longest in the block,",
        "less what it calls of ours), and Python's searches for garbage, most of which napari asks for when a layer is",
        "taken away. *By the clock* adds what the thread waited for within Python, as where another thread loads a",
        "library, but not the waiting for a processor.",
        "",
        f"**Longest: {longest[2].ours:.2f} s ({longest[0]}).** Goal: {BOUND_S} s.",
        "",
        "| step | whole | ours | by the clock | napari's and Python's own | where most of it is |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for what, _, block in rows:
        kinds = {kind.removeprefix("napari ").removeprefix("Python "): s for kind, s in block.apart.items()}
        named = ", ".join(f"{kind} {s:.2f}" for kind, s in kinds.items() if s > SHOWN_S)
        owner, place = block.place
        where = f"{owner}: `{place}`" if place else owner
        still = max(block.still, block.seconds)
        lines.append(
            f"| {what} | {block.seconds:.2f} | {block.ours:.2f} | {still:.2f} | {named} | "
            f"{where if block.seconds > SHOWN_S else ''} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
