"""Painted slices of several scans: found by themselves, used or not, marked absent, copied, removed."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.errors import SupportError
from napari_cpclnet.gui.layers.class_names import class_names
from napari_cpclnet.gui.layers.scan_layers import copied_transform, segmentation_of, volume_to_layer
from napari_cpclnet.gui.layers.support_slices import SupportPair
from napari_cpclnet.gui.session.session import Session
from napari_cpclnet.imaging import Segmentation, write_segmentation
from napari_cpclnet.segmentation.settings import RunSettings

from .doubles import DIRECTIONS, add_volume, make_volume


@pytest.fixture
def session(viewer):
    return Session(viewer)


def square(layer, *slices, value=1, at=4):
    for index in slices:
        np.asarray(layer.data)[index, at : at + 5, at : at + 5] = value


def opened(viewer, name, shape=(8, 24, 20), direction=DIRECTIONS["straight"]):
    return add_volume(viewer, make_volume(name, direction, shape))


def foreign(viewer, scan, names=None, name="truth"):
    layer = viewer.add_labels(np.zeros(scan.data.shape, np.uint8), name=name, **copied_transform(scan))
    if names:
        layer.metadata = {"napari_cpclnet": {"classes": names}}
    return layer


@pytest.fixture
def two(session, viewer):
    """Painted layers on a CT and an MR of different grids; the MR is the active one."""
    for name, shape in (("ct", (8, 24, 20)), ("mr", (6, 18, 22))):
        session.support_scan = opened(viewer, name, shape)
        square(session.new_support_labels(), 2, 4)
        session.tick_query(session.support_scan, True)
    return session


def test_slices_of_every_painted_scan_are_listed_and_used(two):
    found = [(entry.pair.scan.name, entry.index, entry.values) for entry in two.slices.entries()]
    assert found == [("mr", 2, (1,)), ("mr", 4, (1,)), ("ct", 2, (1,)), ("ct", 4, (1,))]
    job = two.job()
    assert [(part.scan.name, part.slices) for part in job.supports] == [("mr", (2, 4)), ("ct", (2, 4))]


def test_an_unticked_slice_is_not_learned_from(two):
    two.slices.tick(two.slices.entries()[0], False)
    mr = two.job().supports[0]
    assert mr.slices == (4,)
    assert not mr.labels[2].any()
    two.slices.tick(two.slices.entries(), False)
    with pytest.raises(SupportError, match="ticked"):
        two.job()


def test_labels_somebody_only_opened_are_listed_but_not_used(two, viewer):
    square(foreign(viewer, viewer.layers["ct"], {1: "heart"}), 0, 1)
    assert [(e.index, e.ticked) for e in two.slices.entries() if e.pair.labels.name == "truth"] == [
        (0, False),
        (1, False),
    ]
    assert "heart" not in two.classes.names().values()
    assert two.class_actions.name(two.slices.pairs[0], 1) == "heart"
    assert sum(len(part.slices) for part in two.job().supports) == 4


def test_labels_that_are_chosen_meet_the_book_by_name(two, viewer):
    two.class_actions.rename(1, "liver")
    truth = foreign(viewer, viewer.layers["ct"], {1: "heart", 2: "Liver"})
    square(truth, 0, value=1)
    square(truth, 1, value=2)
    two.activate(SupportPair(viewer.layers["ct"], truth))
    assert two.classes.names() == {1: "liver", 2: "heart"}
    assert class_names(truth) == {1: "liver", 2: "heart"}
    assert two.slices.painted_slices() == {0: (2,), 1: (1,)}


def test_an_imported_mask_is_renumbered_and_keeps_its_colours(two, viewer):
    two.class_actions.rename(1, "liver")
    two.support_scan = scan = viewer.layers["ct"]
    labels = np.zeros(scan.data.shape, np.uint8)
    labels[3, 2:5, 2:5], labels[4, 2:5, 2:5] = 1, 9
    geometry = make_volume("ct").geometry
    mask = Segmentation(labels, {1: "spot", 9: "liver"}, geometry, "mask", {1: (1, 2, 3), 9: (7, 7, 7)})
    layer = two.add_mask(mask)
    spot = two.classes.value_of("spot")
    assert two.slices.painted_slices() == {3: (spot,), 4: (1,)}
    np.testing.assert_allclose(layer.colormap.map(spot)[:3] * 255, (1, 2, 3), atol=0.5)
    assert two.active.labels is layer


def test_a_class_looks_and_is_called_the_same_on_all_layers(two, viewer):
    two.class_actions.rename(1, "liver")
    two.class_actions.set_color(1, (9, 8, 250))
    for pair in two.slices.pairs:
        assert class_names(pair.labels)[1] == "liver"
        np.testing.assert_allclose(pair.labels.colormap.map(1)[:3] * 255, (9, 8, 250), atol=0.5)


def test_colours_shuffled_in_napari_go_to_all_layers(two):
    mr, ct = two.slices.pairs
    mr.labels.new_colormap(seed=3)
    expected = mr.labels.colormap.map(1)
    two.class_actions.adopt_colors(mr.labels)
    np.testing.assert_allclose(ct.labels.colormap.map(1), expected, atol=1 / 255)


def test_layers_painted_on_one_scan_are_laid_together(two, viewer):
    ct = viewer.layers["ct"]
    second = foreign(viewer, ct, name="more")
    square(second, 4, value=2, at=12)
    square(second, 6, value=2, at=4)
    two.activate(SupportPair(ct, second))
    (part,) = [part for part in two.job().supports if part.scan.name == "ct"]
    assert part.slices == (2, 4, 6)
    assert set(np.unique(part.labels[4])) == {0, 1, 2}


def test_an_absent_slice_teaches_where_nothing_is(two):
    pair = two.active
    two.slices.mark_absent(pair, 0, True)
    entry = two.slices.entries(pair)[0]
    assert (entry.index, entry.values, entry.absent, entry.ticked) == (0, (), True, True)
    assert two.job().supports[0].absent == (0,)
    with pytest.raises(SupportError, match="is painted"):
        two.slices.mark_absent(pair, 2, True)
    square(pair.labels, 0)
    assert not two.slices.entries(pair)[0].absent
    assert two.job().supports[0].slices == (0, 2, 4)


def test_marks_belong_to_their_plane(two):
    two.slices.mark_absent(two.active, 0, True)
    two.options = RunSettings(plane="coronal")
    assert not any(entry.absent for entry in two.slices.entries())
    two.options = RunSettings()
    assert two.slices.entries()[0].absent


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_removing_a_slice_is_one_step_of_undo(session, viewer, plane, direction):
    opened(viewer, "ct", direction=direction)
    session.options = RunSettings(plane=plane)
    session.forget_removed()
    layer = session.new_support_labels()
    layer.data[2:5, 6:10, 3:9] = 1
    before = layer.data.copy()
    entry = session.slices.entries()[1]
    session.slices.remove(entry)
    assert entry.index not in session.slices.painted_slices()
    assert len(session.slices.painted_slices()) > 0
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)
    layer.redo()
    assert entry.index not in session.slices.painted_slices()


def test_a_class_is_copied_beside_what_is_painted_and_can_be_undone(two):
    layer = two.active.labels
    layer.data[3, 4:6, 4:6] = 2
    before = layer.data.copy()
    layer.selected_label = 1
    assert two.slices.copy_to(2, 3)
    assert (layer.data[3] == 2).sum() == 4
    assert (layer.data[3] == 1).sum() == 25 - 4
    assert not two.slices.copy_to(2, 99)
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)


def test_a_two_dimensional_scan_is_one_slice(session, viewer):
    viewer.add_image(np.ones((12, 10), np.float32), name="slice")
    session.forget_removed()
    session.new_support_labels().data[2:5, 2:5] = 1
    (entry,) = session.slices.entries()
    session.slices.remove(entry)
    assert session.slices.entries() == []
    session.support_labels.undo()
    assert len(session.slices.entries()) == 1


def test_labels_stay_with_the_scan_they_were_painted_on(session, viewer):
    data, kwargs, _ = volume_to_layer(make_volume("phase 1"))
    first = viewer.add_image(data, **kwargs)
    session.forget_removed()
    square(session.new_support_labels(), 2)
    opened(viewer, "phase 2")
    assert [pair.scan for pair in session.slices.pairs] == [first]


def test_choices_of_a_removed_layer_do_not_pass_to_the_next(two, viewer):
    two.slices.tick(two.slices.entries(), False)
    for pair in two.slices.pairs:
        viewer.layers.remove(pair.labels)
        two.forget(pair.labels)
    two.forget_removed()
    square(two.new_support_labels(), 2)
    assert [entry.ticked for entry in two.slices.entries()] == [True]


def test_the_code_of_a_class_reaches_what_is_saved(two, tmp_path):
    two.class_actions.rename(1, "Leber")
    two.class_actions.set_code(1, "liver")
    found = segmentation_of(two.slices.pairs[0].labels)
    assert found.terms == {1: "liver"}
    path = write_segmentation(found, tmp_path / "labels.seg.nrrd")
    assert b"SCT^10200004^Liver" in path.read_bytes().split(b"\n\n")[0]
