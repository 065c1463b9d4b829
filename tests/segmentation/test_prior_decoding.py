"""Priors corrected on a scan's own grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.model.prior_decoder import PriorDecoder
from napari_cpclnet.model.settings import PriorDecoderSettings
from napari_cpclnet.segmentation import prior_decoding
from napari_cpclnet.segmentation.boxed import Boxed
from napari_cpclnet.segmentation.prior_decoding import DecodedPrior, DecodingProgress, decode_priors

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
    *_, last = decode_priors(untrained, scan, {4: Boxed.around(prior)}, axis=axis, passes=passes)
    assert isinstance(last, DecodedPrior) and last.value == 4
    assert last.logits.dtype == np.float16 and last.logits.shape == prior[last.box].shape
    if passes == 1:
        assert (_whole(last, prior.shape) == prior).all()
    assert _dice(_whole(last, prior.shape), prior) > 0.96


def test_an_empty_prior_has_no_answer(untrained: PriorDecoder, scan: Volume) -> None:
    empty = np.zeros(scan.array.shape, bool)
    assert list(decode_priors(untrained, scan, {1: Boxed.around(empty)})) == []


def test_progress_reaches_its_total_and_closing_ends_it(untrained: PriorDecoder, scan: Volume) -> None:
    priors = {
        1: Boxed.around(_ball((9, 24, 33), 18, scan)),
        2: Boxed.around(_ball((5, 40, 20), 10, scan)),
    }
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
    *_, whole = decode_priors(untrained, plain, {1: Boxed.around(prior)}, passes=1)
    monkeypatch.setattr(prior_decoding, "_STACK_PIXELS", 12_000)
    monkeypatch.setattr(prior_decoding, "_NATIVE_PIXELS", 6_000)
    reports = list(decode_priors(untrained, plain, {1: Boxed.around(prior)}, passes=1))
    parts = reports[-1]
    assert isinstance(whole, DecodedPrior) and isinstance(parts, DecodedPrior)
    assert len(reports) > 3
    np.testing.assert_allclose(parts.logits, whole.logits, atol=4e-3)  # half precision


@pytest.mark.parametrize("error", [None, 3.0])
def test_the_network_is_told_of_each_slice_how_far_the_prior_is_off(
    untrained: PriorDecoder, scan: Volume, error: float | None
) -> None:
    told = []
    untrained.register_forward_pre_hook(lambda _, inputs: told.append(inputs[1]))
    prior = _ball((9, 24, 33), 18, scan)
    *_, last = decode_priors(untrained, scan, {1: Boxed.around(prior)}, error_mm=error, passes=1)
    assert isinstance(last, DecodedPrior)
    facts = torch.cat(told)
    assert len(facts) == last.logits.shape[0]
    assert facts[:, -2:].unique(dim=0).tolist() == [[0.0, 0.0 if error is None else 1.0]]
