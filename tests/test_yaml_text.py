from __future__ import annotations

import pytest
import yaml

from napari_cpclnet.yaml_text import NotYamlError, yaml_checked


@pytest.mark.parametrize(
    ("text", "problem", "line"),
    [
        ("a: [1, 2", "expected ',' or ']'", 1),
        ("a: 1\nb: 2\n  c: 3\n", "not allowed here", 3),
        ("a: \0", "unacceptable character", None),
        ("a: 2020-13-45", "month must be in 1..12", None),
        ("[" * 5000, "nested too deeply", None),
    ],
)
def test_what_is_wrong_is_said_on_one_line(text: str, problem: str, line: int | None) -> None:
    with pytest.raises(NotYamlError) as caught, yaml_checked():
        yaml.safe_load(text)
    assert problem in caught.value.problem
    assert "\n" not in caught.value.problem
    assert caught.value.line == line


def test_other_errors_pass() -> None:
    with pytest.raises(FileNotFoundError), yaml_checked():
        raise FileNotFoundError
