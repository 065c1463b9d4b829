"""The scans of the demo: phantoms of three patients, so that the package shows what it does without anyone's data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.imaging import Geometry, Segmentation, Volume
from napari_cpclnet.phantoms.phantom import Phantom, make_phantom
from napari_cpclnet.phantoms.render import ScanModality, render_phantom

DEMO_CLASSES = ("liver", "spleen", "right kidney", "left kidney")
"""Classes of `TARGETS`; the first has label 1."""


class DemoScan(NamedTuple):
    """One phantom patient in one modality, with the labels it was made from."""

    volume: Volume
    truth: Segmentation


@dataclass(frozen=True)
class DemoScans:
    """A labelled CT and two scans of other patients.

    ``painted_slices`` are the axial slices of the CT (zero-based, along z) that the demo paints.
    """

    support: DemoScan
    queries: tuple[DemoScan, ...]
    painted_slices: tuple[int, ...]

    @property
    def painted(self) -> Segmentation:
        """The labels of the CT on its painted slices, and nothing elsewhere."""
        truth = self.support.truth
        labels = np.zeros_like(truth.labels)
        for index in self.painted_slices:
            labels[index] = truth.labels[index]
        return Segmentation(labels, truth.classes, truth.geometry, f"{truth.name}_painted")


def demo_scans(seed: int = 0, *, n_slices: int = 5) -> DemoScans:
    """Make the phantom CT, MR and PET of three different patients.

    Parameters
    ----------
    seed
        The same seed gives the same scans.
    n_slices
        How many slices of the CT count as painted.
    """
    support = demo_scan("CT", [seed, 0])
    # Clinical MR of the abdomen has thick slices; so do these, to show that grids need not agree.
    queries = (demo_scan("MR", [seed, 1], every=2), demo_scan("PT", [seed, 2]))
    return DemoScans(support, queries, spread_slices(support.truth.labels, n_slices))


def demo_scan(modality: ScanModality, seed: int | list[int], *, every: int = 1) -> DemoScan:
    """Make one phantom patient and its picture; ``every`` n-th slice is kept."""
    rng = np.random.default_rng(seed)
    phantom = make_phantom(rng)
    picture = render_phantom(phantom, modality, rng)
    name = {"CT": "phantom_ct", "MR": "phantom_mr", "PT": "phantom_pet"}[modality]
    array = np.ascontiguousarray(picture.array[::every])
    labels = np.ascontiguousarray(_class_labels(phantom)[::every])
    z, y, x = picture.geometry.spacing
    geometry = Geometry((len(array), *picture.geometry.shape[1:]), (z * every, y, x))
    classes = dict(enumerate(DEMO_CLASSES, start=1))
    volume = Volume(array, geometry, modality=modality, unit=picture.unit, name=name)
    return DemoScan(volume, Segmentation(labels, classes, geometry, name))


def spread_slices(labels: NDArray[np.unsignedinteger], count: int) -> tuple[int, ...]:
    """Pick ``count`` slices of axis 0 at fractions (i + 0.5) / count of the extent of everything labelled."""
    labelled = np.flatnonzero(labels.any(axis=(1, 2)))
    if labelled.size == 0:
        return ()
    first, last = int(labelled[0]), int(labelled[-1])
    picked = {first + int((i + 0.5) / count * (last - first + 1)) for i in range(count)}
    return tuple(sorted(picked))


def _class_labels(phantom: Phantom) -> NDArray[np.uint8]:
    labels = np.zeros(phantom.labels.shape, np.uint8)
    for label, name in enumerate(DEMO_CLASSES, start=1):
        labels[phantom.mask(name)] = label
    return labels
