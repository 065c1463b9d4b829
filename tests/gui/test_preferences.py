"""The preferences page: its defaults, what nonsense on it means, and that an open panel follows it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from npe2 import PluginManifest

from napari_cpclnet.gui.session.classes import PRESETS, offered
from napari_cpclnet.gui.settings import preferences as module
from napari_cpclnet.gui.settings.preferences import Preferences, from_pages, preferences
from napari_cpclnet.segmentation.settings import RunSettings
from napari_cpclnet.settings_fields import field_of

from .test_manifest import MANIFEST


def page_of_manifest(name: str) -> SimpleNamespace:
    manifest = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    properties = manifest["contributions"]["configurations"][name]["properties"]
    return SimpleNamespace(**{key: entry["default"] for key, entry in properties.items()})


@pytest.fixture
def settings(plugin_settings, npe2pm):
    """The real pages of napari, in a folder of the test."""
    napari_settings = pytest.importorskip("napari.settings")
    npe2pm.register(PluginManifest.from_file(MANIFEST))
    return napari_settings.get_plugin_settings("napari-cpclnet")


def test_the_pages_of_the_manifest_show_the_defaults():
    assert from_pages(page_of_manifest("computing"), page_of_manifest("work")) == Preferences()


def test_the_pages_offer_what_the_options_know():
    manifest = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    computing = manifest["contributions"]["configurations"]["computing"]["properties"]
    for name in ("device", "precision"):
        assert computing[name]["enum"] == list(field_of(RunSettings, name).choices)


def test_without_pages_the_defaults_count(monkeypatch):
    monkeypatch.setattr(module, "page", lambda _: None)
    assert preferences() == Preferences()


def test_values_that_make_no_sense_count_as_not_set():
    computing = SimpleNamespace(device="tpu", precision=8, weights="  ")
    work = SimpleNamespace(autosave_seconds="soon", lazy_gib=-1, classes=" , ,")
    assert from_pages(computing, work) == Preferences()


def test_values_of_the_page_are_options_of_the_next_run(settings):
    settings.computing.device = "cpu"
    settings.computing.precision = "bf16"
    settings.computing.weights = "~/mine.safetensors"
    settings.work.lazy_gib = 0.5
    mine = Path("~/mine.safetensors").expanduser()
    assert preferences().options() == RunSettings(device="cpu", precision="bf16", weights=mine)
    assert preferences().lazy_bytes == 1 << 29


def test_a_panel_begins_with_the_preferences(settings, make_panel):
    settings.computing.device = "cpu"
    settings.computing.weights = "/somewhere/mine.safetensors"
    tab = make_panel().segment
    assert tab.options.device.currentData() == "cpu"
    assert tab.session.options.weights == Path("/somewhere/mine.safetensors")
    status = tab.bar.status.text()
    assert status.startswith("CPU · ready")
    assert status.endswith("weights mine.safetensors")


def test_an_open_panel_takes_over_what_was_changed_and_nothing_else(settings, make_panel):
    tab = make_panel().segment
    tab.options.plane.setCurrentIndex(tab.options.plane.findData("coronal"))
    tab.options.device.setCurrentIndex(tab.options.device.findData("cpu"))
    settings.computing.precision = "bf16"
    assert tab.session.options == RunSettings(plane="coronal", device="cpu", precision="bf16")
    assert tab.project.control.autosave
    settings.work.autosave = False
    assert not tab.project.control.autosave
    settings.work.autosave_seconds = 20.0
    assert tab.session.options == RunSettings(plane="coronal", device="cpu", precision="bf16")
    assert tab.project.control.clock.longest == 20


def test_a_hint_that_was_closed_stays_away_until_the_preferences_bring_it_back(settings, make_panel):
    hint = make_panel().segment.first_steps
    assert not hint.isHidden()
    hint.close_button.click()
    assert hint.isHidden()
    assert "hint: false" in settings.config_path.read_text()
    assert make_panel().segment.first_steps.isHidden()
    settings.work.hint = True
    assert not hint.isHidden()


def test_own_classes_are_offered_first_and_no_class_twice(settings):
    settings.work.classes = "left kidney, plaque,,plaque"
    found = [one.name for one in offered(preferences().classes)]
    assert found[:2] == ["left kidney", "plaque"]
    assert sorted(found) == sorted([*(one.name for one in PRESETS), "plaque"])


def test_scans_that_only_this_plugin_reads_are_opened_without_a_question(settings, npe2pm, tmp_path):
    from napari.plugins.utils import get_preferred_reader
    from napari.settings import get_settings
    from npe2 import DynamicPlugin

    from napari_cpclnet.gui.settings.readers import SUFFIXES, read_by_default

    scan = tmp_path / "a scan.nii.gz"
    scan.touch()
    get_settings().plugins.extension2reader = {"*.nrrd": "napari"}
    with DynamicPlugin("other-reader", plugin_manager=npe2pm) as other:

        @other.contribute.reader(filename_patterns=["*.mha"])
        def get_reader(_path):
            return lambda _: []

        assert set(read_by_default()) == {f"*{suffix}" for suffix in SUFFIXES} - {"*.nrrd", "*.mha"}
    assert get_preferred_reader(str(scan)) == "napari-cpclnet"
    chosen = get_settings().plugins.extension2reader
    assert chosen["*.nrrd"] == "napari", "what the user chose stays"
    assert "*.mha" not in chosen, "another plugin reads it: the user is asked"
    assert read_by_default() == ("*.mha",)
