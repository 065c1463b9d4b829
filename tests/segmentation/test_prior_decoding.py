"""Priors corrected on a scan's own grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.model.prior_decoder import PriorDecoder
from napari_cpclnet.model.prior_inputs import plane_distance
from napari_cpclnet.model.settings import PriorDecoderSettings
from napari_cpclnet.segmentation import prior_decoding
from napari_cpclnet.segmentation.prior_decoding import (
    DecodedPrior,
    DecodingProgress,
    decode_priors,
    painted_reference,
)

Mask = NDArray[np.bool_]


@pytest.fixture
def untrained() -> PriorDecoder:
    torch.manual_seed(0)
    return PriorDecoder(PriorDecoderSettings(fine=8, middle=8, coarse=16)).eval()


def _ball(centre: tuple[float, float, float], radius: float, volume: Volume) -> Mask:
    z, y, x = (
        (np.arange(n) - c) * mm
        for n, c, mm in zip(volume.geometry.shape, centre, volume.geometry.spacing, strict=True)
    )
    result: Mask = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 < radius**2
    return result


@pytest.fixture
def scan() -> Volume:
    geometry = Geometry((20, 56, 64), (4.0, 1.5, 1.8))
    volume = Volume(np.zeros(geometry.shape, np.float32), geometry, "MR")
    inside = _ball((10, 26, 30), 22, volume)
    rng = np.random.default_rng(0)
    array = 100 + 120 * inside + rng.normal(0, 6, geometry.shape)
    return volume.replaced(array=array.astype(np.float32))


def _dice(one: Mask, other: Mask) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def _whole(one: DecodedPrior, shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, bool)
    mask[one.box] = one.logits > 0
    return mask


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("passes", [1, 2])
def test_an_untrained_decoder_gives_the_prior_back_whatever_the_plane(
    untrained: PriorDecoder, scan: Volume, axis: int, passes: int
) -> None:
    prior = _ball((9, 24, 33), 18, scan)
    *_, last = decode_priors(untrained, scan, {4: prior}, axis=axis, passes=passes)
    assert isinstance(last, DecodedPrior) and last.value == 4
    assert last.logits.dtype == np.float16 and last.logits.shape == prior[last.box].shape
    if passes == 1:
        assert (_whole(last, prior.shape) == prior).all()
    assert _dice(_whole(last, prior.shape), prior) > 0.96


def test_a_signed_distance_is_as_good_a_prior_as_a_mask(untrained: PriorDecoder, scan: Volume) -> None:
    prior = _ball((9, 24, 33), 18, scan)
    distance = plane_distance(prior, scan.geometry.spacing[1:])
    *_, mask = decode_priors(untrained, scan, {1: prior}, passes=1)
    *_, signed = decode_priors(untrained, scan, {1: distance}, passes=1)
    assert isinstance(mask, DecodedPrior) and isinstance(signed, DecodedPrior)
    np.testing.assert_allclose(mask.logits, signed.logits, atol=4e-3)  # half precision


def test_an_empty_prior_has_no_answer(untrained: PriorDecoder, scan: Volume) -> None:
    empty = np.zeros(scan.array.shape, bool)
    assert list(decode_priors(untrained, scan, {1: empty, 2: np.full(empty.shape, -20.0)})) == []


def test_progress_reaches_its_total_and_closing_ends_it(untrained: PriorDecoder, scan: Volume) -> None:
    priors = {1: _ball((9, 24, 33), 18, scan), 2: _ball((5, 40, 20), 10, scan)}
    reports = list(decode_priors(untrained, scan, priors))
    progress = [r for r in reports if isinstance(r, DecodingProgress)]
    assert progress[-1].done == progress[-1].total
    assert [r.value for r in reports if isinstance(r, DecodedPrior)] == [1, 2]
    running = decode_priors(untrained, scan, priors)
    next(running)
    running.close()
    with pytest.raises(StopIteration):
        next(running)


def test_a_scan_decoded_in_parts_is_the_same_where_grey_values_say_nothing(
    untrained: PriorDecoder, scan: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.nn.init.normal_(untrained.correction.weight, 0, 0.3)
    plain = scan.replaced(array=np.ones(scan.array.shape, np.float32))
    prior = _ball((9, 24, 33), 18, scan)
    *_, whole = decode_priors(untrained, plain, {1: prior}, passes=1)
    monkeypatch.setattr(prior_decoding, "_STACK_PIXELS", 12_000)
    monkeypatch.setattr(prior_decoding, "_NATIVE_PIXELS", 6_000)
    reports = list(decode_priors(untrained, plain, {1: prior}, passes=1))
    parts = reports[-1]
    assert isinstance(whole, DecodedPrior) and isinstance(parts, DecodedPrior)
    assert len(reports) > 3
    np.testing.assert_allclose(parts.logits, whole.logits, atol=4e-3)  # half precision


def test_told_errors_are_those_of_the_slices(
    untrained: PriorDecoder, scan: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    original = prior_decoding.decoder_facts

    def spy(pixel: float, context: float, strength: float, error_mm: torch.Tensor) -> torch.Tensor:
        told.append(error_mm)
        return original(pixel, context, strength, error_mm)

    monkeypatch.setattr(prior_decoding, "decoder_facts", spy)
    prior = _ball((9, 24, 33), 18, scan)
    list(decode_priors(untrained, scan, {1: prior}, error_mm={1: np.arange(20.0)}, passes=1))
    first = max(0, int(np.flatnonzero(prior.any((1, 2)))[0]) - 7)
    assert torch.cat(told).tolist() == list(range(first, first + len(torch.cat(told))))


@pytest.mark.parametrize("axis", [0, 2])
def test_a_reference_knows_what_a_class_looks_like(
    untrained: PriorDecoder, scan: Volume, monkeypatch: pytest.MonkeyPatch, axis: int
) -> None:
    truth = _ball((10, 26, 30), 22, scan)
    middle = truth.shape[axis] // 2
    whole = painted_reference(scan, {1: truth, 2: np.zeros_like(truth)}, axis=axis)
    few = painted_reference(scan, {1: truth}, axis=axis, slices=[middle - 1, middle, middle + 1])
    assert set(whole) == {1}
    seen = []
    original = prior_decoding.decoder_maps

    def spy(*arguments: Any) -> torch.Tensor:
        maps = original(*arguments)
        seen.append(maps)
        return maps

    monkeypatch.setattr(prior_decoding, "decoder_maps", spy)
    beside = _ball((10, 32, 24), 22, scan)
    for references in (None, whole, few):
        list(decode_priors(untrained, scan, {1: beside}, axis=axis, references=references, passes=1))
    nothing, one, two = ((maps[:, -2:].sum(1), maps[:, 1] > 0.75) for maps in seen)
    assert not nothing[0].any()
    for said, bright in (one, two):  # the ball is brighter than the rest, wherever the prior is
        assert (said[bright] > 0).float().mean() > 0.9
        assert (said[~bright] < 0).float().mean() > 0.9
