"""Display presets: what a scan looks like when it is opened, and how that is changed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from napari.components import ViewerModel
from napari.layers import Image

from napari_cpclnet.gui.contributions.ct_windows import show_in_window
from napari_cpclnet.gui.layers.scan_layers import volume_to_layer
from napari_cpclnet.gui.settings import display_presets as display
from napari_cpclnet.gui.settings.display_presets import CT_WINDOWS, DisplayPresets, from_page
from napari_cpclnet.imaging import Geometry, Volume

MANIFEST = Path(display.__file__).parents[2] / "napari.yaml"


def page_of_manifest() -> SimpleNamespace:
    manifest = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    properties = manifest["contributions"]["configurations"]["display"]["properties"]
    return SimpleNamespace(**{key: entry["default"] for key, entry in properties.items()})


def scan(modality, unit: str, high: float = 1000.0) -> Volume:
    array = np.linspace(0, high, 120, dtype=np.float32).reshape(4, 5, 6)
    return Volume(array, Geometry((4, 5, 6)), modality=modality, unit=unit, name="scan")


def test_the_page_of_the_manifest_shows_the_defaults() -> None:
    assert from_page(page_of_manifest()) == DisplayPresets()


def test_napari_reads_the_page_of_the_manifest() -> None:
    from npe2 import PluginManifest

    if not hasattr(PluginManifest.from_file(MANIFEST).contributions, "configurations"):
        pytest.skip("this npe2 has no preferences pages")
    found = PluginManifest.from_file(MANIFEST).contributions.configurations["display"].properties
    assert set(found) == set(vars(page_of_manifest()))


def test_the_windows_are_those_of_reading_rooms() -> None:
    assert CT_WINDOWS == {
        "soft tissue": (40, 400),
        "liver": (60, 160),
        "lung": (-600, 1500),
        "bone": (400, 1800),
        "brain": (40, 80),
    }


def test_pet_is_shown_in_inverted_grey_from_0_to_10_and_says_its_unit() -> None:
    _, kwargs, kind = volume_to_layer(scan("PT", "SUVbw"))
    assert (kind, kwargs["contrast_limits"], kwargs["colormap"]) == ("image", (0.0, 10.0), "gray_r")
    assert kwargs["name"] == "scan (SUVbw)"


def test_pet_without_suv_keeps_its_unit_and_is_scaled_by_percentiles() -> None:
    _, kwargs, _ = volume_to_layer(scan("PT", "Bq/ml"))
    assert kwargs["name"] == "scan (Bq/ml)"
    assert kwargs["contrast_limits"] == pytest.approx((10, 990))


@pytest.mark.parametrize(
    ("modality", "unit", "limits"),
    [("CT", "HU", (-160, 240)), ("CT", "HU8", (0, 255)), ("MR", "", (10, 990))],
)
def test_ct_and_mr_are_shown_in_grey(modality, unit: str, limits: tuple[float, float]) -> None:
    _, kwargs, _ = volume_to_layer(scan(modality, unit))
    assert (kwargs["name"], kwargs["colormap"]) == ("scan", "gray")
    assert kwargs["contrast_limits"] == pytest.approx(limits)


def test_preferences_change_what_is_opened_next(monkeypatch) -> None:
    page = page_of_manifest()
    page.ct_window, page.window_lung, page.pet_maximum, page.pet_inverted = "lung", "-500/1400", 7.0, False
    page.percentile_low, page.percentile_high = 5.0, 95.0
    monkeypatch.setattr(display, "presets", lambda: from_page(page))
    monkeypatch.setattr("napari_cpclnet.gui.layers.scan_layers.presets", lambda: from_page(page))
    assert volume_to_layer(scan("CT", "HU"))[1]["contrast_limits"] == (-1200, 200)
    assert volume_to_layer(scan("PT", "SUVbw"))[1]["contrast_limits"] == (0, 7)
    assert volume_to_layer(scan("PT", "SUVbw"))[1]["colormap"] == "gray"
    assert volume_to_layer(scan("MR", ""))[1]["contrast_limits"] == pytest.approx((50, 950))


@pytest.mark.parametrize("text", ["", "wide", "40", "40 / 0", "40 / -10", "nan / 400"])
def test_a_window_that_makes_no_sense_counts_as_not_set(text: str) -> None:
    page = page_of_manifest()
    page.window_bone = text
    assert from_page(page).ct_windows["bone"] == CT_WINDOWS["bone"]


def test_an_empty_page_means_the_defaults() -> None:
    assert from_page(SimpleNamespace()) == DisplayPresets()


def test_the_window_of_open_ct_layers_is_changed_and_of_no_other() -> None:
    viewer = ViewerModel()
    for modality, unit in (("CT", "HU"), ("CT", "HU8"), ("MR", "")):
        data, kwargs, _ = volume_to_layer(scan(modality, unit))
        viewer.add_layer(Image(data, **kwargs))
    viewer.layers.selection.clear()
    assert show_in_window(viewer, "liver") == 2
    hounsfield, eight_bits, mr = viewer.layers
    assert hounsfield.contrast_limits == [-20, 140]
    assert eight_bits.contrast_limits == pytest.approx([105 * 255 / 400, 265 * 255 / 400])
    assert mr.contrast_limits == pytest.approx([10, 990])
    viewer.layers.selection = {hounsfield}
    assert show_in_window(viewer, "bone") == 1
    assert hounsfield.contrast_limits == [-500, 1300]


def test_without_a_window_every_phase_of_a_file_is_opened(tmp_path: Path) -> None:
    import SimpleITK as sitk

    from napari_cpclnet.gui.contributions.reader import read

    path = tmp_path / "dynamic.nii.gz"
    phases = [sitk.Image(4, 5, 6, sitk.sitkInt16) + value for value in (300, 400)]
    sitk.WriteImage(sitk.JoinSeries(phases), str(path))
    layers = read(str(path))
    assert [kwargs["name"] for _, kwargs, _ in layers] == ["dynamic 0", "dynamic 1"]
    assert [int(data.max()) for data, _, _ in layers] == [300, 400]
