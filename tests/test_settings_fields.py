"""Settings are said once: the command line and the panel take them from the fields of the settings models."""

from __future__ import annotations

from inspect import signature
from typing import Any, get_type_hints

import pytest
from pydantic import BaseModel
from typer.models import OptionInfo

from napari_cpclnet.cli.app import app
from napari_cpclnet.evaluation.settings import EvaluationSettings
from napari_cpclnet.model.settings import CPCLNetSettings
from napari_cpclnet.segmentation.settings import PostprocessingSettings, RunSettings, SegmentationSettings
from napari_cpclnet.settings_fields import field_of
from napari_cpclnet.training.settings import TrainingSettings

RUN = {"device": "device", "precision": "precision", "weights": "weights", "plane": "plane", "adapt": "adapt"}
EVALUATION = {
    "protocol": "protocols",
    "shots": "shots",
    "supports": "supports",
    "from_modality": "from_modality",
    "to_modality": "to_modality",
    "baselines": "baselines",
    "folds": "folds",
    "predictions": "keep_predictions",
    "seed": "seed",
    "plane": "plane",
}
OPTIONS = [
    *(("segment", option, RunSettings, field) for option, field in RUN.items()),
    *(("suggest", option, RunSettings, option) for option in ("device", "weights", "plane")),
    *(("evaluate", option, EvaluationSettings, field) for option, field in EVALUATION.items()),
    ("fill", "plane", RunSettings, "plane"),
    ("train", "device", RunSettings, "device"),
    ("train", "encoder", CPCLNetSettings, "encoder"),
    ("demo", "device", RunSettings, "device"),
]


def option_of(command: str, name: str) -> tuple[Any, Any]:
    """What the command line says of an option, and its default."""
    called = next(
        one.callback for one in app.registered_commands if one.callback and one.callback.__name__ == command
    )
    hint = get_type_hints(called, include_extras=True)[name]
    found = next(one for one in hint.__metadata__ if isinstance(one, OptionInfo))
    return found, signature(called).parameters[name].default


@pytest.mark.parametrize(("command", "option", "settings", "field"), OPTIONS)
def test_an_option_says_and_does_what_its_field_says(
    command: str, option: str, settings: type[BaseModel], field: str
) -> None:
    (found, default), wanted = option_of(command, option), field_of(settings, field)
    assert wanted.description
    assert found.help.startswith(wanted.description)
    assert (found.min, found.max) == (wanted.lowest, wanted.highest)
    if default is not None:  # else what is not given is left to the settings
        assert default in (wanted.default, "all")


@pytest.mark.parametrize("command", ["segment", "evaluate"])
def test_scans_are_registered_as_the_settings_say(command: str) -> None:
    assert option_of(command, "quick")[1] is not SegmentationSettings().align


def test_the_choices_of_a_field_are_the_values_it_takes() -> None:
    for name in ("plane", "precision"):
        for value in field_of(RunSettings, name).choices:
            assert getattr(RunSettings.model_validate({name: value}), name) == value


def test_the_range_of_a_field_is_that_of_its_values() -> None:
    field = field_of(PostprocessingSettings, "closing_mm")
    assert (field.lowest, field.highest, field.default) == (0.0, 50.0, 0.0)
    with pytest.raises(ValueError, match="closing_mm"):
        PostprocessingSettings(closing_mm=50.5)
    assert field_of(TrainingSettings, "steps").highest is None


@pytest.mark.gui
class TestPanel:
    """The widgets; they need a display."""

    def test_the_options_of_the_panel_begin_as_the_settings_do(self, qtbot: Any) -> None:
        from napari_cpclnet.gui.segment.options_box import OptionsBox

        box = OptionsBox()
        qtbot.addWidget(box)
        assert box.options() == RunSettings()

    def test_the_widgets_of_the_panel_say_what_the_fields_say(self, qtbot: Any) -> None:
        from napari_cpclnet.gui.segment.options_box import OptionsBox

        box = OptionsBox()
        qtbot.addWidget(box)
        for widget, settings, name in (
            (box.plane, RunSettings, "plane"),
            (box.device, RunSettings, "device"),
            (box.precision, RunSettings, "precision"),
            (box.search, RunSettings, "align"),
        ):
            field = field_of(settings, name)
            assert widget.toolTip() == field.description
            assert [widget.itemData(i) for i in range(widget.count())] == list(field.choices)
        for widget, settings, name in (
            (box.adapt, RunSettings, "adapt"),
            (box.minimum, PostprocessingSettings, "minimum_ml"),
            (box.closing, PostprocessingSettings, "closing_mm"),
        ):
            field = field_of(settings, name)
            assert widget.toolTip() == field.description
            assert (widget.minimum(), widget.maximum()) == (field.lowest, field.highest)

    def test_settings_without_a_widget_stay_as_they_were_given(self, qtbot: Any) -> None:
        from napari_cpclnet.gui.segment.options_box import OptionsBox

        box = OptionsBox()
        qtbot.addWidget(box)
        post = PostprocessingSettings(closing_mm=2.0, refine=True, refine_band_mm=5.0)
        given = RunSettings(plane="coronal", postprocessing=post, adapt=20, align=False)
        box.set_options(given)
        assert box.options() == given
