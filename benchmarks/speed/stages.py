"""Where the time of labelling a scan goes, beside what the machine can do.

    python benchmarks/speed/stages.py --out benchmarks/speed/stages.md

Labels a phantom CT from five painted slices of another phantom and says for each stage how many milliseconds a slice it
takes and what share of the run, with the seconds and the peak memory of the whole; then the rates at which this machine
multiplies matrices, convolves and copies, measured in the same run. Every case runs in a process of its own. Beside the
Markdown a file of the same name ending in .json holds all numbers. Several ``--case`` may be given, as
``slices x side x classes x painted slices``; ``--thorough`` and ``--quick`` choose whether scans are registered.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage

import napari_cpclnet.segmentation.alignment as alignment
import napari_cpclnet.segmentation.fusion as fusion
import napari_cpclnet.segmentation.segmenter as segmenter_module
from napari_cpclnet.imaging import (
    Geometry,
    Volume,
    read_volume,
    write_segmentation,
    write_volume,
)
from napari_cpclnet.model import load_weights, weights_hash
from napari_cpclnet.model.cmda import CMDA
from napari_cpclnet.model.cpclnet import CPCLNet
from napari_cpclnet.model.decoder import Decoder
from napari_cpclnet.model.ramp import RAMP
from napari_cpclnet.model.weights import bundled_weights
from napari_cpclnet.phantoms.phantom import make_phantom
from napari_cpclnet.phantoms.render import render_phantom
from napari_cpclnet.preprocessing import ModelGrid
from napari_cpclnet.propagation import Propagation
from napari_cpclnet.registration.run import Registration
from napari_cpclnet.segmentation import SegmentationSettings, Segmenter, SupportSet
from napari_cpclnet.segmentation.prediction import PredictionState

ORGANS = ("liver", "spleen", "right kidney", "left kidney", "stomach", "pancreas")
CASES = ("32x256x1x5", "32x256x6x5", "100x512x1x1", "100x512x4x5", "100x512x4x20")
BODY_MM = (300.0, 384.0, 384.0)


class Stopwatch:
    """Seconds of computing, of all cores, in named stages; a stage within another is not counted there.

    Seconds by the clock would say more of the neighbours on a shared machine than of the stage.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._open: list[str] = []
        self._since = time.process_time()

    def _book(self) -> None:
        now = time.process_time()
        name = self._open[-1] if self._open else "rest"
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now

    def start(self) -> None:
        """Begin anew."""
        self.seconds, self._open, self._since = {}, [], time.process_time()

    def stop(self) -> dict[str, float]:
        """Seconds of all stages until now."""
        self._book()
        return dict(self.seconds)

    def run(self, name: str, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function as a stage."""
        self._book()
        self._open.append(name)
        try:
            return work(*args, **kwargs)
        finally:
            self._book()
            self._open.pop()

    def time(self, owner: Any, attribute: str, name: str | None) -> None:
        """Count a function as a stage from now on; `name` None: the name of the stage is its caller's."""
        original = getattr(owner, attribute)

        @wraps(original)
        def timed(*args: Any, **kwargs: Any) -> Any:
            return self.run(name or "rest", original, *args, **kwargs)

        setattr(owner, attribute, timed)

    def time_steps(self, owner: Any, attribute: str, name: str) -> None:
        """The same of a generator: what runs between its pauses."""
        original = getattr(owner, attribute)

        @wraps(original)
        def timed(*args: Any, **kwargs: Any) -> Any:
            steps = self.run(name, original, *args, **kwargs)
            while True:
                try:
                    value = self.run(name, next, steps)
                except StopIteration as end:
                    return end.value
                yield value

        setattr(owner, attribute, timed)


def watched() -> Stopwatch:
    """A stopwatch on the stages of a run."""
    watch = Stopwatch()
    watch.time(ModelGrid, "images", "preprocess")
    watch.time(CPCLNet, "encode", "encode")
    watch.time(CPCLNet, "describe", "describe the support (CRPD)")
    watch.time(CPCLNet, "segment", "match, appearance")
    watch.time(CMDA, "forward", "CMDA")
    watch.time(RAMP, "forward", "RAMP")
    watch.time(Decoder, "forward", "decode")
    watch.time(ModelGrid, "to_native", "restore")
    watch.time(alignment, "fingerprint", "fingerprint")
    watch.time(segmenter_module, "parameters_hash", "fingerprint")
    watch.time(PredictionState, "add", "decide labels")
    watch.time(PredictionState, "postprocessed", "post-process")
    watch.time(PredictionState, "final_labels", "post-process")
    watch.time_steps(Propagation, "run", "propagate")
    watch.time_steps(Registration, "_seen", "register: name structures")
    watch.time_steps(Registration, "_searched", "register: search")
    watch.time_steps(Registration, "_descended", "register: refine")
    watch.time_steps(Registration, "run", "register: read")
    watch.time_steps(fusion, "decode_priors", "prior decoder")
    return watch


def scan(seed: int, slices: int, side: int) -> tuple[Volume, np.ndarray]:
    """A phantom CT of that size, and its labels by their place in ORGANS."""
    rng = np.random.default_rng(seed)
    phantom = make_phantom(rng)
    picture = render_phantom(phantom, "CT", rng)
    labels = np.zeros(phantom.labels.shape, np.uint8)
    for value, name in enumerate(ORGANS, 1):
        labels[phantom.mask(name)] = value
    shape = (slices, side, side)
    factors = [n / m for n, m in zip(shape, labels.shape, strict=True)]
    array = ndimage.zoom(picture.array, factors, order=1).astype(np.int16)
    spacing = tuple(mm / f for mm, f in zip(picture.geometry.spacing, factors, strict=True))
    geometry = Geometry(array.shape, spacing)
    return Volume(array, geometry, "CT", "HU", name=f"phantom_{seed}"), ndimage.zoom(labels, factors, order=0)


def measure(case: str, *, align: bool) -> dict[str, Any]:
    """Stages, seconds and memory of one case, in this process."""
    slices, side, classes, shots = (int(n) for n in case.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        query_file, out = Path(folder) / "query.nii.gz", Path(folder) / "labels.nii.gz"
        query, truth = scan(2, slices, side)
        write_volume(query, query_file)
        del query
        painted_on, labels = scan(1, slices, side)
        labels[labels > classes] = 0
        shown = np.flatnonzero(labels.any((1, 2)))
        painted = np.unique(np.linspace(shown[0], shown[-1], shots + 2).astype(int)[1:-1])
        support = SupportSet(dict(enumerate(ORGANS[:classes], 1)))
        support.add(painted_on, labels, slices=painted.tolist(), plane="axial")
        before = memory()
        watch = watched()
        segmenter = Segmenter(load_weights(None), SegmentationSettings(device="cpu", align=align))
        watch.start()
        started = time.perf_counter()
        watch.run("describe the support (CRPD)", segmenter.set_support, support)
        volume = watch.run("read", read_volume, query_file)
        begun, first = time.perf_counter(), 0.0
        for _ in segmenter.predict(volume):
            first = first or time.perf_counter() - begun
        result = segmenter.result()
        watch.run("write", write_segmentation, result, out)
        seconds = time.perf_counter() - started
        stages = watch.stop()
        dice = []
        for value in range(1, classes + 1):
            one, two = result.labels == value, truth == value
            dice.append(2 * int((one & two).sum()) / max(1, int(one.sum()) + int(two.sum())))
    return {
        "case": case,
        "thorough": align,
        "seconds": seconds,
        "computing": sum(stages.values()),
        "first slice": first,
        "MiB above scan": memory() - before,
        "peak MiB": memory(),
        "scan as float32 MiB": slices * side * side * 4 / 2**20,
        "dice": dice,
        "stages": stages,
    }


def memory() -> float:
    """Peak memory of this process, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def limits() -> dict[str, float]:
    """What the machine does at best: GFLOP/s of products and convolutions, GB/s of copying."""

    def best(work: Callable[[], Any]) -> float:
        work()
        return min(_computing(work) for _ in range(5))

    found = {}
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a = torch.randn(1536, 1536).to(kind)
        found[f"matrix product {name}"] = 2 * 1536**3 / best(lambda a=a: a @ a) / 1e9
        for layout, form in (("", torch.contiguous_format), (" channels-last", torch.channels_last)):
            x = torch.randn(8, 64, 96, 96).to(kind).contiguous(memory_format=form)
            conv = torch.nn.Conv2d(64, 64, 3, padding=1).to(kind).to(memory_format=form)
            with torch.inference_mode():
                seconds = best(lambda x=x, conv=conv: conv(x))
            found[f"convolution {name}{layout}"] = 2 * 8 * 96 * 96 * 64 * 64 * 9 / seconds / 1e9
    block = np.zeros(2**26, np.uint8)
    found["copy GB/s"] = 2 * block.nbytes / best(block.copy) / 1e9
    return found


def encoder_rate() -> float:
    """GFLOP/s of the encoder on a batch of slices, its operations counted by torch."""
    from torch.utils.flop_counter import FlopCounterMode

    model, images = load_weights(None), torch.rand(8, 3, 128, 128)
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            model.encode(images)
        return (
            counter.get_total_flops() / min(_computing(lambda: model.encode(images)) for _ in range(3)) / 1e9
        )


def start_up() -> dict[str, float]:
    """Seconds of computing of a fresh process until something is there: the lesser of two."""
    commands = {
        "python": "pass",
        "import napari_cpclnet": "import napari_cpclnet",
        "command line": "import napari_cpclnet.cli",
        "manifest": "from importlib.resources import files; from npe2 import PluginManifest; "
        "PluginManifest.from_file(str(files('napari_cpclnet') / 'napari.yaml'))",
        "panel's module": "import napari_cpclnet.gui.panel",
        "napari and Qt alone": "import napari, qtpy.QtWidgets, superqt",
        "torch alone": "import torch",
    }

    def once(code: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return {name: min(once(code) for _ in range(2)) for name, code in commands.items()}


def _computing(work: Callable[[], Any]) -> float:
    """Seconds of all cores; divided by the threads they do not depend on the neighbours."""
    started = time.process_time()
    work()
    return (time.process_time() - started) / torch.get_num_threads()


def commit() -> str:
    """Of this checkout, short."""
    asked = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=10", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def written(results: list[dict[str, Any]], machine: dict[str, float], start: dict[str, float]) -> str:
    """The page."""
    lines = [
        "# Where the time goes",
        "",
        f"Printed by `python benchmarks/speed/stages.py`; {time.strftime('%Y-%m-%d')}, commit {commit()}, weights "
        f"{weights_hash(bundled_weights())}, {torch.get_num_threads()} thread(s), {platform.machine()}.",
        "Phantom CT, labelled from painted slices of another phantom CT. A case is slices x side x classes x painted "
        "slices; computing is the time of all cores.",
        "",
        "| case | registered | seconds | computing | first slice | peak MiB | above the scan in float32 | mean Dice |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in results:
        above = one["peak MiB"] - one["scan as float32 MiB"]
        lines.append(
            f"| {one['case']} | {'yes' if one['thorough'] else 'no'} | {one['seconds']:.1f} | {one['computing']:.1f} | "
            f"{one['first slice']:.2f} | {one['peak MiB']:.0f} | {above:.0f} | {np.mean(one['dice']):.3f} |"
        )
    names = sorted(
        {n for one in results for n in one["stages"]},
        key=lambda n: -max(o["stages"].get(n, 0) for o in results),
    )
    lines += ["", "Milliseconds of computing a slice, of all cores, and share of the run:", ""]
    heads = [f"{one['case']}{'' if one['thorough'] else ' quick'}" for one in results]
    lines += [f"| stage | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for name in names:
        cells = []
        for one in results:
            seconds = one["stages"].get(name, 0.0)
            each = 1000 * seconds / int(one["case"].split("x")[0])
            cells.append(f"{each:.1f} ({100 * seconds / one['computing']:.0f} %)" if seconds else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "The machine in the same run (GFLOP/s, copying in GB/s):", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value:.0f} |" for name, value in machine.items()]
    lines += ["", "Start of a fresh process, seconds of computing:", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value:.2f} |" for name, value in start.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="Markdown file to write; the numbers go beside it")
    parser.add_argument("--case", action="append", help="slices x side x classes x painted slices")
    parser.add_argument("--quick", action="store_true", help="also without registration")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], align=options.one[1] == "thorough")))
        return
    results = []
    for case in options.case or CASES:
        for how in ("thorough", "quick") if options.quick else ("thorough",):
            words = [sys.executable, __file__, "--one", case, how]
            done = subprocess.run(words, capture_output=True, text=True, check=True, env=os.environ)
            results.append(json.loads(done.stdout.splitlines()[-1]))
            print(f"{case} {how}: {results[-1]['seconds']:.1f} s", file=sys.stderr, flush=True)
    machine = limits() | {"encoder": encoder_rate()}
    start = start_up()
    text = written(results, machine, start)
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
        numbers = {"results": results, "machine": machine, "start": start}
        options.out.with_suffix(".json").write_text(json.dumps(numbers, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
