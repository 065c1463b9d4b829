"""Bent masks that are corrected where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.model.prior_decoder import PriorDecoder
from napari_cpclnet.model.settings import PriorDecoderSettings
from napari_cpclnet.segmentation import prior_trust
from napari_cpclnet.segmentation.prior_decoding import DecodedPrior, DecodingProgress
from napari_cpclnet.segmentation.prior_trust import TriedPrior, trying_priors


def _ball(shape: tuple[int, int, int], spacing: tuple[float, float, float], radius: float) -> np.ndarray:
    z, y, x = ((np.arange(n) - n // 2) * mm for n, mm in zip(shape, spacing, strict=True))
    result: np.ndarray = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 < radius**2
    return result


GEOMETRY = Geometry((24, 60, 60), (4.0, 2.0, 2.0))
BALL = _ball(GEOMETRY.shape, GEOMETRY.spacing, 30.0)


@pytest.mark.parametrize("error", [1.0, 3.0])
def test_bends_move_the_outline_by_about_what_is_asked_for(error: float) -> None:
    surface = 4 * np.pi * 30.0**2
    off = []
    for seed in range(8):
        bent = prior_trust._deformed(BALL, GEOMETRY.spacing, error, np.random.default_rng(seed))
        off.append(np.count_nonzero(bent != BALL) * np.prod(GEOMETRY.spacing) / surface)
    assert 0.6 * error < np.mean(off) < 1.4 * error


def test_a_decoder_that_does_nothing_gains_nothing() -> None:
    torch.manual_seed(0)
    decoder = PriorDecoder(PriorDecoderSettings(fine=8, middle=8, coarse=8)).eval()
    scan = Volume(np.zeros(GEOMETRY.shape, np.float32), GEOMETRY, "MR")
    reports = list(trying_priors(decoder, scan, {1: BALL, 3: np.zeros_like(BALL)}, 3.0, passes=1))
    tried = [r for r in reports if isinstance(r, TriedPrior)]
    assert [t.value for t in tried] == [1] and tried[0].before < 0.97
    assert abs(tried[0].gain) < 0.01
    assert any(isinstance(r, DecodingProgress) for r in reports)


def test_the_gain_is_dice_after_less_dice_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def perfect(
        _decoder: object, _volume: object, priors: dict[int, np.ndarray], **_options: object
    ) -> object:
        for value in priors:
            logits = np.where(BALL, 1.0, -1.0).astype(np.float32)
            yield DecodedPrior(value, (slice(None), slice(None), slice(None)), logits, 0.9)

    monkeypatch.setattr(prior_trust, "decode_priors", perfect)
    scan = Volume(np.zeros(GEOMETRY.shape, np.float32), GEOMETRY, "MR")
    (tried,) = trying_priors(PriorDecoder(), scan, {2: BALL}, {2: 4.0})
    assert isinstance(tried, TriedPrior) and tried.after == 1.0
    assert tried.gain == pytest.approx(1.0 - tried.before) and tried.gain > 0.02
