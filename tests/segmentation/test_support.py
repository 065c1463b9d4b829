from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from napari_cpclnet.errors import OutputError, SupportError
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


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, np.float64, np.int32, ">i2"])
def test_a_set_comes_back_from_disk_as_it_was(scan, organs, tmp_path, dtype):
    ct, ct_labels = scan()
    ct = ct.replaced(array=np.clip(ct.array, 0, 255).astype(dtype))
    mr, mr_labels = scan("MR")
    support = SupportSet(organs)
    support.add(ct, ct_labels, slices=[4, 6], absent=[0])
    support.add(mr, mr_labels, slices=[30], plane="coronal")
    path = tmp_path / "support.safetensors"
    support.save(path)
    back = SupportSet.load(path)
    assert back.content_hash() == support.content_hash()
    assert back.classes == support.classes
    for one, two in zip(support.slices, back.slices, strict=True):
        assert (one.index, one.plane) == (two.index, two.plane)
        np.testing.assert_array_equal(one.labels2d, two.labels2d)
        np.testing.assert_array_equal(one.volume.array, two.volume.array)
        assert one.volume.geometry == two.volume.geometry
    assert len({id(s.volume) for s in back.slices}) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["support.safetensors"]


def test_file_names_of_scans_are_not_written(scan, organs, tmp_path):
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume.replaced(source=tmp_path / "Patient_Doe.nii.gz"), labels)
    support.save(tmp_path / "s.safetensors")
    assert b"Doe" not in (tmp_path / "s.safetensors").read_bytes()


def test_damaged_missing_and_foreign_files_are_named(scan, organs, tmp_path):
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, labels, slices=[5])
    path = tmp_path / "s.safetensors"
    support.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SupportError, match=r"s\.safetensors.*damaged"):
        SupportSet.load(path)
    altered = bytearray(whole)
    altered[-1] ^= 1
    path.write_bytes(bytes(altered))
    with pytest.raises(SupportError, match=r"hash|damaged"):
        SupportSet.load(path)
    path.write_bytes(whole)
    with safe_open(path, framework="np") as file:
        facts = dict(file.metadata())
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    description = json.loads(facts["support"])
    del description["hash"]
    save_file(tensors, path, {**facts, "support": json.dumps(description)})
    with pytest.raises(SupportError, match="damaged"):
        SupportSet.load(path)
    save_file({"a": np.zeros(2)}, path, {"other": json.dumps({})})
    with pytest.raises(SupportError, match="no support set"):
        SupportSet.load(path)
    with pytest.raises(SupportError, match="There is no support set"):
        SupportSet.load(tmp_path / "nothing.safetensors")


def test_a_folder_that_cannot_be_written_is_an_output_error(scan, organs, tmp_path):
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, labels, slices=[5])
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        support.save(tmp_path / "file" / "s.safetensors")


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
