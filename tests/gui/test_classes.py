"""One list of classes for all layers: names meet by name, values move out of each other's way."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.gui.session.classes import PRESETS, Classes, ClassInfo, default_color
from napari_cpclnet.imaging import Terminology


def test_every_preset_has_a_code_and_a_colour_of_its_own():
    assert all(Terminology()[preset.code].known for preset in PRESETS)
    assert len({preset.color for preset in PRESETS}) == len(PRESETS)
    assert len({preset.name for preset in PRESETS}) == len(PRESETS)


def test_neighbouring_values_look_different():
    colors = np.array([default_color(value) for value in range(1, 25)], dtype=float)
    distances = np.linalg.norm(colors[:, None] - colors[None], axis=-1)
    assert distances[~np.eye(len(colors), dtype=bool)].min() > 15


def test_a_name_is_one_class_whatever_its_case():
    classes = Classes()
    assert classes.add("Liver") == 1
    assert classes.add("spleen") == 2
    assert classes.add("  liver ") == 1
    assert classes.value_of("SPLEEN") == 2


def test_a_common_organ_brings_its_colour_and_code():
    classes = Classes()
    value = classes.add("Right_Kidney")
    assert classes[value].code == "right kidney"
    assert classes.color(value) != default_color(value)


def test_what_came_with_a_name_goes_with_it():
    classes = Classes({1: ClassInfo("label 1")})
    assert classes.rename(1, "liver")
    assert classes[1].code == "liver"
    assert classes.rename(1, "my thing")
    assert classes[1] == ClassInfo("my thing")


def test_a_colour_the_user_chose_stays_with_any_name():
    classes = Classes()
    value = classes.add("thing")
    classes.set_color(value, (1, 2, 3))
    classes.rename(value, "liver")
    assert classes.color(value) == (1, 2, 3)


def test_two_classes_never_have_one_name():
    classes = Classes({1: ClassInfo("liver"), 2: ClassInfo("spleen")})
    assert not classes.rename(2, "LIVER")
    assert classes.names() == {1: "liver", 2: "spleen"}


@pytest.mark.parametrize(
    ("mask", "moved", "names"),
    [
        ({1: "liver"}, {}, {1: "liver", 2: "spleen"}),
        ({7: "liver"}, {7: 1}, {1: "liver", 2: "spleen"}),
        ({1: "spleen", 2: "liver"}, {1: 2, 2: 1}, {1: "liver", 2: "spleen"}),
        ({1: "heart"}, {1: 3}, {1: "liver", 2: "spleen", 3: "heart"}),
        ({9: "heart"}, {}, {1: "liver", 2: "spleen", 9: "heart"}),
        ({4: "label 4"}, {}, {1: "liver", 2: "spleen", 4: "label 4"}),
        # The mask's own 1 has no name, but its 5 is the liver, which is 1 here.
        ({1: "label 1", 5: "liver"}, {5: 1, 1: 3}, {1: "liver", 2: "spleen", 3: "label 3"}),
    ],
)
def test_a_mask_is_renumbered_by_name(mask, moved, names):
    classes = Classes({1: ClassInfo("liver"), 2: ClassInfo("spleen")})
    assert classes.join(mask) == moved
    assert classes.names() == names
