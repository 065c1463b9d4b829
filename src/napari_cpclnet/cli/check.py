"""``napari-cpclnet check``: does this installation work? A few seconds, on phantoms, without anybody's data."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterator
from importlib import metadata, resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import typer

from napari_cpclnet._version import __version__
from napari_cpclnet.cli.demo import dice
from napari_cpclnet.cli.errors import shown
from napari_cpclnet.cli.options import Device
from napari_cpclnet.imaging import Geometry, Volume, read_volume, write_volume
from napari_cpclnet.phantoms.phantom import PhantomSettings, make_phantom
from napari_cpclnet.segmentation import SegmentationSettings, SupportSet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_cpclnet.imaging import Volume
    from napari_cpclnet.phantoms.render import ScanModality

PACKAGES = ("torch", "monai", "numpy", "scipy", "SimpleITK", "pydicom", "scikit-image")

# Of phantoms on a coarse grid; the organs are found with a Dice of 0.82 to 0.94, by random weights with less than 0.2.
CLASSES = {1: "liver", 2: "spleen", 3: "right kidney", 4: "left kidney"}
LEAST_DICE = 0.7
SHAPE, SPACING = (40, 80, 96), (10.0, 4.5, 4.5)


class Outcome(NamedTuple):
    """What became of one part of the check."""

    name: str
    ok: bool
    text: str


def check(device: Device = "auto") -> None:
    """Check this installation: versions, device, weights, files, napari, and a small segmentation.

    Each line says ok or failed. The exit status is 1 if anything failed. Takes a few seconds, needs no connection and
    leaves no files behind.
    """
    failed = 0
    for outcome in run_checks(device):
        typer.echo(f"{'ok' if outcome.ok else 'failed':<8}{outcome.name:<14}{shown(outcome.text)}")
        failed += not outcome.ok
    typer.echo(f"{failed} failed." if failed else "This installation works.")
    raise typer.Exit(1 if failed else 0)


def run_checks(device: str = "auto") -> Iterator[Outcome]:
    """Check one part of the installation after the other; a part that fails does not keep the next from running."""
    parts: dict[str, Callable[[], str]] = {
        "versions": _versions,
        "device": lambda: _device(device),
        "weights": _weights,
        "files": _files,
        "napari": _napari,
        "fill": _fill,
        "segmentation": lambda: _segmentation(device),
    }
    for name, part in parts.items():
        try:
            yield Outcome(name, True, part())
        except Exception as error:  # noqa: BLE001  # a check says what is wrong, whatever it is
            yield Outcome(name, False, str(error) or type(error).__name__)


def _versions() -> str:
    ours = [f"napari-cpclnet {__version__}", f"Python {platform.python_version()}"]
    return ", ".join(ours + [f"{name} {metadata.version(name)}" for name in PACKAGES])


def _device(name: str) -> str:
    import torch

    from napari_cpclnet.model import choose_device, unused_gpu

    chosen = choose_device(name)
    # the product is computed where the network will be
    values = torch.arange(64, dtype=torch.float32, device=chosen).reshape(8, 8)
    if float((values @ values.T).trace()) != float((torch.arange(64.0) ** 2).sum()):
        raise RuntimeError(f"{chosen} computes a product of two matrices wrongly.")
    what = {"cpu": f"{torch.get_num_threads()} threads", "mps": "Apple"}.get(chosen.type)
    note = unused_gpu() if name == "auto" else ""
    return f"{chosen}, {what or torch.cuda.get_device_name(chosen)}" + (f". {note}" if note else "")


def _weights() -> str:
    from napari_cpclnet.model.weights import SUMS, bundled_weights

    folder = bundled_weights().parent
    found = []
    for line in (folder / SUMS).read_text(encoding="ascii").splitlines():
        expected, name = line.split()
        actual = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if actual != expected:
            raise ValueError(
                f"{name} is damaged or was replaced ({actual[:12]}, not {expected[:12]}): install again."
            )
        found.append(f"{name} {actual[:12]}")
    return ", ".join(found)


def _files() -> str:
    import numpy as np

    geometry = Geometry((3, 4, 5), (2.5, 1.5, 1.0), (10.0, -20.0, 30.0))
    scan = Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), geometry, name="scan")
    suffixes = (".nii.gz", ".nrrd", ".mha")
    with TemporaryDirectory() as folder:
        for suffix in suffixes:
            path = Path(folder) / f"scan{suffix}"
            write_volume(scan, path)
            back = read_volume(path)
            if not (back.geometry.isclose(geometry) and np.array_equal(back.array, scan.array)):
                raise ValueError(f"A scan written as {suffix} comes back otherwise.")
    return f"a scan comes back from {', '.join(suffixes)} as it was written"


def _napari() -> str:
    """What the plugin stands on; the command line works without napari."""
    from npe2 import PluginManifest

    manifest = PluginManifest.from_file(str(resources.files("napari_cpclnet") / "napari.yaml"))
    try:
        napari = metadata.version("napari")
    except metadata.PackageNotFoundError:
        return "not installed; the command line works without it"
    manifest.validate_imports()
    qt = [name for name in ("PyQt6", "PySide6", "PyQt5", "PySide2") if _installed(name)]
    if not qt:
        raise ImportError('napari has no Qt: pip install "napari[pyqt6]".')
    return f"napari {napari} with {qt[0]} {metadata.version(qt[0])}, the plugin's manifest is valid"


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _fill() -> str:
    """Painted slices of a phantom are carried through its scan."""
    from napari_cpclnet.propagation import fill

    scan, truth = _phantom(seed=2, modality="CT")
    slices = _painted(truth)
    painted = truth.copy()
    painted[[index for index in range(len(truth)) if index not in slices]] = 0
    return _compare(fill(scan, painted, slices=slices).labels, truth)


def _segmentation(device: str) -> str:
    """Painted slices of a phantom CT label the phantom MR of another patient."""
    from napari_cpclnet.model import load_weights
    from napari_cpclnet.segmentation import Segmenter

    ct, painted = _phantom(seed=0, modality="CT")
    mr, truth = _phantom(seed=1, modality="MR")
    support = SupportSet(CLASSES)
    support.add(ct, painted, slices=_painted(painted))
    segmenter = Segmenter(load_weights(), SegmentationSettings(device=device, align=False))
    segmenter.set_support(support)
    for _ in segmenter.predict(mr):
        pass
    return _compare(segmenter.result().labels, truth)


def _phantom(seed: int, modality: ScanModality) -> tuple[Volume, NDArray[np.uint8]]:
    """Scan of a coarse phantom and the labels of `CLASSES` on it."""
    import numpy as np

    from napari_cpclnet.phantoms.render import render_phantom

    rng = np.random.default_rng([7, seed])
    phantom = make_phantom(rng, PhantomSettings(shape=SHAPE, spacing=SPACING))
    labels = np.zeros(SHAPE, np.uint8)
    for value, name in CLASSES.items():
        labels[phantom.mask(name)] = value
    return render_phantom(phantom, modality, rng), labels


def _painted(labels: NDArray[np.uint8]) -> tuple[int, ...]:
    from napari_cpclnet.phantoms.demo import spread_slices

    return spread_slices(labels, 5)


def _compare(labels: NDArray[np.uint8], truth: NDArray[np.uint8]) -> str:
    values = {name: dice(labels, truth, value) for value, name in CLASSES.items()}
    said = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
    if min(values.values()) < LEAST_DICE:
        raise ValueError(f"Dice {said}; at least {LEAST_DICE} was expected of each.")
    return f"Dice {said}"
