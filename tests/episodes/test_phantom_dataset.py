"""The stack of phantoms on disk: made once, the same for the same seed, written whole."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from napari_cpclnet.episodes import phantom_dataset as stack
from napari_cpclnet.episodes.phantom_dataset import make_stack
from napari_cpclnet.errors import OutputError, SettingsError
from napari_cpclnet.phantoms.phantom import Phantom, make_phantom
from napari_cpclnet.phantoms.settings import PhantomSettings


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tiny stand-ins for phantoms, made in this process; the list grows with every one made."""
    made: list[int] = []

    def tiny(rng: np.random.Generator, settings: object = None) -> Phantom:
        made.append(1)
        labels, level = rng.integers(0, 40, (6, 5, 4), np.uint8), rng.random(6).astype(np.float32)
        return Phantom(labels, {}, (1, 1, 1), level)

    monkeypatch.setattr(stack, "make_phantom", tiny)
    monkeypatch.setattr(stack, "make_thorax", tiny)
    monkeypatch.setattr(stack, "make_pelvis", tiny)
    for name in ("make_head", "make_heart", "make_legs", "make_brain", "make_spine"):
        monkeypatch.setattr(
            stack, name, lambda rng, settings: replace(tiny(rng), level=np.full(6, np.nan, np.float32))
        )
    monkeypatch.setattr(
        stack, "ProcessPoolExecutor", lambda workers, mp_context, initializer: ThreadPoolExecutor(1)
    )
    return made


def test_is_made_once_and_read_back(quick: list[int], tmp_path: Path) -> None:
    path = tmp_path / "deep" / "stack.safetensors"
    one = make_stack(3, 5, path)
    assert one.labels.shape == (3, 6, 5, 4) and one.labels.dtype == torch.uint8
    assert one.levels.shape == (3, 6) and one.spacing == PhantomSettings().spacing
    two = make_stack(3, 5, path)
    assert torch.equal(one.labels, two.labels) and torch.equal(one.levels, two.levels)
    assert torch.equal(one.parts, two.parts)
    assert len(quick) == 3
    assert [p.name for p in path.parent.iterdir()] == ["stack.safetensors"]


def test_a_longer_stack_begins_with_the_shorter_one(quick: list[int], tmp_path: Path) -> None:
    short, long = make_stack(2, 5, tmp_path / "a"), make_stack(4, 5, tmp_path / "b")
    assert torch.equal(long.labels[:2], short.labels)
    assert torch.equal(make_stack(2, 5, tmp_path / "b").labels, short.labels)
    assert not torch.equal(make_stack(2, 6, tmp_path / "c").labels, short.labels)
    assert len({phantom.numpy().tobytes() for phantom in long.labels}) == 4


@pytest.mark.usefixtures("quick")
def test_of_the_first_twenty_phantoms_most_show_trunks_and_some_other_parts(tmp_path: Path) -> None:
    made = make_stack(len(stack._SHOWN) + 5, 5, tmp_path / "a")
    names = [stack.PARTS[part] for part in made.parts.tolist()]
    shown = Counter(names[:20])
    assert shown == {"trunk": 13, "thorax": 3, "heart": 1, "legs": 2, "head": 1}
    assert names[-5:] == names[:5] and set(names) == set(stack.PARTS)
    unknown = [name in ("head", "heart", "legs", "brain", "spine") for name in names]
    assert made.levels.isnan().all(1).tolist() == unknown


def test_a_file_with_fewer_phantoms_is_refused(quick: list[int], tmp_path: Path) -> None:
    make_stack(2, 5, tmp_path / "a")
    with pytest.raises(SettingsError, match="holds 2 phantoms, not 3"):
        make_stack(3, 5, tmp_path / "a")


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"no phantoms")
    save_file({"other": np.zeros(2)}, tmp_path / "b")
    # of a version that did not say which parts its phantoms show
    save_file({"labels": np.zeros((2, 1, 1, 1), np.uint8), "levels": np.zeros((2, 1))}, tmp_path / "c")
    for name in "abc":
        with pytest.raises(SettingsError, match="holds no phantoms or is damaged"):
            make_stack(2, 5, tmp_path / name)


@pytest.mark.usefixtures("quick")
def test_a_place_that_cannot_be_written_gives_an_output_error(tmp_path: Path) -> None:
    path = tmp_path / "stack.safetensors"
    (path / "occupied").mkdir(parents=True)
    with pytest.raises(OutputError, match="Cannot write the phantoms to"):
        make_stack(1, 5, path)
    assert [p.name for p in tmp_path.iterdir()] == ["stack.safetensors"]


@pytest.mark.slow
def test_worker_processes_make_the_phantoms_of_the_seed(tmp_path: Path) -> None:
    made = make_stack(1, 9, tmp_path / "stack.safetensors", workers=1)
    phantom = make_phantom(np.random.default_rng((9, 0)))
    np.testing.assert_array_equal(made.labels[0].numpy(), phantom.labels)
    np.testing.assert_array_equal(made.levels[0].numpy(), phantom.level)
