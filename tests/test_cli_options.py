"""How the command line's words are read."""

from __future__ import annotations

import pytest
import typer

from napari_cpclnet.cli_options import parse_classes, parse_slices, repeated_options
from napari_cpclnet.errors import SettingsError


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
