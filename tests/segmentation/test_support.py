from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.errors import SupportError
from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.segmentation import SupportSet


def test_only_listed_slices_are_used_and_each_is_complete(scan, organs):
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, labels, slices=[4, 6], absent=[0])
    assert len(support) == 3
    by_index = {s.index: s.labels2d for s in support.slices}
    np.testing.assert_array_equal(by_index[4], labels[4])
    assert not by_index[0].any()


def test_every_slice_with_a_label_is_taken_by_default(scan, organs):
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, labels)
    assert sorted(s.index for s in support.slices) == list(range(3, 10))


@pytest.mark.parametrize(("plane", "axis"), [("axial", 0), ("coronal", 1), ("sagittal", 2), ("native", 0)])
def test_slices_count_along_the_array_axis_of_the_plane(scan, organs, plane, axis):
    volume, labels = scan()
    support = SupportSet(organs)
    index = int(np.flatnonzero(labels.any(axis=tuple(a for a in range(3) if a != axis)))[0])
    support.add(volume, labels, slices=[index], plane=plane)
    (one,) = support.slices
    assert one.axis == axis
    np.testing.assert_array_equal(one.labels2d, np.take(labels, index, axis))
    np.testing.assert_array_equal(one.intensities, np.take(volume.array, index, axis))


def test_values_that_are_no_class_count_as_background(scan):
    volume, labels = scan()
    support = SupportSet({3: "spleen"})
    support.add(volume, labels, slices=[5])
    assert np.unique(support.slices[0].labels2d).tolist() == [0, 3]


def test_without_classes_each_label_value_becomes_one(scan):
    volume, labels = scan()
    support = SupportSet()
    support.add(volume, labels, slices=[5])
    assert support.classes == {1: "label 1", 3: "label 3"}


def test_painting_a_slice_again_replaces_it(scan, organs):
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, labels, slices=[5])
    support.add(volume, np.where(labels == 1, 1, 0), slices=[5])
    assert len(support) == 1
    assert np.unique(support.slices[0].labels2d).tolist() == [0, 1]


def test_painting_on_after_adding_does_not_reach_the_set(scan, organs):
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, labels, slices=[5])
    before = support.content_hash()
    labels[5] = 0
    assert support.content_hash() == before


def test_the_hash_does_not_depend_on_the_order_of_adding(scan, organs):
    ct, ct_labels = scan()
    mr, mr_labels = scan("MR")
    one, two = SupportSet(organs), SupportSet(dict(reversed(organs.items())))
    one.add(ct, ct_labels, slices=[4, 6])
    one.add(mr, mr_labels, slices=[5])
    two.add(mr, mr_labels, slices=[5])
    two.add(ct, ct_labels, slices=[6])
    two.add(ct, ct_labels, slices=[4])
    assert one.content_hash() == two.content_hash()


def changed_label(volume, labels):
    labels[5, 0, 0] = 1
    return volume, labels


def changed_grey(volume, labels):
    array = volume.array.copy()
    array[5, 3, 3] += 1
    return volume.replaced(array=array), labels


def changed_place(volume, labels):
    return volume.replaced(geometry=Geometry(volume.array.shape, (5.0, 3.0, 3.001))), labels


def changed_modality(volume, labels):
    return volume.replaced(modality="other", unit=""), labels


@pytest.mark.parametrize("change", [changed_label, changed_grey, changed_place, changed_modality])
def test_the_hash_notices_what_matters(scan, organs, change):
    def digest(volume, labels):
        support = SupportSet(organs)
        support.add(volume, labels, slices=[5])
        return support.content_hash()

    assert digest(*scan()) != digest(*change(*scan()))


def test_the_hash_ignores_slices_that_are_not_used(scan, organs):
    volume, labels = scan()
    other = labels.copy()
    other[6] = 0
    one, two = SupportSet(organs), SupportSet(organs)
    one.add(volume, labels, slices=[5])
    two.add(volume, other, slices=[5])
    assert one.content_hash() == two.content_hash()


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"slices": [99]}, "no axial slice 99"),
        ({"slices": [-1]}, "no axial slice -1"),
        ({"slices": [], "absent": []}, "holds a class"),
        ({"slices": [4], "absent": [5]}, "marked as absent"),
    ],
)
def test_a_slice_that_cannot_be_used_is_named(scan, organs, kwargs, words):
    volume, labels = scan()
    support = SupportSet(organs)
    with pytest.raises(SupportError, match=words):
        support.add(volume, labels, **kwargs)
    assert len(support) == 0


def test_labels_of_another_grid_or_of_fractions_are_refused(scan, organs):
    volume, labels = scan()
    with pytest.raises(SupportError, match="shape"):
        SupportSet(organs).add(volume, labels[:-1])
    with pytest.raises(SupportError, match="whole numbers"):
        SupportSet(organs).add(volume, labels.astype(np.float32))
    with pytest.raises(SupportError, match="negative"):
        SupportSet().add(volume, labels.astype(np.int16) - 1)
    with pytest.raises(SupportError, match="background"):
        SupportSet({0: "background"})


def test_empty_labels_say_what_to_do(scan, organs):
    volume, labels = scan()
    with pytest.raises(SupportError, match="paint one or mark one"):
        SupportSet(organs).add(volume, np.zeros_like(labels))


def test_the_painted_slices_of_a_scan_are_found_by_content(scan, organs):
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, labels, slices=[4, 6])
    copy = Volume(volume.array.copy(), volume.geometry, "other", name="reopened")
    assert {s.index for s in support.painted_on(copy)} == {4, 6}
    changed = volume.array.copy()
    changed[4, 0, 0] += 1
    assert {s.index for s in support.painted_on(volume.replaced(array=changed))} == {6}
    moved = volume.replaced(geometry=Geometry(volume.array.shape, (5, 3, 3), origin=(1, 0, 0)))
    assert support.painted_on(moved) == ()
