"""Damaged files of every kind: a result or one sentence, in no time and little memory.

A short, repeatable round; ``python -m tests.fuzz.run`` goes on for as long as it is let.
"""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .seeds import seeds
from .targets import Targets, workplace

resource = pytest.importorskip("resource", reason="memory is measured the Unix way")

NAMES = sorted(Targets(workplace()).by_name)
# More than any of these small files can need on top of the libraries.
MOST_KILOBYTES = 1_000_000

edits = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8), st.booleans()), max_size=6
)


@cache
def known(name: str) -> list[bytes]:
    return seeds(name)


@cache
def targets() -> Targets:
    return Targets(workplace())


def damaged(seed: bytes, changes: list[tuple[float, bytes, bool]], length: float) -> bytes:
    """A seed with some bytes replaced or inserted, cut off at a part of its length."""
    data = bytearray(seed)
    for where, content, insert in changes:
        at = int(where * len(data))
        data[at : at if insert else at + len(content)] = content
    return bytes(data[: round(length * len(data))])


@pytest.mark.parametrize("name", NAMES)
def test_seeds_are_read(name: str) -> None:
    assert known(name)
    for seed in known(name):
        targets().by_name[name](seed)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_give_a_result_or_one_sentence(name: str) -> None:
    @settings(
        max_examples=60,
        deadline=5000,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def try_one(data: st.DataObject) -> None:
        seed = data.draw(st.sampled_from(known(name)))
        length = data.draw(st.one_of(st.just(1.0), st.floats(0, 1)))
        targets().by_name[name](damaged(seed, data.draw(edits), length))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try_one()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_KILOBYTES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_rubbish_gives_one_sentence(name: str) -> None:
    for rubbish in (b"", b"\0", b"\0" * 1000, b"\xff" * 1000, bytes(range(256)) * 4, "ü\n".encode() * 200):
        targets().by_name[name](rubbish)
