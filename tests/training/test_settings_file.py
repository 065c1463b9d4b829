"""Settings files: YAML that comes back the same, and sentences for mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from napari_cpclnet.errors import SettingsError
from napari_cpclnet.training import TrainingSettings, read_settings, write_settings


def test_what_is_written_is_read(tmp_path: Path) -> None:
    settings = TrainingSettings(steps=17, learning_rate=1e-5, precision="bf16", sources={"scans": 3})  # type: ignore[arg-type]
    write_settings(settings, tmp_path / "settings.yaml")
    assert read_settings(tmp_path / "settings.yaml") == settings
    text = (tmp_path / "settings.yaml").read_text()
    assert yaml.safe_load(text)["episodes"]["shots"] == [1, 2, 3, 5]
    assert "# Optimiser steps of the whole run; each takes seconds on a CPU.\nsteps: 17\n" in text


def test_a_file_holds_only_what_differs_and_may_be_json(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_text(json.dumps({"steps": 5, "loss": {"align": 0.5}}))
    found = read_settings(path)
    assert found == TrainingSettings(steps=5, loss={"align": 0.5})  # type: ignore[arg-type]
    path.write_text("")
    assert read_settings(path) == TrainingSettings()


def test_numbers_may_be_written_as_in_python(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text("learning_rate: 2e-3\n")  # YAML 1.1 takes this for a text
    assert read_settings(path).learning_rate == 2e-3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("setps: 3", "no setting 'setps'"),
        ("loss: {aling: 3}", "no setting 'loss.aling'"),
        ("steps: many", "steps: 'many' is not possible"),
        ("steps: 0", "steps: 0 is not possible"),
        ("steps: [1\nloss: 2", "mistake in line 2"),
        ("just words", "holds no settings"),
        ("episodes: {size: 64}", "contradict each other"),
        (None, "cannot be read"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "bad.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_settings(path)
    assert words in str(caught.value)
    assert "bad.yaml" in str(caught.value)


def test_settings_are_known_by_their_older_names_too(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text("line_levels: 0.5\nunknown_levels: 0.2\nline_error: 0.1\n")
    read = read_settings(tmp_path / "old.yaml")
    assert (read.true_level_share, read.no_level_share, read.level_noise) == (0.5, 0.2, 0.1)
    write_settings(read, tmp_path / "new.yaml")
    assert "line_" not in (tmp_path / "new.yaml").read_text()
    assert read_settings(tmp_path / "new.yaml") == read
