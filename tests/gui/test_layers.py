"""A scan keeps its place in the patient on its way into napari and out again."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_cpclnet.errors import ImageError
from napari_cpclnet.gui.layers.scan_layers import (
    LayerScan,
    copied_transform,
    geometry_of,
    refusal,
    same_grid,
    segmentation_of,
    segmentation_to_layer,
    slice_axis,
)
from napari_cpclnet.imaging import Segmentation

from .doubles import DIRECTIONS, add_volume, make_volume


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_geometry_survives_the_layer(direction):
    volume = make_volume(direction=direction)
    layer = add_volume(ViewerModel(), volume)
    assert geometry_of(layer).isclose(volume.geometry, 1e-6)
    loaded = LayerScan.of(layer).volume()
    assert (loaded.modality, loaded.unit, loaded.name) == (volume.modality, volume.unit, volume.name)
    np.testing.assert_array_equal(loaded.array, volume.array)


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_labels_lie_exactly_on_their_scan(direction):
    viewer = ViewerModel()
    scan = add_volume(viewer, make_volume(direction=direction))
    labels = viewer.add_labels(np.zeros(scan.data.shape, np.uint8), **copied_transform(scan))
    for corner in itertools.product(*((0, n - 1) for n in scan.data.shape)):
        np.testing.assert_allclose(scan.data_to_world(corner), labels.data_to_world(corner), atol=1e-9)
    assert labels.units == scan.units
    assert labels.axis_labels == scan.axis_labels
    assert same_grid(scan, labels)


def test_straight_and_flipped_scans_are_shown_where_they_are():
    for name in ("straight", "flipped"):
        volume = make_volume(direction=DIRECTIONS[name])
        layer = add_volume(ViewerModel(), volume)
        for corner in itertools.product(*((0, n - 1) for n in volume.array.shape)):
            expected = volume.geometry.index_to_world([corner])[0]
            np.testing.assert_allclose(layer.data_to_world(corner), expected, atol=1e-6)


def test_segmentation_survives_the_layer():
    volume = make_volume(direction=DIRECTIONS["oblique"])
    labels = (volume.array > 0).astype(np.uint8) * 3
    data, kwargs, kind = segmentation_to_layer(Segmentation(labels, {3: "liver"}, volume.geometry, "mask"))
    layer = ViewerModel().add_labels(data, **kwargs)
    back = segmentation_of(layer)
    assert kind == "labels"
    assert back.classes == {3: "liver"}
    assert back.geometry.isclose(volume.geometry, 1e-6)
    np.testing.assert_array_equal(back.labels, labels)


def test_a_layer_moved_by_hand_is_believed():
    layer = add_volume(ViewerModel(), make_volume())
    layer.scale = (2.0, 1.0, 1.0)
    assert geometry_of(layer).spacing == (2.0, 1.0, 1.0)


def test_layer_of_another_reader_gets_its_geometry_from_napari():
    c, s = np.cos(0.4), np.sin(0.4)
    layer = Image(
        np.zeros((4, 5, 6)), scale=(3, 2, 1), translate=(5, 6, 7), rotate=[[1, 0, 0], [0, c, -s], [0, s, c]]
    )
    geometry = geometry_of(layer)
    np.testing.assert_allclose(geometry.spacing, (3, 2, 1))
    for corner in itertools.product((0, 3), (0, 4), (0, 5)):
        np.testing.assert_allclose(
            geometry.index_to_world([corner])[0], layer.data_to_world(corner), atol=1e-9
        )


def test_micrometres_become_millimetres():
    layer = Image(np.zeros((4, 5, 6)), scale=(500, 250, 250), units="um")
    np.testing.assert_allclose(geometry_of(layer).spacing, (0.5, 0.25, 0.25))


def test_image_without_scale_is_not_calibrated_and_its_modality_is_detected():
    values = np.random.default_rng(0).integers(0, 900, (4, 16, 16)).astype(np.int16)
    volume = LayerScan.of(Image(values, name="foreign")).volume()
    assert not volume.calibrated
    assert volume.modality == "MR"


def test_two_dimensional_image_is_one_slice():
    layer = Image(np.ones((5, 6), np.float32), scale=(2, 3))
    volume = LayerScan.of(layer).volume()
    assert volume.array.shape == (1, 5, 6)
    assert volume.geometry.spacing == (1.0, 2.0, 3.0)


def test_lazy_data_is_loaded_only_when_asked():
    dask = pytest.importorskip("dask.array")
    layer = Image(dask.zeros((3, 4, 5), chunks=(1, 4, 5), dtype=np.float32), scale=(2, 1, 1))
    scan = LayerScan.of(layer)
    assert not isinstance(scan.data, np.ndarray)
    assert isinstance(scan.volume().array, np.ndarray)


@pytest.mark.parametrize(
    ("layer", "word"),
    [
        (Image(np.zeros((8, 8, 3), np.uint8), rgb=True, name="photo"), "colour"),
        (Image([np.zeros((8, 8)), np.zeros((4, 4))], multiscale=True, name="pyramid"), "multiscale"),
        (Image(np.zeros((2, 3, 4, 5)), name="film"), "4 dimensions"),
    ],
    ids=["rgb", "multiscale", "4d"],
)
def test_unusable_layers_are_refused_with_a_sentence(layer, word):
    assert word in refusal(layer)
    assert layer.name in refusal(layer)
    with pytest.raises(ImageError, match=word):
        LayerScan.of(layer)


def test_nan_is_refused_with_the_name_of_the_layer():
    values = np.zeros((2, 3, 4), np.float32)
    values[0, 0, 0] = np.nan
    with pytest.raises(ImageError, match=r"holes.*NaN"):
        LayerScan.of(Image(values, name="holes")).volume()


def test_negative_labels_are_refused():
    with pytest.raises(ImageError, match="negative"):
        segmentation_of(Labels(np.full((2, 3, 4), -1), name="odd"))


def test_slice_axis_follows_the_patient_not_the_array():
    geometry = make_volume(direction=DIRECTIONS["swapped"]).geometry
    assert [slice_axis(geometry, plane) for plane in ("axial", "coronal", "sagittal", "native")] == [
        1,
        2,
        0,
        0,
    ]
