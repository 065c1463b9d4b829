"""How the command line's words are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from napari_cpclnet.cli.app import app
from napari_cpclnet.cli.options import (
    home_paths,
    listed_slices,
    parse_classes,
    parse_slices,
    repeated_options,
)
from napari_cpclnet.errors import SettingsError
from napari_cpclnet.imaging import Geometry, Volume, write_volume


def test_query_takes_values_up_to_the_next_option() -> None:
    words = ["--query", "a", "b c", "--out", "o", "--query=d"]
    assert repeated_options(words) == ["--query", "a", "--query", "b c", "--out", "o", "--query", "d"]


def test_support_takes_two_values_each_time() -> None:
    words = ["--support", "a", "m", "--support", "b", "n"]
    assert repeated_options(words) == ["--support", "a", "--support", "m", "--support", "b", "--support", "n"]


@pytest.mark.parametrize("words", [["--support", "a"], ["--support", "a", "m", "x"], ["--support"]])
def test_support_with_another_number_of_values_is_refused(words: list[str]) -> None:
    with pytest.raises(typer.BadParameter, match="IMAGE MASK"):
        repeated_options(words)


def test_query_without_a_value_is_left_to_the_parser() -> None:
    assert repeated_options(["--query", "--out", "o"]) == ["--query", "--out", "o"]


def test_slices_are_for_every_support_or_for_each() -> None:
    assert parse_slices([], 2) == (None, None)
    assert parse_slices(["3, 1,3"], 2) == ((1, 3), (1, 3))
    assert parse_slices(["1", "2"], 2) == ((1,), (2,))


@pytest.mark.parametrize("texts", [["1", "2", "3"], ["1,x"], [""], ["-1"], ["1.5"]])
def test_slices_that_make_no_sense(texts: list[str]) -> None:
    with pytest.raises(SettingsError):
        parse_slices(texts, 2)


def test_classes() -> None:
    assert parse_classes(None) is None
    assert parse_classes("6=liver, 2=right kidney,3") == {6: "liver", 2: "right kidney", 3: "label 3"}


@pytest.mark.parametrize("text", ["0=air", "liver", "1=a,1=b", "1=a,2=a", "", "-1=a"])
def test_classes_that_make_no_sense(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_classes(text)


def commands() -> dict[str, Callable[..., object]]:
    """What each command calls."""
    return {command.callback.__name__: command.callback for command in app.registered_commands}


@pytest.mark.parametrize("name", sorted(commands().keys() - {"check"}))  # takes no path
def test_every_path_of_a_command_may_begin_with_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    called = commands()[name]
    hints = get_type_hints(called)
    wanted = {param: "list" in str(hint) for param, hint in hints.items() if "Path" in str(hint)}
    assert wanted
    seen: dict[str, object] = {}

    def spy(**given: object) -> None:
        seen.update(given)

    home_paths(spy)(
        **{param: [Path("~/x")] if many else Path("~/x") for param, many in wanted.items()}, seed=3
    )
    there = tmp_path / "x"
    assert seen == {param: [there] if many else there for param, many in wanted.items()} | {"seed": 3}
    assert called.__code__ is home_paths(spy).__code__  # is given its paths by home_paths


def test_the_home_folder_behind_an_equals_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(app, ["evaluate", "--cases=~/cases.csv", "--out=~/results"])
    assert f"{tmp_path / 'cases.csv'}: there is no such cases table" in said.stderr


def test_a_file_that_is_called_like_the_sign_of_the_home_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~").write_text("no scan")
    assert "Error: ~: unsupported file format" in CliRunner().invoke(app, ["info", "~"]).stderr


def test_slices_in_a_sentence_are_drawn_together() -> None:
    assert listed_slices([40, 3, *range(10, 26), 41]) == "3, 10 to 25, 40, 41"
    assert listed_slices(range(0, 40, 2)).endswith("20, 22 and 8 more")


LONG = "x" * 300
NAMELESS = [
    ["info", LONG],
    ["convert", LONG, "o.nii"],
    ["convert", "scan.nii", f"{LONG}.nii"],
    ["convert", "scan.nii", "o.nii", "--like", LONG],
    ["segment", "--support", LONG, "m", "--query", "q", "--out", "o"],
    ["segment", "--support", "scan.nii", LONG, "--query", "q", "--out", "o"],
    ["segment", "--support", "scan.nii", "scan.nii", "--query", "q", "--out", LONG],
    ["segment", "--project", LONG],
    ["fill", LONG, "m", "--out", "o.nii"],
    ["evaluate", "--cases", LONG, "--out", "o"],
    ["train", "--phantoms", "--out", LONG],
    ["train", "--phantoms", "--settings", LONG, "--out", "o"],
    ["train", "--phantoms", "--start", LONG, "--out", "o"],
    ["train", "--data-root", LONG, "--out", "o"],
    ["pseudo-labels", "--data-root", LONG],
]


@pytest.mark.parametrize("words", NAMELESS, ids=[" ".join(words).replace(LONG, "long") for words in NAMELESS])
def test_a_path_longer_than_any_is_one_short_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_volume(Volume(np.zeros((2, 3, 4), np.int16), Geometry((2, 3, 4))), tmp_path / "scan.nii")
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2, done.exception
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr) < 800
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("quick", [True, False])
def test_scans_are_registered_unless_it_is_to_be_quick(monkeypatch: pytest.MonkeyPatch, quick: bool) -> None:
    jobs = []
    monkeypatch.setattr("napari_cpclnet.cli.app.run_segment", lambda job: jobs.append(job) or 0)
    words = ["segment", "--support", "a", "m", "--query", "q", "--out", "o", *(["--quick"] if quick else [])]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert jobs[0].settings.align is not quick
