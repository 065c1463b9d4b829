"""Slices of scans of two patients at the same level of the body, on phantoms whose levels are known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.model import bundled_weights, load_weights
from napari_cpclnet.model.body_level import SliceLevels
from napari_cpclnet.phantoms.phantom import make_phantom
from napari_cpclnet.phantoms.render import ScanModality, render_phantom
from napari_cpclnet.segmentation import SegmentationSettings, Segmenter

FEET_FIRST = ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    if not bundled_weights().is_file():
        pytest.skip("no weights are bundled in this checkout")
    return Segmenter(load_weights(), SegmentationSettings(device="cpu"))


def patient(modality: ScanModality, seed: int) -> tuple[Volume, np.ndarray]:
    rng = np.random.default_rng([0, seed])
    phantom = make_phantom(rng)
    return render_phantom(phantom, modality, rng), phantom.level


@pytest.mark.slow
def test_a_slice_is_linked_to_the_same_level_of_another_patient(segmenter: Segmenter) -> None:
    ct, ct_truth = patient("CT", 0)
    mr, mr_truth = patient("MR", 2)
    # fewer and thicker slices, stored the other way round
    array = np.ascontiguousarray(mr.array[12:92:2][::-1])
    geometry = Geometry(array.shape, (8.0, *mr.geometry.spacing[1:]), (500.0, 0.0, 0.0), FEET_FIRST)
    mr, mr_truth = mr.replaced(array=array, geometry=geometry), mr_truth[12:92:2][::-1]
    one, other = segmenter.scan(ct, "axial").slice_levels, segmenter.scan(mr, "axial").slice_levels
    assert one is not None and other is not None
    assert one.step > 0 > other.step
    shown = np.flatnonzero((ct_truth > mr_truth.min() + 0.1) & (ct_truth < mr_truth.max() - 0.1))
    linked = [other.index_of(one.at(index)) for index in shown]
    truth = np.interp(ct_truth[shown], mr_truth[::-1], np.arange(len(mr_truth))[::-1])
    # in slices of 8 mm
    assert np.abs(np.array(linked) - truth).mean() < 2
    assert np.abs(np.array(linked) - truth).max() < 3


def test_levels_and_slices_are_each_others_inverse() -> None:
    levels = SliceLevels(0, 1.2, -0.03)
    assert levels.index_of(levels.at(17.5)) == pytest.approx(17.5)
    assert levels.at(0) == 1.2


def test_a_scan_of_few_slices_has_no_levels(segmenter: Segmenter) -> None:
    ct, _ = patient("CT", 0)
    few = ct.array[40:44]
    geometry = Geometry(few.shape, ct.geometry.spacing)
    assert segmenter.scan(ct.replaced(array=few, geometry=geometry), "axial").slice_levels is None
