"""Text of others is read within bounds."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from napari_cpclnet.files.bounded import BoundsError, load_json, read_text, shown


@pytest.mark.parametrize("depth", [65, 900, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_json_that_is_nested_too_deeply_is_refused(depth: int, opening: str, closing: str) -> None:
    with pytest.raises(BoundsError, match="nested too deeply"):
        load_json(opening * depth + "1" + closing * depth)


def test_json_of_use_is_read() -> None:
    value = {"a": [1, {"b": [None, "x"]}], "c": [[[[0.5]]]]}
    assert load_json(json.dumps(value)) == value


def test_a_text_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    with pytest.raises(BoundsError, match="larger than 64 MB"):
        read_text(path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(BoundsError, match="no ordinary file"):
        read_text(tmp_path / "pipe.csv")


def test_long_values_are_cut_for_sentences() -> None:
    assert shown("a\nb") == "a b"
    assert shown("x" * 1000) == "x" * 57 + "..."
