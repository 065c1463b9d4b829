"""Imported masks: classes are matched by name, and what is doubtful is asked about rather than guessed."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.gui.segment.class_match import NEW, ClassMatch
from napari_cpclnet.gui.segment.mask_import import BY_VOXEL, USE
from napari_cpclnet.imaging import Geometry, Segmentation, write_segmentation

from .doubles import add_volume, make_volume


@pytest.fixture
def panel(make_panel, viewer):
    """A CT on which a liver is painted."""
    panel = make_panel()
    add_volume(viewer, make_volume("ct"))
    panel.segment.refresh()
    panel.segment.support.new.click()
    panel.session.class_actions.rename(1, "liver")
    panel.session.support_labels.paint((2, 12, 10), 1)
    panel.segment.refresh()
    return panel


def write(folder, name, geometry=None, names=None, values=(1,)):
    geometry = geometry or make_volume().geometry
    labels = np.zeros(geometry.shape, np.uint8)
    for number, value in enumerate(values):
        labels[3 + number, 6:12, 5:11] = value
    # MetaImage holds numbers alone
    suffix = ".mha" if names is None else ".seg.nrrd"
    named = names or {value: f"label {value}" for value in values}
    return write_segmentation(Segmentation(labels, named, geometry, name), folder / f"{name}{suffix}")


def load(qtbot, panel, path, until=None):
    panel.segment.support.load_mask(path)
    done = until or (lambda: len(panel.session.slices.pairs) == 2)
    qtbot.waitUntil(done, timeout=300_000)


def test_a_mask_without_names_is_asked_about(qtbot, panel, tmp_path):
    asked = []
    panel.segment.support.masks.ask_classes = lambda *given: asked.append(given) or {1: "spleen", 2: "liver"}
    load(qtbot, panel, write(tmp_path, "organs", values=(1, 2)))
    assert asked == [("organs", [1, 2], {1: "liver"})]
    spleen = panel.session.classes.value_of("spleen")
    assert spleen != 1
    assert panel.session.slices.painted_slices() == {3: (spleen,), 4: (1,)}


def test_a_mask_without_names_that_nobody_explains_is_not_imported(qtbot, panel, tmp_path):
    panel.segment.support.masks.ask_classes = lambda *_given: None
    said = panel.segment.bar.message
    load(qtbot, panel, write(tmp_path, "organs"), lambda: "was not imported" in said.text())
    assert len(panel.session.slices.pairs) == 1
    assert panel.session.classes.names() == {1: "liver"}


def test_named_classes_are_matched_by_name_without_a_question(qtbot, panel, tmp_path):
    panel.segment.support.masks.ask_classes = None
    load(qtbot, panel, write(tmp_path, "organs", names={1: "Spleen", 2: "Liver"}, values=(1, 2)))
    assert panel.session.slices.painted_slices() == {3: (2,), 4: (1,)}
    assert panel.session.classes.names() == {1: "liver", 2: "Spleen"}


def test_the_dialog_gives_values_classes_of_their_own_unless_one_is_chosen(qtbot):
    dialog = ClassMatch(None, "organs", [1, 5], ["liver", "spleen"])
    qtbot.addWidget(dialog)
    assert dialog.combos[1].currentText() == NEW
    dialog.combos[5].setCurrentText("liver")
    assert dialog.chosen() == {1: "organs 1", 5: "liver"}


@pytest.mark.parametrize("answer", [USE, "Cancel"])
def test_a_mask_that_lies_mostly_outside_is_asked_about(qtbot, panel, tmp_path, answer):
    asked = []
    panel.segment.support.masks.ask = lambda text, choices: asked.append((text, choices)) or answer
    scan = make_volume().geometry
    away = Geometry(
        scan.shape, scan.spacing, tuple(np.add(scan.origin, (0.0, 16 * 1.5, 0.0))), scan.direction
    )
    path = write(tmp_path, "other", away, {1: "liver"})
    said = panel.segment.bar.message
    load(qtbot, panel, path, lambda: bool(asked) and not said.text().startswith("Reading"))
    ((text, choices),) = asked
    assert "outside" in text
    assert choices == [USE]
    assert len(panel.session.slices.pairs) == (2 if answer == USE else 1)


def test_a_mask_of_the_scans_size_that_lost_its_place_can_be_put_on_it(qtbot, panel, tmp_path):
    asked = []
    panel.segment.support.masks.ask = lambda text, choices: asked.append((text, choices)) or BY_VOXEL
    path = write(tmp_path, "lost", Geometry((8, 24, 20), (1.0, 1.0, 1.0)), {1: "liver"})
    load(qtbot, panel, path)
    ((text, choices),) = asked
    assert "as many voxels" in text
    assert choices == [BY_VOXEL], "nothing of it lies on the scan"
    assert panel.session.slices.painted_slices() == {3: (1,)}
    assert np.count_nonzero(panel.session.support_labels.data) == 36
