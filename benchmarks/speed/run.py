"""All figures of speed and memory by one command: a table, targets reached or not, curves of growth, and JSON.

    python benchmarks/speed/run.py                      # some 15 minutes of computing
    python benchmarks/speed/run.py --long               # scans of 600 slices, too: another hour or two
    python benchmarks/speed/run.py --only '32x256' --peer-path ../UniverSeg

Every figure comes from a process of its own, which alone makes peaks of memory true. What is measured lies as JSON in
``--folder`` and is not measured again; what is missing is said to be missing. Writes stages.md, stages.json and
growth.svg beside this file. Seconds of computing are those of all cores and depend little on neighbours; compare them
within one run.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from table import draw_growth, page

HERE = Path(__file__).parent
SIZES, CLASSES, SHOTS = ((32, 256), (100, 512)), (1, 6), (1, 5, 20)
CASES = (
    *(f"{z}x{side}x{classes}x{shots}" for z, side in SIZES for classes in CLASSES for shots in SHOTS),
    "100x512x4x5",
)
LONG = tuple(f"600x512x{classes}x{shots}" for classes in CLASSES for shots in SHOTS)
GROWTH = (
    *(f"{z}x256x1x5" for z in (16, 64, 128)),
    *(f"32x{side}x1x5" for side in (128, 384, 512)),
    *(f"32x256x{classes}x5" for classes in (2, 4)),
    *(f"32x256x1x{shots}" for shots in (2, 10)),
)
COUNTED = "100x512x4x5"
MACHINE = ("limits", "start", "dock", "training", "pseudo-labels", "peer")


def pieces(options: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Names of all figures, and the commands that print them."""
    for what in MACHINE:
        more = ["--peer-path", str(options.peer_path)] if what == "peer" and options.peer_path else []
        yield what, ["machine.py", what, *more]
    scans = str(options.folder / "scans")
    wanted = [*CASES, *GROWTH, *(LONG if options.long else ())]
    for case in wanted:
        for how in ("thorough",) if case in GROWTH else ("quick", "thorough"):
            yield f"{case} {how}", ["stages.py", "--one", case, how, scans]
    for how in ("quick", "thorough"):
        yield f"operations {COUNTED} {how}", ["stages.py", "--count", "--one", COUNTED, how, scans]


def measured(name: str, words: list[str], folder: Path) -> dict[str, Any]:
    """A figure, from its file or from the command, whose last line is kept."""
    file = folder / f"{name.replace(' ', '_')}.json"
    if file.is_file():
        return dict(json.loads(file.read_text(encoding="utf-8")))
    if "--one" in words:
        size = "x".join(words[words.index("--one") + 1].split("x")[:2])
        if not (folder / "scans" / size / "support_labels.nii.gz").is_file():
            _run(["stages.py", "--make", size, str(folder / "scans")])
    begun = time.perf_counter()
    text = _run(words).splitlines()[-1]
    print(f"{name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    making = file.with_suffix(".part")
    found = {**json.loads(text), "commit": commit()}
    making.write_text(json.dumps(found), encoding="utf-8")
    making.replace(file)
    return found


def _run(words: list[str]) -> str:
    command = [sys.executable, str(HERE / words[0]), *words[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def commit() -> str:
    """Of this checkout, short."""
    asked = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=10"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("outputs/speed"), help="of what is measured")
    parser.add_argument("--out", type=Path, default=HERE / "stages.md", help="page to write")
    parser.add_argument("--long", action="store_true", help="also scans of 600 slices")
    parser.add_argument("--only", help="measure only figures whose names match; the page shows all there are")
    parser.add_argument(
        "--peer-path", type=Path, help="folder with UniverSeg's package, where it is not installed"
    )
    options = parser.parse_args()
    options.folder = options.folder.resolve()
    options.folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, Any]] = {}
    options.long = options.long or any(options.folder.glob("600x*.json"))
    for name, words in pieces(options):
        file = options.folder / f"{name.replace(' ', '_')}.json"
        if file.is_file() or re.search(options.only or "", name):
            found[name] = measured(name, words, options.folder)
    facts = {"commit": commit(), "date": time.strftime("%Y-%m-%d")}
    options.out.with_suffix(".json").write_text(
        json.dumps({**facts, "figures": found}, indent=1) + "\n", encoding="utf-8"
    )
    exponents = draw_growth(found, options.out.with_name("growth.svg"))
    text = page(found, facts, exponents)
    options.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
