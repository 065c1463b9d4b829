"""The window of the demo, without a window."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_cpclnet.gui.demo import fill_demo, why_no_window
from napari_cpclnet.gui.layers.scan_layers import geometry_of
from napari_cpclnet.imaging import Geometry, Modality, Segmentation, Volume
from napari_cpclnet.phantoms.demo import DemoScan, DemoScans


def small(name: str, modality: Modality, n_slices: int) -> DemoScan:
    geometry = Geometry((n_slices, 8, 8), (80.0 / n_slices, 3.0, 3.0))
    labels = np.zeros(geometry.shape, np.uint8)
    labels[1:3, 2:6, 2:6] = 1
    volume = Volume(labels.astype(np.float32), geometry, modality=modality, name=name)
    return DemoScan(volume, Segmentation(labels, {1: "liver"}, geometry, name))


@pytest.fixture
def scans() -> DemoScans:
    return DemoScans(small("ct", "CT", 10), (small("mr", "MR", 5), small("pet", "PT", 10)), (1, 2))


def test_every_scan_and_its_labels_are_there_and_the_first_query_is_shown(scans: DemoScans) -> None:
    viewer = ViewerModel()
    results = [query.truth for query in scans.queries]
    fill_demo(viewer, scans, results)
    assert len(viewer.layers) == 6
    shown = [layer for layer in viewer.layers if layer.visible]
    assert [layer.data.shape for layer in shown] == [(5, 8, 8)] * 2
    assert shown[0].name == "mr"
    for layer in shown:
        assert geometry_of(layer).isclose(scans.queries[0].volume.geometry)


def test_a_display_that_does_not_answer_is_told_and_does_not_end_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DISPLAY", ":987")
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "no display" in why_no_window()


def test_qt_without_a_screen_is_no_reason_not_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert why_no_window() == ""
