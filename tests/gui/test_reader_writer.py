"""Files open as layers and layers come back as files, at the same place."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer
from PIL import Image
from tests.imaging.dicom.dicom_series import write_scan

from napari_cpclnet.errors import OutputError
from napari_cpclnet.gui.contributions.reader import get_reader, read
from napari_cpclnet.gui.contributions.writer import write_image, write_labels
from napari_cpclnet.gui.layers.scan_layers import geometry_of, segmentation_to_layer
from napari_cpclnet.gui.settings.preferences import Preferences
from napari_cpclnet.imaging import (
    Geometry,
    Segmentation,
    Volume,
    looks_like_labels,
    read_segmentation,
    read_volume,
    write_segmentation,
    write_volume,
)
from napari_cpclnet.imaging.dicom import list_series, referenced_series

from .doubles import DIRECTIONS, make_volume


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_labels_painted_on_an_opened_scan_are_saved_at_its_place(tmp_path, direction, suffix):
    volume = make_volume(direction=direction)
    scan_file = tmp_path / f"scan{suffix}"
    write_volume(volume, scan_file)
    ((data, kwargs, kind),) = get_reader(str(scan_file))(str(scan_file))
    assert kind == "image"
    scan = Layer.create(data, kwargs, kind)
    labels = (np.asarray(scan.data) > 0.5).astype(np.uint8)
    layer = Layer.create(
        labels, {k: kwargs[k] for k in kwargs if k not in ("contrast_limits", "colormap")}, "labels"
    )
    out, meta, _ = layer.as_layer_data_tuple()
    target = str(tmp_path / f"labels{suffix}")
    assert write_labels(target, out, meta) == [target]
    back = read_segmentation(target, like=read_volume(scan_file))
    np.testing.assert_array_equal(back.labels, labels)


def test_image_writer_keeps_values_and_place(tmp_path):
    volume = make_volume(direction=DIRECTIONS["flipped"])
    write_volume(volume, tmp_path / "in.nii.gz")
    ((data, kwargs, kind),) = get_reader(str(tmp_path / "in.nii.gz"))(str(tmp_path / "in.nii.gz"))
    out, meta, _ = Layer.create(data, kwargs, kind).as_layer_data_tuple()
    write_image(str(tmp_path / "out.nrrd"), out, meta)
    back = read_volume(tmp_path / "out.nrrd")
    np.testing.assert_array_equal(back.array, volume.array)
    assert back.geometry.isclose(volume.geometry)


def test_label_files_open_as_labels(tmp_path):
    volume = make_volume()
    seg = Segmentation((volume.array > 0.5).astype(np.uint8) * 4, {4: "spleen"}, volume.geometry, "mask")
    write_segmentation(seg, tmp_path / "patient_label.nii.gz")
    ((_, kwargs, kind),) = get_reader(str(tmp_path / "patient_label.nii.gz"))(
        str(tmp_path / "patient_label.nii.gz")
    )
    assert kind == "labels"
    layer = Layer.create(seg.labels, kwargs, kind)
    assert geometry_of(layer).isclose(volume.geometry)


@pytest.mark.parametrize("name", ["CT_001_regions-slic-2_label.png", "CT_001_foreground_mask.png"])
def test_pseudo_labels_of_pictures_open_as_labels_on_the_pixels_of_the_picture(tmp_path, name):
    regions = np.arange(300, dtype=np.uint16).repeat(4).reshape(30, 40)
    Image.fromarray(regions).save(tmp_path / name)
    ((data, kwargs, kind),) = get_reader(str(tmp_path / name))(str(tmp_path / name))
    assert kind == "labels"
    np.testing.assert_array_equal(data[0], regions)
    layer = Layer.create(data, kwargs, kind)
    assert {str(unit) for unit in layer.units} == {"pixel"}  # as napari opens the picture itself


def test_other_pictures_are_left_to_napari(tmp_path):
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "CT_001.png")
    assert get_reader(str(tmp_path / "CT_001.png")) is None


def test_a_label_map_may_have_as_many_regions_as_pseudo_labels_have(tmp_path):
    regions = np.arange(1000, dtype=np.uint16).reshape(10, 10, 10)
    seg = Segmentation(regions, {}, make_volume(shape=(10, 10, 10)).geometry, "regions")
    path = str(tmp_path / "ct_regions-slic-1_label.nii.gz")
    write_segmentation(seg, path)
    ((data, _, kind),) = get_reader(path)(path)
    assert kind == "labels"
    np.testing.assert_array_equal(data, regions)


def test_scans_are_not_taken_for_labels():
    rng = np.random.default_rng(0)
    geometry = make_volume().geometry
    ct = rng.integers(-1000, 1000, geometry.shape).astype(np.int16)
    mr = rng.integers(0, 900, geometry.shape).astype(np.uint16)
    assert not looks_like_labels(Volume(ct, geometry))
    assert not looks_like_labels(Volume(mr, geometry))
    assert not looks_like_labels(Volume(make_volume().array * 0.5, geometry))


def test_other_files_and_folders_are_left_to_other_readers(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    assert get_reader(str(tmp_path / "notes.txt")) is None
    assert get_reader(str(tmp_path)) is None
    assert get_reader([]) is None


def test_dicom_folder_opens_as_one_layer(shared_data):
    folder = str(shared_data / "ct_hounsfield" / "ct_dicom")
    ((data, kwargs, kind),) = get_reader(folder)(folder)
    assert kind == "image"
    assert data.ndim == 3
    assert kwargs["metadata"]["napari_cpclnet"]["unit"] == "HU"
    assert kwargs["contrast_limits"] == (-160.0, 240.0)


def test_names_and_colours_of_segments_come_and_go_with_the_layer(tmp_path):
    volume = make_volume(direction=DIRECTIONS["oblique"])
    labels = (volume.array > 0.5).astype(np.uint8) * 4
    segments = Segmentation(labels, {4: "spleen"}, volume.geometry, "organs", {4: (12, 200, 99)})
    path = str(write_segmentation(segments, tmp_path / "organs.seg.nrrd"))
    ((data, kwargs, kind),) = get_reader(path)(path)
    assert kind == "labels"
    layer = Layer.create(data, kwargs, kind)
    np.testing.assert_allclose(layer.colormap.map(4)[:3] * 255, (12, 200, 99), atol=1)
    assert layer.colormap.map(7)[3] == 1  # a class that is painted later is seen
    out, meta, _ = layer.as_layer_data_tuple()
    target = str(tmp_path / "again.seg.nrrd")
    assert write_labels(target, out, meta) == [target]
    back = read_segmentation(target, like=volume)
    assert (back.classes, back.colors) == (segments.classes, segments.colors)
    np.testing.assert_array_equal(back.labels, labels)


def test_labels_on_a_dicom_scan_are_saved_as_a_dicom_segmentation_of_it(tmp_path, monkeypatch):
    pytest.importorskip("highdicom")
    grid = Geometry((4, 5, 6), (3.0, 1.0, 2.0), (-30.0, 12.0, 7.0))
    write_scan(tmp_path / "ct", grid)
    viewer = ViewerModel()
    monkeypatch.setattr("napari.current_viewer", lambda: viewer)
    labels = np.zeros(grid.shape, np.uint8)
    labels[2, 1:3, 1:4] = 5
    segments = Segmentation(labels, {5: "liver"}, grid, "painted")
    out, meta, _ = Layer.create(*segmentation_to_layer(segments)).as_layer_data_tuple()
    target = str(tmp_path / "s.dcm")
    with pytest.raises(OutputError, match="open the series"):
        write_labels(target, out, meta)
    viewer.add_layer(Layer.create(*read(str(tmp_path / "ct"))[0]))
    assert write_labels(target, out, meta) == [target]
    assert referenced_series(target) == list_series(tmp_path / "ct")[0].id
    ((_, kwargs, kind),) = read(target)
    assert kind == "labels"
    assert kwargs["metadata"]["napari_cpclnet"]["classes"] == {5: "liver"}
    np.testing.assert_array_equal(read_segmentation(target, like=grid).labels, labels)


def test_labels_of_several_slices_are_saved_as_a_folder_of_pictures(tmp_path):
    segments = Segmentation(np.ones((3, 4, 5), np.uint8), {}, make_volume(shape=(3, 4, 5)).geometry, "s")
    out, meta, _ = Layer.create(*segmentation_to_layer(segments)).as_layer_data_tuple()
    assert write_labels(str(tmp_path / "s.png"), out, meta) == [str(tmp_path / "s")]
    assert len(list((tmp_path / "s").glob("*.png"))) == 3


@pytest.mark.parametrize(
    ("name", "low", "said"),
    [
        ("ct_1.nii.gz", 0, "not known to be Hounsfield units"),
        ("ct_1.nrrd", -1000, ""),
        ("scan.nii.gz", -20, "unknown"),
    ],
)
def test_what_was_assumed_on_reading_is_shown(tmp_path, monkeypatch, name, low, said):
    rng = np.random.default_rng(0)
    array = np.where(rng.random((6, 20, 20)) < 0.5, low, low + 1040) + rng.integers(-12, 12, (6, 20, 20))
    write_volume(Volume(array.astype(np.int16), Geometry(array.shape, (3.0, 1.0, 1.0))), tmp_path / name)
    shown = []
    monkeypatch.setattr("napari.utils.notifications.show_warning", shown.append)
    read(str(tmp_path / name))
    assert bool(shown) == bool(said)
    assert said in " ".join(shown)


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_ome_zarr_opens_at_its_place_and_large_ones_stay_in_their_files(tmp_path, monkeypatch, direction):
    pytest.importorskip("zarr")
    volume = make_volume(direction=direction)
    scan_file, target = str(tmp_path / "scan.ome.zarr"), str(tmp_path / "mask.ome.zarr")
    write_volume(volume, scan_file)
    ((data, kwargs, kind),) = get_reader(scan_file)(scan_file)
    scan = Layer.create(data, kwargs, kind)
    assert kind == "image" and isinstance(scan.data, np.ndarray)
    assert geometry_of(scan).isclose(volume.geometry)
    labels = (np.asarray(scan.data) > 0.5).astype(np.uint8) * 4
    looks = {k: kwargs[k] for k in kwargs if k not in ("contrast_limits", "colormap")}
    out, meta, _ = Layer.create(labels, looks, "labels").as_layer_data_tuple()
    assert write_labels(target, out, meta) == [target]
    ((found, looks, kind),) = get_reader(target)(target)
    assert kind == "labels" and geometry_of(Layer.create(found, looks, kind)).isclose(volume.geometry)
    np.testing.assert_array_equal(found, labels)
    monkeypatch.setattr(
        "napari_cpclnet.gui.contributions.reader.preferences", lambda: Preferences(lazy_gib=1e-9)
    )
    ((lazy, _, _),) = get_reader(scan_file)(scan_file)
    assert hasattr(lazy, "dask")
    np.testing.assert_array_equal(np.asarray(lazy), volume.array)
