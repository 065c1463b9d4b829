"""Where the time of labelling one scan goes, in this process.

    python benchmarks/speed/stages.py --make 100x512 outputs/speed/scans
    python benchmarks/speed/stages.py --one 100x512x4x5 thorough outputs/speed/scans

Labels a phantom CT from painted slices of another phantom, both read from files that ``--make`` wrote, as `segment`
does it. Prints a line of JSON: seconds of computing in each stage, seconds by the clock, peak memory. A case is slices
x side x classes x painted slices; ``thorough`` registers scans, ``quick`` does not. ``--count`` counts operations of
products and convolutions in each stage instead. `run.py` calls this for many cases, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from scipy import ndimage
from torch.utils.flop_counter import FlopCounterMode

import napari_cpclnet.segmentation.alignment as alignment
import napari_cpclnet.segmentation.fusion as fusion
import napari_cpclnet.segmentation.segmenter as segmenter_module
from napari_cpclnet.imaging import (
    Geometry,
    Segmentation,
    Volume,
    read_segmentation,
    read_volume,
    write_segmentation,
    write_volume,
)
from napari_cpclnet.model import load_weights
from napari_cpclnet.model.cpclnet import CPCLNet
from napari_cpclnet.model.decoder import Decoder
from napari_cpclnet.model.ramp import RAMP
from napari_cpclnet.phantoms.phantom import make_phantom
from napari_cpclnet.phantoms.render import render_phantom
from napari_cpclnet.preprocessing import ModelGrid
from napari_cpclnet.propagation import Propagation
from napari_cpclnet.registration.run import Registration
from napari_cpclnet.segmentation import SegmentationSettings, Segmenter, SupportSet
from napari_cpclnet.segmentation.prediction import PredictionState

ORGANS = ("liver", "spleen", "right kidney", "left kidney", "stomach", "pancreas")


class Stopwatch:
    """Seconds of computing, of all cores, in named stages; a stage within another is not counted there.

    Seconds by the clock would say more of the neighbours on a shared machine than of the stage.
    """

    def __init__(self) -> None:
        self.operations: Callable[[], int] = lambda: 0
        self.start()

    def _book(self) -> None:
        now, done = time.process_time(), self.operations()
        name = self._open[-1] if self._open else "rest"
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        if done > self._done:
            self.counted[name] = self.counted.get(name, 0) + done - self._done
        self._since, self._done = now, done

    @contextmanager
    def weighing(self) -> Iterator[dict[str, float]]:
        """The most memory, in MiB, that was held in each stage, looked at now and then from another thread."""
        most: dict[str, float] = {}
        done = threading.Event()

        def look() -> None:
            process = psutil.Process()
            while not done.wait(0.02):
                name = next(iter(self._open[-1:]), "rest")
                most[name] = max(most.get(name, 0.0), process.memory_info().rss / 2**20)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield most
        finally:
            done.set()
            thread.join()

    def start(self) -> None:
        """Begin anew."""
        self.seconds: dict[str, float] = {}
        self.counted: dict[str, int] = {}
        self._open: list[str] = []
        self._since, self._done = time.process_time(), self.operations()

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


def make_scans(size: str, folder: Path) -> None:
    """Write a query, a support and the labels of both, of that many slices and pixels a side."""
    slices, side = (int(n) for n in size.split("x"))
    place = folder / size
    place.mkdir(parents=True, exist_ok=True)
    for name, seed in (("query", 2), ("support", 1)):
        volume, labels = scan(seed, slices, side)
        write_volume(volume, place / f"{name}.nii.gz")
        named = Segmentation(labels, dict(enumerate(ORGANS, 1)), volume.geometry, name)
        write_segmentation(named, place / f"{name}_labels.nii.gz")
        del volume, labels


def scan(seed: int, slices: int, side: int) -> tuple[Volume, np.ndarray]:
    """A phantom CT of that size, and its labels by their place in ORGANS."""
    rng = np.random.default_rng(seed)
    phantom = make_phantom(rng)
    picture = render_phantom(phantom, "CT", rng)
    labels = np.zeros(phantom.labels.shape, np.uint8)
    for value, name in enumerate(ORGANS, 1):
        labels[phantom.mask(name)] = value
    factors = [n / m for n, m in zip((slices, side, side), labels.shape, strict=True)]
    array = ndimage.zoom(picture.array, factors, order=1).astype(np.int16)
    spacing = tuple(mm / f for mm, f in zip(picture.geometry.spacing, factors, strict=True))
    geometry = Geometry(array.shape, spacing)
    return Volume(array, geometry, "CT", "HU", name=f"phantom_{seed}"), ndimage.zoom(labels, factors, order=0)


def painted_support(place: Path, classes: int, shots: int) -> SupportSet:
    """Some slices of the support, spread over what shows a class."""
    volume = read_volume(place / "support.nii.gz", modality="CT")
    labels = read_segmentation(place / "support_labels.nii.gz").labels
    labels = np.where(labels <= classes, labels, 0).astype(np.uint8)
    shown = np.flatnonzero(labels.any((1, 2)))
    painted = np.unique(np.linspace(shown[0], shown[-1], shots + 2).astype(int)[1:-1])
    support = SupportSet(dict(enumerate(ORGANS[:classes], 1)))
    support.add(volume, labels, slices=painted.tolist(), plane="axial")
    return support


def measure(case: str, folder: Path, *, align: bool, count: bool) -> dict[str, Any]:
    """Stages, seconds and memory of one case, in this process."""
    slices, side, classes, shots = (int(n) for n in case.split("x"))
    place = folder / f"{slices}x{side}"
    support = painted_support(place, classes, shots)
    watch = watched()
    segmenter = Segmenter(load_weights(None), SegmentationSettings(device="cpu", align=align))
    with (
        tempfile.TemporaryDirectory() as out,
        FlopCounterMode(display=False) if count else nullcontext() as counter,
        watch.weighing() as memories,
    ):
        watch.operations = counter.get_total_flops if counter is not None else lambda: 0
        watch.start()
        started = time.perf_counter()
        watch.run("describe the support (CRPD)", segmenter.set_support, support)
        volume = watch.run("read", read_volume, place / "query.nii.gz", modality="CT")
        begun, computing, first = time.perf_counter(), time.process_time(), (0.0, 0.0)
        for _ in segmenter.predict(volume):
            if not any(first):
                first = time.perf_counter() - begun, time.process_time() - computing
        result = segmenter.result()
        watch.run("write", write_segmentation, result, Path(out) / "labels.nii.gz")
        seconds = time.perf_counter() - started
        stages = watch.stop()
    peak = memory()
    truth = read_segmentation(place / "query_labels.nii.gz").labels
    dice = []
    for value in range(1, classes + 1):
        one, two = result.labels == value, truth == value
        dice.append(2 * int((one & two).sum()) / max(1, int(one.sum()) + int(two.sum())))
    return {
        "case": case,
        "thorough": align,
        "seconds": seconds,
        "computing": sum(stages.values()),
        "first slice": first[0],
        "first slice, computing": first[1],
        "peak MiB": peak,
        "scan as float32 MiB": slices * side * side * 4 / 2**20,
        "dice": dice,
        "stages": stages,
        "operations": watch.counted,
        "MiB held": memories,
    }


def memory() -> float:
    """Peak memory of this process, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--make", nargs=2, metavar=("SIZE", "DIR"), help="write scans: slices x side")
    parser.add_argument("--one", nargs=3, metavar=("CASE", "HOW", "DIR"), help="measure a case")
    parser.add_argument(
        "--count", action="store_true", help="count operations; the seconds are of no use then"
    )
    options = parser.parse_args()
    if options.make:
        make_scans(options.make[0], Path(options.make[1]))
        print(json.dumps({"made": options.make[0]}))
    if options.one:
        case, how, folder = options.one
        print(json.dumps(measure(case, Path(folder), align=how == "thorough", count=options.count)))


if __name__ == "__main__":
    main()
