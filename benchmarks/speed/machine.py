"""What this machine does at best, how long the program takes to start, and rates of training, pseudo-labels and a peer.

    python benchmarks/speed/machine.py limits|start|dock|training|pseudo-labels|peer [--peer-path DIR]

Prints a line of JSON. `run.py` calls this, so that all figures of a table come from the same machine and hour.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
STARTS = {
    "python": "pass",
    "import napari_cpclnet": "import napari_cpclnet",
    "command line": "import napari_cpclnet.cli",
    "manifest": "from importlib.resources import files; from npe2 import PluginManifest; "
    "PluginManifest.from_file(str(files('napari_cpclnet') / 'napari.yaml'))",
    "napari's window, imported": "import napari.viewer, napari._qt.qt_main_window, napari.qt.threading, superqt",
    "the same and the panel": "import napari.viewer, napari._qt.qt_main_window, napari.qt.threading, superqt\n"
    "import napari_cpclnet.gui.panel",
    "torch": "import torch",
}
DOCK = """
import json, time
import napari
begun = time.perf_counter(), time.process_time()
viewer = napari.Viewer()
from qtpy.QtWidgets import QApplication
QApplication.processEvents()
window = time.perf_counter() - begun[0], time.process_time() - begun[1]
begun = time.perf_counter(), time.process_time()
viewer.window.add_plugin_dock_widget("napari-cpclnet", "Few-shot segmentation")
QApplication.processEvents()
dock = time.perf_counter() - begun[0], time.process_time() - begun[1]
print(json.dumps({"window": window, "dock": dock}))
viewer.close()
"""


def limits() -> dict[str, float]:
    """GFLOP/s of products, convolutions and the encoder, GB/s of copying, by the time of computing."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from napari_cpclnet.model import load_weights, weights_hash
    from napari_cpclnet.model.weights import bundled_weights

    def best(work: Callable[[], Any], times: int = 5) -> float:
        work()
        found = []
        for _ in range(times):
            started = time.process_time()
            work()
            found.append((time.process_time() - started) / torch.get_num_threads())
        return min(found)

    found: dict[str, Any] = {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "torch": torch.__version__,
        "weights": weights_hash(bundled_weights()),
    }
    with torch.inference_mode():
        for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            a = torch.randn(1536, 1536).to(kind)
            found[f"matrix product {name}"] = 2 * 1536**3 / best(lambda a=a: a @ a) / 1e9
            for layout, form in (("", torch.contiguous_format), (" channels-last", torch.channels_last)):
                x = torch.randn(8, 64, 96, 96).to(kind).contiguous(memory_format=form)
                conv = torch.nn.Conv2d(64, 64, 3, padding=1).to(kind).to(memory_format=form)
                rate = 2 * 8 * 96 * 96 * 64 * 64 * 9 / best(lambda x=x, conv=conv: conv(x)) / 1e9
                found[f"convolution {name}{layout}"] = rate
        block = np.zeros(2**26, np.uint8)
        found["copy GB/s"] = 2 * block.nbytes / best(block.copy) / 1e9
        model, images = load_weights(None), torch.rand(8, 3, 128, 128)
        with FlopCounterMode(display=False) as counter:
            model.encode(images)
        found["encoder"] = counter.get_total_flops() / best(lambda: model.encode(images), 3) / 1e9
    return found


def start() -> dict[str, float]:
    """Seconds of computing of a fresh process until something is there: the least of three."""

    def once(code: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return {name: min(once(code) for _ in range(3)) for name, code in STARTS.items()}


def dock() -> dict[str, float]:
    """Seconds until napari's window is there, and from there until the panel is: by the clock, and of computing."""
    launcher = ["sh", str(HERE.parents[1] / ".ci" / "with-display")]
    found = []
    for _ in range(3):
        done = subprocess.run(
            [*launcher, sys.executable, "-c", DOCK], check=True, capture_output=True, text=True
        )
        found.append(json.loads(done.stdout.splitlines()[-1]))
    best = min(found, key=lambda one: one["dock"][1])
    return {
        "window, clock": best["window"][0],
        "window, computing": best["window"][1],
        "panel, clock": best["dock"][0],
        "panel, computing": best["dock"][1],
    }


def training() -> dict[str, float]:
    """Steps per second of computing on phantoms, in the recipe's sizes."""
    words = [sys.executable, str(HERE / "training_step.py"), "--steps", "8", "--device", "cpu", "--json"]
    return dict(json.loads(subprocess.check_output(words, text=True).splitlines()[-1]))


def pseudo_labels() -> dict[str, float]:
    """Slices per second of computing, for a map of regions of each method."""
    from stages import scan

    from napari_cpclnet.preprocessing import PseudoLabelSettings, RegionMap
    from napari_cpclnet.preprocessing.pseudo_labels.run import volume_labels

    volume, _ = scan(2, 8, 256)
    found = {}
    for method in ("slic", "felzenszwalb"):
        started = time.process_time()
        volume_labels(volume, RegionMap(method, 1), PseudoLabelSettings())
        found[f"{method}, slices per second"] = len(volume.array) / (time.process_time() - started)
    return found


def peer(path: Path | None) -> dict[str, Any]:
    """Milliseconds of computing a slice and class of UniverSeg's network, where its code is at hand."""
    import torch

    if path is not None:
        sys.path.insert(0, str(path))
    try:
        from universeg import universeg
    except ImportError as error:
        return {"missing": str(error)}
    model = universeg(pretrained=False).eval()  # the weights change nothing in its time
    found: dict[str, Any] = {}
    with torch.inference_mode():
        for shots in (5, 20):
            images = torch.rand(1, shots, 1, 128, 128)
            labels, target = (images > 0.5).float(), torch.rand(1, 1, 128, 128)
            model(target, images, labels)
            started = time.process_time()
            for _ in range(3):
                model(target, images, labels)
            found[f"{shots} painted slices"] = 1000 * (time.process_time() - started) / 3
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    works: dict[str, Callable[[], dict[str, Any]]] = {
        "limits": limits,
        "start": start,
        "dock": dock,
        "training": training,
        "pseudo-labels": pseudo_labels,
    }
    parser.add_argument("what", choices=[*works, "peer"])
    parser.add_argument("--peer-path", type=Path, help="folder with the package universeg")
    options = parser.parse_args()
    found = peer(options.peer_path) if options.what == "peer" else works[options.what]()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
