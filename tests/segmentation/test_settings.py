from __future__ import annotations

import pytest
from pydantic import ValidationError

from napari_cpclnet.segmentation import PostprocessingSettings, SegmentationSettings


@pytest.mark.parametrize("model", [SegmentationSettings, PostprocessingSettings])
def test_every_field_is_described_and_frozen(model):
    assert all(field.description for field in model.model_fields.values())
    settings = model()
    with pytest.raises(ValidationError):
        setattr(settings, next(iter(model.model_fields)), None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"plane": "oblique"},
        {"threshold": 0.0},
        {"threshold": 1.0},
        {"batch_size": -1},
        {"precision": "int8"},
        {"tta": 1},
    ],
)
def test_a_value_without_meaning_is_refused(wrong):
    with pytest.raises(ValidationError):
        SegmentationSettings(**wrong)


def test_settings_survive_json():
    settings = SegmentationSettings(plane="coronal", postprocessing=PostprocessingSettings(minimum_ml=3))
    assert SegmentationSettings.model_validate_json(settings.model_dump_json()) == settings


def test_a_setting_is_known_by_its_older_name_too() -> None:
    assert SegmentationSettings.model_validate({"second_look": False}) == SegmentationSettings(
        self_support=False
    )
    assert "second_look" not in SegmentationSettings().model_dump()
