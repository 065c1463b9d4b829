"""Bounded reading of YAML, with one short sentence about what is wrong in it."""

from __future__ import annotations

from typing import Any

import yaml

# A table of ten thousand scans; the library takes some ten seconds for it.
MOST_CHARACTERS = 4 << 20
# Values in a text with all its references written out; long ones count for every 32 characters.
MOST_VALUES = 500_000
MOST_DIGITS = 300


class NotYamlError(Exception):
    """Text that is no YAML.

    Parameters
    ----------
    problem
        What is wrong, in a few words on one line.
    line
        Where, counted from 1; None if it is not known.
    """

    def __init__(self, problem: str, line: int | None) -> None:
        super().__init__(problem)
        self.problem, self.line = problem, line


def load_yaml(text: str) -> tuple[Any, yaml.Node | None]:
    """Value of a YAML text, and its nodes, which know their lines; None and None of an empty one.

    Not all that the YAML library raises is a ``YAMLError``: a date that does not exist or a number out of bounds is a
    ``ValueError``, and a thousand brackets exhaust the stack.

    Raises
    ------
    NotYamlError
        If it is no YAML, too large, or made large by references to references.
    """
    if len(text) > MOST_CHARACTERS:
        raise NotYamlError(f"more than {MOST_CHARACTERS >> 20} million characters", None)
    try:
        loader = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return None, None
            if _written_out(root, {}) > MOST_VALUES:
                raise NotYamlError("references that make it too large", None)
            return loader.construct_document(root), root
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        first = (str(getattr(error, "problem", None) or error).splitlines() or ["damaged"])[0]
        raise NotYamlError(first.strip(), mark.line + 1 if mark else None) from error
    except (ValueError, OverflowError, TypeError) as error:
        raise NotYamlError((str(error).splitlines() or ["a value out of bounds"])[0], None) from error
    except RecursionError as error:
        raise NotYamlError("nested too deeply", None) from error


def _written_out(node: yaml.Node, known: dict[int, int]) -> int:
    """Number of values below a node, each reference counted as what it refers to."""
    if id(node) in known:
        if known[id(node)] < 0:
            raise NotYamlError("a reference to itself", node.start_mark.line + 1)
        return known[id(node)]
    known[id(node)] = -1
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        parts = node.value
    elif node.tag.endswith(":int") and len(node.value) > MOST_DIGITS:
        raise NotYamlError("a number of too many digits", node.start_mark.line + 1)
    length = len(node.value) // 32 if isinstance(node, yaml.ScalarNode) else 0
    known[id(node)] = 1 + length + sum(_written_out(part, known) for part in parts)
    return known[id(node)]
