"""Settings refuse what makes no sense."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from napari_cpclnet.evaluation import EvaluationSettings


def test_the_default_is_the_honest_protocol_with_five_slices_of_one_support() -> None:
    settings = EvaluationSettings()
    assert (settings.protocols, settings.shots, settings.supports) == (("honest",), (5,), 1)
    assert settings.tolerance_mm == 2.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"protocols": ("best",)},
        {"protocols": ()},
        {"shots": (0,)},
        {"supports": 0},
        {"folds": 1},
        {"from_modality": "US"},
        {"baselines": ("magic",)},
        {"threshold": 0.4},
    ],
)
def test_nonsense_is_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        EvaluationSettings(**wrong)


def test_what_is_given_twice_is_run_once() -> None:
    assert EvaluationSettings(shots=(1, 5, 1)).shots == (1, 5)
