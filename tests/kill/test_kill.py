"""Commands and windows that are killed at a random moment complete with the next call."""

from __future__ import annotations

import sys

import pytest

from .run import COMMANDS, rounds

# A save is due seven seconds after a stroke, and takes its time on a busy machine.
MOST_LOST_SECONDS = 10.0


@pytest.mark.slow
@pytest.mark.timeout(1800)  # starts a dozen processes, which takes a while on a busy machine
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("name", COMMANDS)
def test_what_was_killed_completes_with_the_next_call(name: str) -> None:
    if name == "window":
        pytest.importorskip("napari")
    done = list(rounds(2, 7, [name], print))
    assert sum(one.kills for one in done) >= 2
    assert all(loss.seconds <= MOST_LOST_SECONDS for one in done for loss in one.losses)
