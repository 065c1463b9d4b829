from __future__ import annotations

import itertools

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy import ndimage

from napari_cpclnet.errors import GeometryError
from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.preprocessing import ModelGrid, PreprocessingSettings

SETTINGS = PreprocessingSettings()
IDENTITY = np.eye(3)
PLANES = ("axial", "coronal", "sagittal")


def direction(order, signs):
    """Array axis j runs along world axis order[j], with sign."""
    matrix = np.zeros((3, 3))
    for axis, world in enumerate(order):
        matrix[world, axis] = signs[axis]
    return tuple(map(tuple, matrix))


def phantom(shape=(40, 120, 140), spacing=(4.0, 2.0, 2.0), **kwargs) -> Volume:
    """An ellipsoid body with different things at the left, at the back and at the top (S, P, L)."""
    z, y, x = (
        np.linspace(-1, 1, n)[tuple(slice(None) if a == b else None for b in range(3))]
        for a, n in enumerate(shape)
    )
    body = (0.3 * z**2 + (y / 0.8) ** 2 + (x / 0.9) ** 2) < 1
    array = np.where(body, 40.0, -1000.0)
    array[body & (x > 0.3) & (np.abs(y) < 0.2)] = 150  # left
    array[body & (y > 0.4)] = 230  # posterior
    array[body & (z > 0.7)] = -60  # superior
    return Volume(array.astype(np.float32), Geometry(shape, spacing), "CT", "HU", **kwargs)


def reoriented(volume: Volume, order, signs) -> Volume:
    """The same body in another array order; array axis j runs along world axis order[j]."""
    array = volume.array.transpose(order)
    array = array[tuple(slice(None, None, s) for s in signs)]
    spacing = tuple(volume.geometry.spacing[w] for w in order)
    return Volume(
        np.ascontiguousarray(array),
        Geometry(array.shape, spacing, direction=direction(order, signs)),
        volume.modality,
        volume.unit,
    )


def dice(a, b):
    return 2 * np.sum(a & b) / (a.sum() + b.sum())


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1), (1, -1, 1), (-1, -1, -1)])
def test_the_network_sees_one_attitude_whatever_the_array_order(plane, order, signs):
    straight = phantom((24, 60, 70), (6.0, 5.0, 5.0))
    turned = reoriented(straight, order, signs)
    grid, other = (ModelGrid.for_volume(v, plane, SETTINGS) for v in (straight, turned))
    assert grid.size == other.size
    index = grid.n_slices // 3
    mirrored = grid.n_slices - 1 - index if signs[order.index(grid.axis)] < 0 else index
    # the body estimate works on every n-th voxel, so the centre may differ by one of its steps
    expected, seen = grid.images(straight, [index]), other.images(turned, [mirrored])
    best = min(
        float((expected - torch.roll(seen, (dy, dx), (2, 3))).abs().mean())
        for dy in range(-3, 4)
        for dx in range(-3, 4)
    )
    assert best < 0.02


def test_axial_rows_run_to_posterior_columns_to_left_and_channels_to_superior():
    volume = phantom()
    grid = ModelGrid.for_volume(volume, "axial", SETTINGS)
    image = grid.images(volume, [20])[0, 1]
    h, w = grid.size
    assert image[: h // 2].sum() < image[h // 2 :].sum()
    assert image[h // 2, : w // 2].mean() < image[h // 2, w // 2 :].mean()
    top = grid.images(volume, [33])[0]
    assert top[2, h // 2, w // 2] < top[1, h // 2, w // 2]  # the next slice is the darker, superior one


def test_coronal_and_sagittal_have_the_head_at_the_top():
    volume = phantom()
    for plane, index in (("coronal", 60), ("sagittal", 70)):
        grid = ModelGrid.for_volume(volume, plane, SETTINGS)
        image = grid.images(volume, [index])[0, 1]
        rows = torch.nonzero(image.mean(1) > 0.05)[:, 0]
        assert image[rows[0] + 2].max() < image[rows[-1] - 2].max()


def test_channels_swap_when_the_stack_runs_downwards():
    volume = phantom()
    down = reoriented(volume, (0, 1, 2), (-1, 1, 1))
    a = ModelGrid.for_volume(volume, "axial", SETTINGS)
    b = ModelGrid.for_volume(down, "axial", SETTINGS)
    torch.testing.assert_close(a.images(volume, [33]), b.images(down, [40 - 1 - 33]))


@pytest.mark.parametrize(("spacing", "distance"), [(3.0, 3), (5.0, 2), (7.7, 1), (20.0, 1), (0.7, 11)])
def test_the_context_is_the_nearest_slice_to_8_mm_and_clamped(spacing, distance):
    volume = phantom((30, 40, 40), (spacing, 5.0, 5.0))
    grid = ModelGrid.for_volume(volume, "axial", SETTINGS)
    assert grid.neighbours(15) == (15 - distance, 15, 15 + distance)
    assert grid.neighbours(0) == (0, 0, distance)
    assert grid.neighbours(29) == (29 - distance, 29, 29)


@pytest.mark.parametrize("spacing", [0.7, 1.25, 3.0, 4.7])
@pytest.mark.parametrize("signs", [(1, 1, 1), (1, -1, 1), (1, 1, -1)])
def test_a_ramp_comes_back_to_the_same_millimetre(spacing, signs):
    shape = (2, int(300 / spacing), int(330 / spacing))
    rows, columns = np.meshgrid(np.linspace(0, 1, shape[1]), np.linspace(0, 1, shape[2]), indexing="ij")
    for ramp in (rows, columns):
        array = np.broadcast_to(ramp * 400 - 125, shape).astype(np.float32)
        volume = Volume(
            array, Geometry(shape, (5, spacing, spacing), direction=direction((0, 1, 2), signs)), "CT", "HU"
        )
        grid = ModelGrid.for_volume(volume, "axial", SETTINGS)
        back = grid.to_native(grid.images(volume, [0])[:, 1:2])[0, 0].numpy()
        border = int(np.ceil(8 / spacing)) + 1
        inside = (slice(border, -border),) * 2
        np.testing.assert_allclose(back[inside], ramp[inside], atol=2e-4)


@pytest.mark.parametrize("plane", [*PLANES, "native"])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_masks_survive_the_round_trip_in_any_plane_and_order(plane, order):
    rng = np.random.default_rng(5)
    volume = reoriented(phantom((60, 90, 100), (3.0, 2.4, 2.2)), order, (1, -1, 1))
    noise = ndimage.gaussian_filter(rng.normal(size=volume.array.shape), 5)
    labels = np.where((noise > np.quantile(noise, 0.8)) & (volume.array > -200), 3, 0).astype(np.uint8)
    grid = ModelGrid.for_volume(volume, plane, SETTINGS)
    indices = range(0, grid.n_slices, 9)
    back = grid.to_native(grid.masks(labels, 3, indices)[:, None])[:, 0].numpy() > 0.5
    truth = np.stack([grid.take(labels, i) == 3 for i in indices])
    assert back.shape == truth.shape
    assert dice(back, truth) > 0.93


def test_pixels_as_large_as_voxels_come_back_exactly():
    rng = np.random.default_rng(6)
    array = rng.integers(0, 256, (3, 120, 96)).astype(np.uint8)
    geometry = Geometry(array.shape, (3.0, 3.0, 3.0), direction=direction((0, 1, 2), (1, -1, -1)))
    volume = Volume(array, geometry, "CT", "HU8")
    grid = ModelGrid.for_volume(volume, "axial", SETTINGS)
    back = grid.to_native(grid.images(volume, [1])[:, 1:2])[0, 0].numpy()
    np.testing.assert_allclose(back * 255, array[1], atol=1e-3)
    expected = torch.from_numpy(array[1, ::-1, ::-1] / np.float32(255))
    torch.testing.assert_close(grid.images(volume, [1])[0, 1, 4:-4, 16:-16], expected)


def test_mask_pixels_hold_area_fractions():
    volume = phantom((4, 300, 300), (5.0, 0.7, 0.7))
    labels = np.zeros(volume.array.shape, np.uint8)
    labels[2, 100:163, 80:191] = 2
    labels[2, 150:155, 100:120] = 7
    grid = ModelGrid.for_volume(volume, "axial", SETTINGS)
    masks = grid.masks(labels, 2, [1, 2])
    assert masks.shape == (2, *grid.size)
    assert masks[0].sum() == 0
    assert float(masks[1].sum()) * 9.0 == pytest.approx((labels == 2).sum() * 0.49, rel=1e-4)
    assert float(masks.min()) >= 0
    assert float(masks.max()) == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(grid.masks(labels == 2, 1, [2]), masks[1:])


def test_outside_the_networks_image_is_zero():
    volume = phantom((4, 260, 260), (5.0, 3.0, 3.0))
    settings = PreprocessingSettings(max_size=128)
    grid = ModelGrid.for_volume(volume, "axial", settings)
    assert grid.size == (128, 128)
    native = grid.to_native(torch.ones(1, 2, 128, 128))
    assert native.shape == (1, 2, 260, 260)
    assert float(native.sum()) == pytest.approx(2 * 128 * 128, rel=1e-3)
    assert native[0, 0, 0].sum() == 0


def test_take_and_put_address_the_sliced_axis_in_array_order():
    volume = reoriented(phantom((20, 30, 40), (8, 8, 8)), (2, 0, 1), (1, 1, 1))
    array = volume.array.copy()
    for plane, axis in (("axial", 1), ("coronal", 2), ("sagittal", 0), ("native", 0)):
        grid = ModelGrid.for_volume(volume, plane, SETTINGS)
        assert grid.axis == axis
        assert grid.slice_shape == grid.take(array, 3).shape
        grid.put(array, 3, np.full(grid.slice_shape, 5))
        assert (np.take(array, 3, axis) == 5).all()
        assert np.shares_memory(grid.take(array, 4), array)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1), (1, -1, 1)])
def test_native_slices_are_brought_to_the_attitude_of_their_plane(order, signs):
    turned = reoriented(phantom((24, 60, 70), (6.0, 5.0, 5.0)), order, signs)
    native = ModelGrid.for_volume(turned, "native", SETTINGS)
    assert native.axis == 0
    assert native == ModelGrid.for_volume(turned, PLANES[order[0]], SETTINGS)


@pytest.mark.parametrize("shift", [(0, 0), (-30, 12), (25, -20)])
@pytest.mark.parametrize("kind", ["CT", "HU8", "MR", "PT"])
def test_the_body_is_centred_whatever_lies_beside_it(shift, kind):
    rng = np.random.default_rng(7)
    shape, spacing = (20, 180, 200), (6.0, 2.5, 2.5)
    y, x = np.meshgrid(np.arange(180), np.arange(200), indexing="ij")
    body = ((y - 90 - shift[0]) / 42) ** 2 + ((x - 100 - shift[1]) / 64) ** 2 < 1
    air, tissue, noise = {
        "CT": (-1000, 30, 20),
        "HU8": (0, 100, 15),
        "MR": (2, 200, 50),
        "PT": (0, 0.8, 0.3),
    }[kind]
    array = np.where(body, tissue, air) + rng.normal(0, noise, shape) * body
    if kind in ("CT", "HU8"):  # a couch: a thin arc under the body and a cable
        couch = np.abs(y - (168 - ((x - 100) / 60) ** 2 * 4)) < 2
        array[:, couch] = tissue
        array[:, 10:13, 20:23] = tissue
    else:
        array = np.abs(array + rng.normal(0, 0.01 * tissue, shape))
    array = np.clip(array, 0, 255).astype(np.uint8) if kind == "HU8" else array.astype(np.float32)
    modality, unit = {"CT": ("CT", "HU"), "HU8": ("CT", "HU8"), "MR": ("MR", ""), "PT": ("PT", "SUVbw")}[kind]
    grid = ModelGrid.for_volume(Volume(array, Geometry(shape, spacing), modality, unit), "axial", SETTINGS)
    assert grid.centre == pytest.approx((90 + shift[0], 100 + shift[1]), abs=6 / 2.5 + 0.5)
    assert grid.size == (128, 128)


def test_two_legs_are_centred_together():
    y, x = np.meshgrid(np.arange(100), np.arange(160), indexing="ij")
    legs = ((y - 50) / 25) ** 2 + ((np.abs(x - 80) - 40) / 25) ** 2 < 1
    array = np.broadcast_to(np.where(legs, 50, -1000), (30, 100, 160)).astype(np.int16)
    grid = ModelGrid.for_volume(
        Volume(array, Geometry(array.shape, (5, 2.5, 2.5)), "CT", "HU"), "axial", SETTINGS
    )
    assert grid.centre == pytest.approx((50, 80), abs=3)


def test_a_large_body_gets_a_larger_image():
    volume = phantom((10, 150, 260), (6.0, 2.5, 2.5))  # about 300 x 590 mm in the middle slice
    grid = ModelGrid.for_volume(volume, "axial", SETTINGS)
    assert grid.size[0] == 128
    assert grid.size[1] in (192, 224)
    assert max(ModelGrid.for_volume(volume, "axial", PreprocessingSettings(max_size=160)).size) == 160


@pytest.mark.parametrize("value", [0, 100])
def test_an_image_without_a_body_uses_the_whole_field_of_view(value):
    volume = Volume(np.full((5, 40, 60), value, np.uint8), Geometry((5, 40, 60), (5, 4, 4)), "MR")
    grid = ModelGrid.for_volume(volume, "axial", SETTINGS)
    assert grid.centre == (19.5, 29.5)
    assert not grid.images(volume, [0, 4]).any()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 3), (2, 1, 40), (1, 7, 200)])
def test_tiny_scans_pass(shape):
    volume = Volume(np.arange(np.prod(shape), dtype=np.uint8).reshape(shape), Geometry(shape), "other")
    for plane in PLANES:
        grid = ModelGrid.for_volume(volume, plane, SETTINGS)
        images = grid.images(volume, range(grid.n_slices))
        assert images.shape == (grid.n_slices, 3, *grid.size)
        assert torch.isfinite(images).all()
        assert grid.to_native(images).shape == (grid.n_slices, 3, *grid.slice_shape)


def test_a_picture_without_millimetres_fills_128_pixels():
    array = np.random.default_rng(8).integers(50, 200, (3, 256, 512)).astype(np.uint8)
    volume = Volume(array, Geometry(array.shape), "other", calibrated=False)
    grid = ModelGrid.for_volume(volume, "axial", SETTINGS)
    assert grid.steps == (4.0, 4.0)
    assert grid.context == 1
    seen = grid.images(volume, [1])[0, 1] > 0
    assert int(seen.any(0).sum()) == 128
    assert int(seen.any(1).sum()) == 64


def test_a_slice_that_does_not_exist_is_named():
    volume = phantom((5, 40, 40), (5, 5, 5))
    grid = ModelGrid.for_volume(volume, "axial", SETTINGS)
    with pytest.raises(GeometryError, match=r"slice 5.*0 to 4"):
        grid.images(volume, [5])
    with pytest.raises(GeometryError, match="shape"):
        grid.masks(np.zeros((5, 40, 41)), 1, [0])


def test_no_slices_give_an_empty_batch():
    volume = phantom((5, 40, 40), (5, 5, 5))
    grid = ModelGrid.for_volume(volume, "axial", SETTINGS)
    assert grid.images(volume, []).shape == (0, 3, *grid.size)
    assert grid.masks(volume.array, 1, []).shape == (0, *grid.size)


def test_real_ct_and_mr_show_the_liver_at_the_left_of_the_picture(shared_data):
    for stem, modality, unit, liver, spleen in (
        ("abdomen_ct/ct_10", "CT", "HU8", 6, 1),
        ("abdomen_mr/mr_1", "MR", "", 1, 4),
    ):
        image, truth = (
            sitk.ReadImage(str(shared_data / f"{stem}_{part}.nii.gz")) for part in ("image", "label")
        )
        volume = Volume(sitk.GetArrayFromImage(image), Geometry.from_sitk(image), modality, unit)
        labels = sitk.GetArrayFromImage(truth).astype(np.uint8)
        grid = ModelGrid.for_volume(volume, "axial", SETTINGS)
        indices = np.flatnonzero((labels == spleen).any((1, 2)) & (labels == liver).any((1, 2)))
        place = {}
        for name, value in (("liver", liver), ("spleen", spleen)):
            mass = grid.masks(labels, value, indices).sum(0)
            place[name] = [
                float((mass.sum(d) * torch.arange(mass.shape[1 - d])).sum() / mass.sum()) for d in (1, 0)
            ]
        middle = grid.size[1] / 2
        assert place["liver"][1] < middle < place["spleen"][1]
        assert place["spleen"][0] > grid.size[0] / 2  # the spleen lies behind the middle of the body
