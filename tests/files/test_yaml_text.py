"""YAML is read within bounds, and what is wrong in it is said in a few words."""

from __future__ import annotations

import time

import pytest
import yaml

from napari_cpclnet.files.yaml_text import NotYamlError, load_yaml


@pytest.mark.parametrize(
    ("text", "problem", "line"),
    [
        ("a: [1, 2", "expected ',' or ']'", 1),
        ("a: 1\nb: 2\n  c: 3\n", "not allowed here", 3),
        ("a: \0", "unacceptable character", None),
        ("a: 2020-13-45", "month must be in 1..12", None),
        ("[" * 5000, "nested too deeply", None),
        ("a: &a [*a]", "a reference to itself", 1),
        ("b: 1\na: 0x" + "f" * 1000, "a number of too many digits", 2),
        ("a: " + "x" * (5 << 20), "more than 4 million characters", None),
        ("a: !!python/object:os.system x", "could not determine a constructor", 1),
    ],
)
def test_what_is_wrong_is_said_on_one_line(text: str, problem: str, line: int | None) -> None:
    with pytest.raises(NotYamlError) as caught:
        load_yaml(text)
    assert problem in caught.value.problem
    assert "\n" not in caught.value.problem
    assert caught.value.line == line


def references(form: str) -> str:
    """Ten references to ten references, nine times over: a billion values in a few lines."""
    lines = ["a0: &a0 {x: 1}" if "<<" in form else "a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} " + form.format(", ".join([f"*a{n - 1}"] * 10)) for n in range(1, 10)]
    return "\n".join(lines)


@pytest.mark.parametrize("form", ["[{}]", "{{<<: [{}]}}", "{{k: [{}]}}"])
def test_references_that_multiply_are_refused_at_once(form: str) -> None:
    started = time.process_time()
    with pytest.raises(NotYamlError, match="references that make it too large"):
        load_yaml(references(form))
    assert time.process_time() - started < 2


def test_a_long_text_that_is_referred_to_many_times_is_refused() -> None:
    text = "a: &a " + "x" * 1_000_000 + "\nb: [" + "*a, " * 1000 + "*a]"
    with pytest.raises(NotYamlError, match="references"):
        load_yaml(text)


def test_references_of_use_are_followed() -> None:
    value, root = load_yaml("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\n")
    assert value == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}
    assert isinstance(root, yaml.MappingNode)


def test_an_empty_text_holds_nothing() -> None:
    assert load_yaml("# nothing") == (None, None)
