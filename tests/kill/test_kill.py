"""Commands that are killed at a random moment complete with the next call."""

from __future__ import annotations

import sys

import pytest

from .run import rounds


@pytest.mark.slow
@pytest.mark.timeout(1800)  # starts a dozen processes, which takes a while on a busy machine
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("name", ["segment", "evaluate", "train"])
def test_a_killed_command_completes_with_the_next_call(name: str) -> None:
    assert sum(kills for _, kills in rounds(2, 7, [name], print)) >= 2
