from __future__ import annotations

import itertools

import numpy as np
import pytest

from napari_cpclnet.errors import SupportError
from napari_cpclnet.imaging import Geometry, Volume, read_segmentation, read_volume
from napari_cpclnet.propagation import Propagation, PropagationSettings, fill
from napari_cpclnet.propagation.evidence import neighbours_of
from napari_cpclnet.propagation.shape import Interpolation, signed_distance
from napari_cpclnet.propagation.working_grid import WorkingGrid

SHAPES_ONLY = PropagationSettings(grey_values=False)


def dice(found, truth):
    return 2 * np.count_nonzero(found & truth) / max(1, np.count_nonzero(found) + np.count_nonzero(truth))


def body(shape=(40, 72, 80), spacing=(3.0, 1.5, 1.5), seed=0):
    """Two touching organs, brighter than what is around them by little more than the noise; a tube that moves."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*(np.arange(n, dtype=float) for n in shape), indexing="ij")
    labels = np.zeros(shape, np.uint8)
    wave = 5 * np.sin(z / 5)
    labels[((z - 18) / 15) ** 2 + ((y - 36) / 18) ** 2 + ((x - 26 - wave) / 16) ** 2 < 1] = 1
    labels[(((z - 22) / 13) ** 2 + ((y - 34) / 14) ** 2 + ((x - 52) / 12) ** 2 < 1) & (labels == 0)] = 2
    labels[((y - 8 - z) ** 2 + (x - 66) ** 2 < 20) & (labels == 0)] = 3
    grey = np.array([0.0, 60.0, 110.0, 160.0])[labels] + rng.normal(0, 20, shape)
    return Volume(grey.astype(np.float32), Geometry(shape, spacing), name="body"), labels


def keep(labels, slices, axis=0):
    painted = np.zeros_like(labels)
    place = (slice(None),) * axis + (list(slices),)
    painted[place] = labels[place]
    return painted


def test_painted_slices_come_out_as_painted_and_the_rest_is_found() -> None:
    volume, truth = body()
    slices = [6, 13, 20, 27, 32]
    found = fill(volume, keep(truth, slices), slices=slices, plane="axial")
    assert np.array_equal(found.labels[slices], truth[slices])
    rest = np.setdiff1d(np.arange(len(truth)), slices)
    scores = [dice(found.labels[rest] == v, truth[rest] == v) for v in (1, 2, 3)]
    assert min(scores) > 0.87, scores
    plain = fill(volume, keep(truth, slices), slices=slices, plane="axial", settings=SHAPES_ONLY)
    worse = [dice(plain.labels[rest] == v, truth[rest] == v) for v in (1, 2, 3)]
    assert np.mean(scores) > np.mean(worse) + 0.02


def test_classes_never_overlap_and_keep_their_names() -> None:
    volume, truth = body()
    found = fill(
        volume, keep(truth, [12, 24]), slices=[12, 24], plane="axial", classes={1: "liver", 2: "kidney"}
    )
    assert found.classes == {1: "liver", 2: "kidney"}
    assert set(np.unique(found.labels)) == {0, 1, 2}


def test_without_contrast_shapes_are_interpolated() -> None:
    grid = Geometry((21, 60, 60), (2.0, 1.0, 1.0))
    y, x = np.mgrid[:60, :60]
    truth = np.stack([((y - 30) ** 2 + (x - 20 - z) ** 2) < (10 + 0.2 * z) ** 2 for z in range(21)])
    noise = np.random.default_rng(1).normal(size=grid.shape).astype(np.float32)
    found = fill(
        Volume(noise, grid), keep(truth.astype(np.uint8), [2, 10, 18]), slices=[2, 10, 18], plane="axial"
    )
    between = [z for z in range(2, 19) if z not in (2, 10, 18)]
    assert dice(found.labels[between] > 0, truth[between]) > 0.93


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_any_slice_axis_and_orientation_gives_the_same(order) -> None:
    volume, truth = body(shape=(30, 40, 44), spacing=(3.0, 2.0, 2.0))
    slices = [8, 16, 24]
    expected = fill(volume, keep(truth, slices), slices=slices, plane="native").labels
    axis = order.index(0)
    flips = tuple(slice(None, None, -1 if a != axis else 1) for a in range(3))
    turned = Volume(
        np.ascontiguousarray(volume.array.transpose(order)[flips]),
        Geometry(
            tuple(volume.array.shape[o] for o in order), tuple(volume.geometry.spacing[o] for o in order)
        ),
    )
    painted = {s: truth.transpose(order)[flips].take(s, axis) for s in slices}
    run = Propagation(turned, painted, axis, {1: "a", 2: "b", 3: "c"})
    for _ in run.run():
        pass
    back = run.result().labels[flips].transpose(np.argsort(order))
    assert np.mean(back != expected) < 0.002


def test_empty_slices_bound_a_class() -> None:
    volume, truth = body()
    slices = [13, 20, 27]
    painted = {s: truth[s] for s in slices} | {9: np.zeros_like(truth[9])}
    run = Propagation(volume, painted, 0, {1: "a"})
    for _ in run.run():
        pass
    found = run.result().labels
    assert not found[:10].any()
    assert found[12].any()


def test_two_slices_suffice_and_one_gives_an_answer_around_itself() -> None:
    volume, truth = body()
    two = fill(volume, keep(truth, [12, 24]), slices=[12, 24], plane="axial")
    assert dice(two.labels[13:24] == 1, truth[13:24] == 1) > 0.9
    one = fill(volume, keep(truth, [18]), slices=[18], plane="axial")
    assert np.array_equal(one.labels[18], truth[18])
    assert dice(one.labels[15:22] == 1, truth[15:22] == 1) > 0.85


def test_a_large_class_is_worked_on_with_larger_pixels_and_comes_back_on_the_own_grid() -> None:
    volume, truth = body()
    slices = [6, 13, 20, 27, 32]
    coarse = PropagationSettings(working_voxels=10_000)
    found = fill(volume, keep(truth, slices), slices=slices, plane="axial", settings=coarse)
    assert found.labels.shape == truth.shape
    rest = np.setdiff1d(np.arange(len(truth)), slices)
    assert dice(found.labels[rest] == 1, truth[rest] == 1) > 0.85


def test_closing_the_run_cancels_it_and_steps_are_short() -> None:
    volume, truth = body()
    run = Propagation(volume, {s: truth[s] for s in (6, 20, 32)}, 0, {1: "a", 2: "b"})
    steps = run.run()
    first = next(steps)
    assert 0 <= first.done < first.total
    steps.close()


def test_constant_and_damaged_images_are_no_reason_to_stop() -> None:
    grid = Geometry((9, 20, 20))
    painted = np.zeros(grid.shape, np.uint8)
    painted[[2, 6], 5:15, 5:15] = 1
    for array in (np.zeros(grid.shape, np.int16), np.full(grid.shape, np.nan, np.float32)):
        found = fill(Volume(array, grid), painted, slices=[2, 6], plane="axial")
        assert found.labels[4].sum() == 100


def test_what_cannot_be_done_is_said() -> None:
    volume, truth = body(shape=(10, 20, 22))
    with pytest.raises(SupportError, match="use labels painted on this scan"):
        fill(volume, truth[:5])
    painted = np.zeros_like(truth)
    painted[3, 5:9, 5:9] = 1
    with pytest.raises(SupportError, match="painted are 3"):
        fill(volume, painted, slices=[5], plane="axial")
    with pytest.raises(SupportError, match="no axial slice 12"):
        fill(volume, np.ones_like(truth), slices=[12], plane="axial")
    with pytest.raises(SupportError, match="shows a class"):
        Propagation(volume, {2: np.zeros((20, 22), np.uint8)}, 0, {1: "a"})


def test_signed_distance_is_zero_between_the_pixels_of_an_edge() -> None:
    mask = np.zeros((9, 12), bool)
    mask[2:7, 3:9] = True
    distance = signed_distance(mask, (2.0, 1.0))
    assert np.array_equal(distance > 0, mask)
    assert distance[4, 3] == pytest.approx(0.5)
    assert distance[4, 2] == pytest.approx(-0.5)


def test_a_thin_tube_that_crosses_the_slices_is_followed() -> None:
    y, x = np.mgrid[:40, :60]
    first, last = (((y - 20) ** 2 + (x - c) ** 2) < 9 for c in (12, 24))
    half = Interpolation(first, last, (1.0, 1.0)).at(0.5) > 0
    assert dice(half, ((y - 20) ** 2 + (x - 18) ** 2) < 9) > 0.9


def test_a_piece_of_one_slice_only_ends_half_way() -> None:
    y, x = np.mgrid[:40, :60]
    first = ((y - 20) ** 2 + (x - 12) ** 2) < 36
    both = first | (((y - 20) ** 2 + (x - 48) ** 2) < 36)
    way = Interpolation(first, both, (1.0, 1.0))
    assert (way.at(0.9) > 0)[20, 48]
    assert not (way.at(0.3) > 0)[20, 48]
    assert (way.at(0.3) > 0)[20, 12]


@pytest.mark.parametrize(
    ("index", "expected"),
    [(10, (10, 10)), (14, (10, 20)), (25, (20, None)), (5, (None, 10)), (29, None), (32, None)],
)
def test_neighbours_of_a_slice(index, expected) -> None:
    found = neighbours_of(index, [10, 20], [29], 2.0, 8.0)
    assert (None if found is None else (found.below, found.above)) == expected


def test_working_pixels_cover_the_box_and_go_back_linearly() -> None:
    mask = np.zeros((100, 120), bool)
    mask[30:70, 40:90] = True
    grid = WorkingGrid.around({4: mask, 30: mask}, (0, 40), (1.0, 1.0, 1.0), 20_000)
    assert grid.factor > 1 and {0, 4, 30, 40} <= set(grid.slices) and len(grid.slices) < 41
    y, x = np.mgrid[:100, :120].astype(np.float32)
    plane = 0.5 * y + 0.25 * x
    scores = np.stack([grid.shrunk(plane) + index for index in grid.slices])
    native = grid.native(scores, 17)
    inner = (slice(grid.factor, -grid.factor),) * 2
    expected = (plane + 17)[grid.rows, grid.columns]
    assert np.allclose(native[inner], expected[inner], atol=1e-3)


@pytest.mark.parametrize("name", ["abdomen_mr/mr_8", "wide/hippocampus/hippocampus_001", "wide/cord/cord_t1"])
def test_real_scans_are_filled_better_than_by_plain_interpolation(shared_data, name) -> None:
    volume = read_volume(shared_data / f"{name}_image.nii.gz")
    truth = read_segmentation(shared_data / f"{name}_label.nii.gz", like=volume).labels
    value = 1
    shown = np.flatnonzero((truth == value).any((1, 2)))
    slices = sorted({int(shown[int((i + 0.5) / 5 * len(shown))]) for i in range(5)})
    mask = (truth == value).astype(np.uint8)
    found = fill(volume, keep(mask, slices), slices=slices, plane="native").labels > 0
    plain = np.zeros_like(found)
    for low, high in itertools.pairwise(slices):
        a, b = (signed_distance(mask[s] > 0, (1.0, 1.0)) for s in (low, high))
        for z in range(low, high):
            plain[z] = ((high - z) * a + (z - low) * b) > 0
    rest = np.setdiff1d(np.arange(len(mask)), slices)
    assert dice(found[rest], mask[rest] > 0) > dice(plain[rest], mask[rest] > 0) + 0.01
