"""YAML that a person wrote, with one short sentence about what is wrong in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import yaml


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


@contextmanager
def yaml_checked() -> Iterator[None]:
    """Turn whatever the YAML library raises inside into `NotYamlError`.

    Not all of it is a ``YAMLError``: a date that does not exist or a number out of bounds is a ``ValueError``, and a
    thousand brackets exhaust the stack.
    """
    try:
        yield
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        first = (str(getattr(error, "problem", None) or error).splitlines() or ["damaged"])[0]
        raise NotYamlError(first.strip(), mark.line + 1 if mark else None) from error
    except (ValueError, OverflowError) as error:
        raise NotYamlError((str(error).splitlines() or ["a value out of bounds"])[0], None) from error
    except RecursionError as error:
        raise NotYamlError("nested too deeply", None) from error
