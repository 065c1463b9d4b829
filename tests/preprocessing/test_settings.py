from __future__ import annotations

import pytest
from pydantic import ValidationError

from napari_cpclnet.preprocessing import PreprocessingSettings


def test_settings_survive_json_because_they_travel_with_the_weights():
    settings = PreprocessingSettings(mm_per_pixel=2.5, ct_window=(-160, 240))
    assert PreprocessingSettings.model_validate_json(settings.model_dump_json()) == settings


def test_settings_cannot_be_changed_after_creation():
    with pytest.raises(ValidationError):
        PreprocessingSettings().suv_max = 5.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"ct_window": (100, 100)},
        {"mr_percentiles": (99, 1)},
        {"mr_percentiles": (-1, 99)},
        {"mm_per_pixel": 0},
        {"max_size": 100},
        {"max_size": 500},
        {"pixel": 3},
    ],
)
def test_a_value_without_meaning_is_refused(wrong):
    with pytest.raises(ValidationError):
        PreprocessingSettings(**wrong)


def test_every_field_is_described():
    assert all(field.description for field in PreprocessingSettings.model_fields.values())
