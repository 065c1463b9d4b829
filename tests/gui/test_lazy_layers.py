"""Layers of dask and zarr too large for memory: labelled as loaded ones are, read part by part, given up between."""

from __future__ import annotations

import gc
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image

from napari_cpclnet.errors import ImageError, OutputError
from napari_cpclnet.files import scratch
from napari_cpclnet.gui.jobs.fill_job import VolumeKeeper
from napari_cpclnet.gui.jobs.mend_job import make_mend_order
from napari_cpclnet.gui.jobs.scan_reading import RunStopped, Stage
from napari_cpclnet.gui.jobs.segment_job import (
    Cancelled,
    Job,
    Query,
    ScanDone,
    ScanFailed,
    SupportPart,
    run_job,
)
from napari_cpclnet.gui.layers.scan_layers import LayerScan, volume_note
from napari_cpclnet.gui.project.snapshot import write_snapshot
from napari_cpclnet.gui.project.tracker import ProjectTracker
from napari_cpclnet.gui.segment.thumbnails import ThumbnailMaker, ThumbnailOrder
from napari_cpclnet.gui.widgets.run_bar import RunState
from napari_cpclnet.imaging import read_volume
from napari_cpclnet.imaging.volume import fingerprint
from napari_cpclnet.segmentation.settings import RunSettings

from .doubles import BrightSegmenter, add_volume, factory, make_volume

da = pytest.importorskip("dask.array")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of temporary files; arrays that are not in memory all count as large."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(scratch, "IN_MEMORY", 0)
    monkeypatch.setattr(scratch, "BLOCK", 4000)
    return folder


class Counted:
    """Chunks of an array, a slice each, that count how often they are computed."""

    def __init__(self, array: np.ndarray) -> None:
        self.computed: list[int] = []

        def block(block_info: dict) -> np.ndarray:
            index = block_info[None]["chunk-location"][0]
            self.computed.append(index)
            return array[index : index + 1]

        chunks = ((1,) * len(array), *((n,) for n in array.shape[1:]))
        self.array = da.map_blocks(
            block, chunks=chunks, dtype=array.dtype, meta=np.empty((0, 0, 0), array.dtype)
        )


def mapped(array: np.ndarray) -> bool:
    """Whether an array is read-only and lies in a file."""
    while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    return isinstance(array, np.memmap) and not array.flags.writeable


def test_a_layer_of_dask_is_computed_once_for_as_long_as_it_is_there(viewer):
    volume = make_volume("mr")
    counted = Counted(volume.array)
    layer = add_volume(viewer, volume.replaced(array=counted.array))
    counted.computed.clear()
    first, again = LayerScan.of(layer).volume(), LayerScan.of(layer).volume()
    assert sorted(counted.computed) == list(range(8))
    assert mapped(first.array) and mapped(again.array)
    np.testing.assert_array_equal(first.array, volume.array)
    assert fingerprint(first) == fingerprint(again) == fingerprint(volume)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no list of open files")
def test_its_file_goes_when_the_layer_does(folder):
    layer = Image(Counted(make_volume().array).array, contrast_limits=(0, 1))
    LayerScan.of(layer).volume()

    def there() -> bool:
        return str(folder) in Path("/proc/self/maps").read_text()

    assert there()
    del layer
    gc.collect()
    assert not there()


def test_an_array_of_zarr_is_read_again_as_it_may_be_written(viewer):
    zarr = pytest.importorskip("zarr")
    array = make_volume().array
    stored = zarr.create_array({}, data=array, chunks=(3, 24, 7))
    layer = viewer.add_image(stored, contrast_limits=(0, 1), name="stored")
    assert not isinstance(layer.data, np.ndarray)
    found = LayerScan.of(layer).volume()
    assert mapped(found.array)
    np.testing.assert_array_equal(found.array, array)
    stored[2] = 0.25
    assert (LayerScan.of(layer).volume().array[2] == 0.25).all()


@pytest.mark.parametrize("kind", ["i2", ">u2", "f8", "?"])
def test_values_are_those_of_the_loaded_layer(kind):
    array = (np.random.default_rng(0).normal(200, 400, (9, 24, 20)).clip(0)).astype(kind)
    loaded = LayerScan.of(Image(array, name="x")).volume()
    lazy = LayerScan.of(
        Image(da.from_array(array, chunks=(2, 24, 9)), name="x", contrast_limits=(0, 1))
    ).volume()
    assert mapped(lazy.array) and lazy.array.dtype == loaded.array.dtype
    np.testing.assert_array_equal(lazy.array, loaded.array)
    assert (lazy.modality, lazy.unit, lazy.notes) == (loaded.modality, loaded.unit, loaded.notes)
    assert fingerprint(lazy) == fingerprint(loaded)


def test_a_flat_picture_is_one_slice():
    picture = np.random.default_rng(0).normal(size=(24, 20))
    lazy = LayerScan.of(Image(da.from_array(picture, chunks=(5, 20)), contrast_limits=(0, 1))).volume()
    np.testing.assert_array_equal(lazy.array, picture[None])


def test_a_value_that_is_no_number_is_refused_with_the_name_of_the_layer():
    array = np.zeros((9, 24, 20), np.float32)
    array[7, 3, 3] = np.inf
    layer = Image(da.from_array(array, chunks=(1, 24, 20)), name="holes", contrast_limits=(0, 1))
    with pytest.raises(ImageError, match=r"^'holes' contains NaN or infinite values"):
        LayerScan.of(layer).volume()


def lazy_job(*, painted: bool = False, n: int = 40) -> tuple[Job, Counted]:
    """A run whose support is in memory and whose query, or the other way round, is not."""
    volume = make_volume("mr", shape=(n, 24, 20))
    counted = Counted(volume.array)
    lazy = LayerScan(counted.array, volume.geometry, "lazy", True, volume_note(volume))
    other = make_volume("ct", shape=(n, 24, 20))
    loaded = LayerScan(other.array, other.geometry, "loaded", True, volume_note(other))
    labels = np.zeros(volume.array.shape, np.uint8)
    labels[n // 2, 8:12, 8:12] = 4
    part = SupportPart(lazy if painted else loaded, labels, (n // 2,))
    query = Query(loaded if painted else lazy)
    return Job((part,), {4: "box"}, (query,), RunSettings()), counted


def test_a_run_says_how_far_reading_is_and_labels_the_same(folder):
    job, counted = lazy_job()
    reports = list(run_job(job, BrightSegmenter))
    said = [one.text for one in reports if isinstance(one, Stage) and one.text.startswith("Reading lazy, ")]
    assert len(said) == 20 and said[0] == "Reading lazy, 5%…" and said[-1] == "Reading lazy, 100%…"
    (done,) = (one for one in reports if isinstance(one, ScanDone))
    np.testing.assert_array_equal(
        done.labels, np.where(make_volume("mr", shape=(40, 24, 20)).array > 0.5, 4, 0)
    )
    assert len(counted.computed) == 40


@pytest.mark.parametrize("painted", [True, False], ids=["support", "query"])
def test_a_run_is_cancelled_between_two_parts_of_a_scan(folder, painted):
    job, counted = lazy_job(painted=painted)
    reports = []
    for report in run_job(job, BrightSegmenter):
        reports.append(report)
        if isinstance(report, Stage) and report.text.startswith("Reading lazy, "):
            job.cancelled.set()
    assert isinstance(reports[-1], Cancelled)
    assert not any(isinstance(one, ScanFailed | ScanDone) for one in reports)
    assert len(counted.computed) <= 4
    assert not list(folder.iterdir())


def test_other_work_gives_reading_up_too(folder):
    job, counted = lazy_job()
    with pytest.raises(RunStopped):
        VolumeKeeper().volume(job.queries[0].scan, lambda: True)
    assert len(counted.computed) <= 4 and not list(folder.iterdir())


def test_a_full_disk_fails_the_scan_with_a_sentence(monkeypatch):
    def full(*_args: object) -> None:
        raise OutputError("'lazy': takes 3 GiB in a temporary file")

    monkeypatch.setattr(scratch, "_check_room", full)
    (failed,) = (one for one in run_job(lazy_job()[0], BrightSegmenter) if isinstance(one, ScanFailed))
    assert failed.query == 0 and failed.message.startswith("'lazy': takes 3 GiB")


def test_painting_and_labelling_in_the_panel_are_those_of_a_loaded_layer(qtbot, viewer, make_panel, tmp_path):
    panel = make_panel(factory())
    made = make_volume("ct")
    counted = Counted(make_volume("mr").array)
    add_volume(viewer, make_volume("mr").replaced(array=counted.array))
    add_volume(viewer, made)
    panel.segment.refresh()
    session = panel.session
    session.support_scan = viewer.layers["ct"]
    session.new_support_labels().data[2, 3:6, 3:6] = 4
    panel.segment.refresh()
    panel.segment.bar.press()
    qtbot.waitUntil(lambda: panel.segment.bar.state is RunState.READY, timeout=60_000)
    result = viewer.layers["mr – CPCLNet"]
    np.testing.assert_array_equal(result.data, np.where(make_volume("mr").array > 0.5, 4, 0))
    result.paint((3, 2, 2), 4)
    assert result.data[3, 2, 2] == 4
    keeper = ProjectTracker(session)
    keeper.keep_in(tmp_path / "work", own=True)
    write_snapshot(keeper.snapshot())
    # a layer without a file is written into the project, as ever
    kept = read_volume(next((tmp_path / "work" / "scans").glob("mr*")))
    np.testing.assert_array_equal(kept.array, make_volume("mr").array)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_stroke_mends_on_layers_that_are_not_in_memory(viewer, axis):
    zarr = pytest.importorskip("zarr")
    array = np.random.default_rng(0).normal(size=(9, 24, 20)).astype(np.float32)
    labels = viewer.add_labels(np.zeros(array.shape, np.uint8))
    seen = []
    for data in (array, da.from_array(array, chunks=4), zarr.create_array({}, data=array, chunks=(4, 5, 6))):
        scan = Image(data, contrast_limits=(0, 1))
        path = np.array([[3.0, 4.0], [5.0, 8.0]])
        seen.append(make_mend_order(scan, labels, axis, 4, path, "point", add=True))
    assert seen[0].pictures.shape == seen[0].present.shape
    for order in seen[1:]:
        np.testing.assert_array_equal(order.pictures, seen[0].pictures)


def test_thumbnails_are_drawn_of_layers_that_are_not_in_memory(viewer):
    zarr = pytest.importorskip("zarr")
    volume = make_volume("ct")
    pictures = []
    for data in (
        volume.array,
        da.from_array(volume.array, chunks=3),
        zarr.create_array({}, data=volume.array),
    ):
        scan = LayerScan(data, volume.geometry, "ct", True, volume_note(volume))
        order = ThumbnailOrder("key", scan, "axial", 4, np.zeros((24, 20), np.uint8), {})
        ((_, picture),) = ThumbnailMaker().make([order], None)
        pictures.append(picture)
    np.testing.assert_array_equal(pictures[1], pictures[0])
    np.testing.assert_array_equal(pictures[2], pictures[0])
