"""Sample data for File > Open Sample: phantoms with labels, made on the spot and free of patients.

napari calls these in the thread of its window, which lives on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING

import numpy as np

from napari_cpclnet.gui.contributions.waiting import GivenUpError, wait_for
from napari_cpclnet.gui.layers.scan_layers import LayerData, segmentation_to_layer, volume_to_layer

if TYPE_CHECKING:
    from napari_cpclnet.phantoms.demo import DemoScan

SEED = 0


def _while_the_window_lives(make: Callable[[], list[LayerData]]) -> Callable[[], list[LayerData]]:
    """The same in a thread beside the window; nothing where the user does not want to wait."""

    @wraps(make)
    def made() -> list[LayerData]:
        try:
            return wait_for(make, "Making phantoms…")
        except GivenUpError:
            return []

    return made


@_while_the_window_lives
def ct_phantom() -> list[LayerData]:
    """CT phantom of an abdomen, in HU, and its labels."""
    from napari_cpclnet.phantoms.demo import demo_scan

    return _layers(demo_scan("CT", [SEED, 0]))


@_while_the_window_lives
def mr_phantom() -> list[LayerData]:
    """MR phantom of another abdomen, in thick slices, and its labels."""
    from napari_cpclnet.phantoms.demo import demo_scan

    return _layers(demo_scan("MR", [SEED, 1], every=2))


@_while_the_window_lives
def pet_phantom() -> list[LayerData]:
    """PET phantom of a third abdomen, in SUV, and its labels."""
    from napari_cpclnet.phantoms.demo import demo_scan

    return _layers(demo_scan("PT", [SEED, 2]))


@_while_the_window_lives
def ct_and_mr() -> list[LayerData]:
    """CT phantom to paint on, and an MR phantom to label."""
    from napari_cpclnet.phantoms.demo import demo_scan

    return [_mr_to_label(), volume_to_layer(demo_scan("CT", [SEED, 0]).volume)]


@_while_the_window_lives
def painted_ct_and_mr() -> list[LayerData]:
    """CT phantom with five painted slices, and an MR phantom to label: press Run in the panel."""
    from napari_cpclnet.phantoms.demo import demo_scan, spread_slices

    support = demo_scan("CT", [SEED, 0])
    labels = np.zeros_like(support.truth.labels)
    for index in spread_slices(support.truth.labels, 5):
        labels[index] = support.truth.labels[index]
    painted = replace(support.truth, labels=labels, name=f"{support.volume.name} painted slices")
    return [_mr_to_label(), volume_to_layer(support.volume), segmentation_to_layer(painted)]


def _mr_to_label() -> LayerData:
    """MR phantom, hidden at first: its body and that of the CT lie in the same place of the room."""
    from napari_cpclnet.phantoms.demo import demo_scan

    data, kwargs, kind = volume_to_layer(demo_scan("MR", [SEED, 1], every=2).volume)
    return data, {**kwargs, "visible": False}, kind


def _layers(scan: DemoScan) -> list[LayerData]:
    truth = replace(scan.truth, name=f"{scan.volume.name} labels")
    return [volume_to_layer(scan.volume), segmentation_to_layer(truth)]
