"""Some steps on the painted slices: what they change and what they leave alone."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from napari_cpclnet.errors import SupportError
from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.model import CPCLNet, CPCLNetSettings
from napari_cpclnet.segmentation import SegmentationSettings, Segmenter, SupportSet
from napari_cpclnet.training.adaptation import adapt
from napari_cpclnet.training.settings import AdaptationSettings

TINY = CPCLNetSettings(
    channels=16,
    skip_channels=8,
    latent_channels=8,
    foreground_descriptors=3,
    ring_descriptors=2,
    background_descriptors=3,
    blocks=1,
    heads=1,
)


def scan(slices: int = 8, side: int = 60) -> tuple[Volume, np.ndarray]:
    """A grey disc with a bright ball in it, and the ball's label."""
    z, y, x = np.meshgrid(np.arange(slices), np.arange(side), np.arange(side), indexing="ij")
    ball = (z - slices / 2) ** 2 * 4 + (y - 26) ** 2 + (x - 36) ** 2 < 90
    body = (y - side / 2) ** 2 + (x - side / 2) ** 2 < (side / 2.2) ** 2
    array = (200 * body + 600 * ball).astype(np.float32)
    geometry = Geometry((slices, side, side), (5.0, 4.0, 4.0))
    return Volume(array, geometry, "MR", "", name="ball"), ball.astype(np.uint8)


def support(*indices: int) -> SupportSet:
    volume, labels = scan()
    found = SupportSet({1: "ball"})
    found.add(volume, labels, slices=indices)
    return found


@pytest.fixture
def segmenter() -> Segmenter:
    torch.manual_seed(0)
    return Segmenter(CPCLNet(TINY), SegmentationSettings(device="cpu"))


def run(segmenter: Segmenter, painted: SupportSet, steps: int = 3) -> list[float]:
    settings = AdaptationSettings(steps=steps, learning_rate=3e-3)
    return [report.loss for report in adapt(segmenter, painted, settings)]


def test_the_network_learns_the_painted_organ(segmenter: Segmenter) -> None:
    losses = run(segmenter, support(3, 4, 5), 40)
    assert np.mean(losses[-8:]) < 0.6 * np.mean(losses[:8])


def test_the_same_seed_gives_the_same_network(segmenter: Segmenter) -> None:
    other = Segmenter(copy.deepcopy(segmenter.model), segmenter.settings)
    assert run(segmenter, support(3, 5)) == run(other, support(3, 5))
    for one, two in zip(segmenter.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_single_slice_is_its_own_query(segmenter: Segmenter) -> None:
    assert np.isfinite(run(segmenter, support(4))).all()


def test_only_the_network_that_was_handed_in_changes(segmenter: Segmenter) -> None:
    before = copy.deepcopy(segmenter.model.state_dict())
    run(Segmenter(copy.deepcopy(segmenter.model), segmenter.settings), support(3, 5))
    for name, value in segmenter.model.state_dict().items():
        assert torch.equal(value, before[name])


def test_closing_ends_it_and_leaves_a_network_that_segments(segmenter: Segmenter) -> None:
    painted = support(3, 5)
    steps = adapt(segmenter, painted, AdaptationSettings(steps=1000))
    assert next(steps).total == 1000
    steps.close()  # type: ignore[attr-defined]
    assert not segmenter.model.training
    segmenter.set_support(painted)
    volume, _ = scan()
    assert len(list(segmenter.predict(volume))) == 8


def test_adapted_weights_describe_the_support_anew(segmenter: Segmenter) -> None:
    painted = support(3, 5)
    segmenter.set_support(painted)
    before = segmenter._descriptors
    run(segmenter, painted)
    segmenter.set_support(painted)
    assert segmenter._descriptors is not before


def test_a_support_without_a_class_is_refused(segmenter: Segmenter) -> None:
    volume, labels = scan()
    empty = SupportSet({1: "ball"})
    empty.add(volume, np.zeros_like(labels), absent=[0])
    with pytest.raises(SupportError, match="paint"):
        next(adapt(segmenter, empty))
