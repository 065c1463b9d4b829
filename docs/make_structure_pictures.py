"""Make the pictures of the page on structures: what is found well in another patient's scan, and what is not.

    python docs/make_structure_pictures.py

Phantoms throughout: five slices of a CT are painted, the MR of another patient is labelled. Each structure is a run of
its own, as a user would paint it who wants nothing else. Takes some minutes on a CPU.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_cpclnet import SegmentationSettings, Segmenter, SupportSet, Volume, load_weights
from napari_cpclnet.phantoms.demo import spread_slices
from napari_cpclnet.phantoms.phantom import Phantom, make_phantom
from napari_cpclnet.phantoms.render import ScanModality, render_phantom

HERE = Path(__file__).parent
SHOTS = 5
PICTURES = {
    "found": ("liver", "right kidney", "spleen"),
    "missed": ("gallbladder", "pancreas", "right adrenal"),
}
PAINT, RESULT, TRUTH = "#f5a623", "#f5a623", "#3ddc84"
HALF_MM = (72.0, 92.0)


def scan(modality: ScanModality, seed: int) -> tuple[Phantom, Volume]:
    """A phantom patient and a scan of it."""
    rng = np.random.default_rng([11, seed])
    phantom = make_phantom(rng)
    return phantom, render_phantom(phantom, modality, rng)


def find(name: str, support: tuple[Phantom, Volume], query: tuple[Phantom, Volume]) -> NDArray[np.bool_]:
    """What a structure's painted slices find in the other patient's scan."""
    painted = support[0].mask(name).astype(np.uint8)
    teaching = SupportSet({1: name})
    teaching.add(support[1], painted, slices=spread_slices(painted, SHOTS))
    segmenter = Segmenter(load_weights(), SegmentationSettings(device="cpu"))
    segmenter.set_support(teaching)
    for _ in segmenter.predict(query[1]):
        pass
    return segmenter.result().labels == 1


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Overlap of two masks that are not both empty."""
    return 2.0 * float((one & other).sum()) / float(one.sum() + other.sum())


def show(axes: Any, volume: Volume, index: int, window: tuple[float, float]) -> None:
    """Draw a slice in grey."""
    _, row, column = volume.geometry.spacing
    axes.imshow(
        volume.array[index],
        cmap="gray",
        vmin=window[0],
        vmax=window[1],
        aspect=row / column,
        interpolation="bicubic",
    )
    axes.set_axis_off()


def zoom(axes: Any, mask: NDArray[np.bool_], volume: Volume) -> None:
    """Show the surroundings of a mask, all of the same size in mm."""
    _, row, column = volume.geometry.spacing
    y, x = (np.mean(places) for places in np.nonzero(mask))
    axes.set_ylim(y + HALF_MM[0] / row, y - HALF_MM[0] / row)
    axes.set_xlim(x - HALF_MM[1] / column, x + HALF_MM[1] / column)


def draw(names: tuple[str, ...], path: Path) -> None:
    """Write one picture: a column for each structure, painted slice above and found slice below."""
    support, query = scan("CT", 0), scan("MR", 1)
    low, high = np.percentile(query[1].array, (1, 99.5))
    figure, rows = plt.subplots(2, len(names), figsize=(3.4 * len(names), 5.6), facecolor="black")
    for above, below, name in zip(*rows, names, strict=True):
        painted, truth = support[0].mask(name), query[0].mask(name)
        slices = spread_slices(painted.astype(np.uint8), SHOTS)
        index = max(slices, key=lambda place: painted[place].sum())
        show(above, support[1], index, (-160.0, 240.0))
        above.contour(painted[index], [0.5], colors=PAINT, linewidths=1.6)
        zoom(above, painted[index], support[1])
        above.set_title(f"{name}: painted on the CT", color="white", fontsize=10)
        found = find(name, support, query)
        index = int(truth.sum((1, 2)).argmax())
        show(below, query[1], index, (low, high))
        if found[index].any():
            below.contour(found[index], [0.5], colors=RESULT, linewidths=1.6)
        below.contour(truth[index], [0.5], colors=TRUTH, linewidths=1.2, linestyles="dashed")
        zoom(below, truth[index], query[1])
        below.set_title(f"found in the MR, Dice {dice(found, truth):.2f}", color="white", fontsize=10)
    figure.tight_layout(pad=0.8)
    figure.savefig(path, dpi=96, facecolor="black")
    plt.close(figure)
    few = (
        Image.open(path)
        .convert("RGB")
        .quantize(128, Image.Quantize.MEDIANCUT, kmeans=2, dither=Image.Dither.NONE)
    )
    few.save(path, optimize=True)


def main() -> None:
    """Read the arguments and make the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=HERE / "images")
    parser.add_argument("--only", choices=PICTURES, help="make this one alone")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for name, structures in PICTURES.items():
        if given.only in (None, name):
            draw(structures, given.out / f"{name}.png")


if __name__ == "__main__":
    main()
