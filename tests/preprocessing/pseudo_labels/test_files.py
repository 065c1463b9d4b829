from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_cpclnet.errors import SettingsError
from napari_cpclnet.imaging import (
    Geometry,
    ScanRef,
    Volume,
    find_scans,
    read_segmentation,
    read_volume,
    write_volume,
)
from napari_cpclnet.preprocessing import PseudoLabelSettings, find_pseudo_labels, make_pseudo_labels
from napari_cpclnet.preprocessing.pseudo_labels.regions import RegionMap
from napari_cpclnet.preprocessing.pseudo_labels.run import volume_labels

QUICK = PseudoLabelSettings(methods=("felzenszwalb",), scales_mm=(25.0,))
NAMES = ["background_mask", "foreground_mask", "regions-felzenszwalb-1_label"]
TILTED = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))


def body_array(shape=(5, 48, 56)) -> np.ndarray:
    """CT of a box with an organ in it, in HU."""
    array = np.full(shape, -1000, np.int16)
    array[:, 4:-4, 4:-4] = 0
    array[:, 12:26, 14:30] = 150
    return array


def save_volume(path: Path, shape=(5, 48, 56)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    geometry = Geometry(shape, (5.0, 4.0, 4.0), (1.0, 2.0, 3.0), TILTED)
    write_volume(Volume(body_array(shape), geometry), path)
    return path


def save_picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.interp(body_array()[0], (-125, 275), (0, 255)).astype(np.uint8)).save(path)
    return path


def make(root: Path, **options):
    return list(make_pseudo_labels(find_scans(root), QUICK, **{"workers": 1, **options}))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_of_a_volume_lie_beside_it_on_its_grid(tmp_path):
    path = save_volume(tmp_path / "deep" / "ct.nrrd")
    reports = make(tmp_path)
    assert files(path.parent) == sorted(["ct.nrrd", *(f"ct_{name}.nii.gz" for name in NAMES)])
    assert {report.status for report in reports} == {"written"}
    assert [(report.done, report.total) for report in reports] == [(1, 3), (2, 3), (3, 3)]
    (found,) = find_pseudo_labels(path)
    regions = read_segmentation(found, like=read_volume(path)).labels
    organ = body_array() == 150
    (number,) = np.unique(regions[organ])
    assert number > 0
    np.testing.assert_array_equal(regions == number, organ)


def test_masks_are_the_body_and_everything_else(tmp_path):
    path = save_volume(tmp_path / "ct.nii.gz")
    make(tmp_path)
    masks = {
        kind: read_segmentation(tmp_path / f"ct_{kind}_mask.nii.gz", like=read_volume(path)).labels
        for kind in ("foreground", "background")
    }
    np.testing.assert_array_equal(masks["foreground"], body_array() > -500)
    np.testing.assert_array_equal(masks["foreground"] + masks["background"], 1)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_picture_gets_pictures(tmp_path, suffix):
    path = save_picture(tmp_path / "data" / "images" / f"CT_001{suffix}")
    make(tmp_path)
    assert files(path.parent) == sorted([path.name, *(f"CT_001_{name}.png" for name in NAMES)])
    (found,) = find_pseudo_labels(path)
    with Image.open(found) as image:
        assert np.asarray(image).shape == (48, 56)
        assert image.mode.startswith("I")  # 16 bits
    with Image.open(path.with_name("CT_001_foreground_mask.png")) as image:
        assert set(np.unique(image)) == {0, 255}
    assert read_segmentation(found, like=read_volume(path)).labels.any()


def test_a_folder_of_slices_is_one_volume_and_keeps_its_files_inside(tmp_path):
    for k in range(4):
        save_picture(tmp_path / "patient" / f"slice_{k}.png")
    make(tmp_path)
    (found,) = find_pseudo_labels(tmp_path / "patient")
    assert found == tmp_path / "patient" / "patient_regions-felzenszwalb-1_label.nii.gz"
    assert read_segmentation(found, like=read_volume(tmp_path / "patient")).labels.shape == (4, 48, 56)


def test_pictures_of_several_pages_are_volumes(tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "stack.tif", body_array() + 1000)
    make(tmp_path)
    (found,) = find_pseudo_labels(tmp_path / "stack.tif")
    assert read_segmentation(found).labels.shape == body_array().shape


def test_pseudo_labels_are_no_scans(tmp_path):
    save_volume(tmp_path / "ct.nii.gz")
    for k in (1, 2):
        save_picture(tmp_path / "images" / f"CT_00{k}.png")
    before = find_scans(tmp_path)
    make(tmp_path)
    assert find_scans(tmp_path) == before


def test_dicom_series_of_one_folder_do_not_share_files(tmp_path):
    assert find_pseudo_labels(tmp_path, series="1.2.3") == []
    name = tmp_path.name
    (tmp_path / f"{name}_884863d2_regions-slic-2_label.nii.gz").write_bytes(b"x")  # zlib.crc32(b"123")
    assert len(find_pseudo_labels(tmp_path, series="123")) == 1
    assert find_pseudo_labels(tmp_path, series="1.2.3") == []


def test_region_files_are_found_by_method_and_scale_and_nothing_else(tmp_path):
    image = tmp_path / "a.nii.gz"
    for name in ("slic-2", "felzenszwalb-1", "slic-1"):
        (tmp_path / f"a_regions-{name}_label.nii.gz").write_bytes(b"x")
    for name in ("b_regions-slic-1_label", "a_label", "a_foreground_mask", "a_regions-other-1_label"):
        (tmp_path / f"{name}.nii.gz").write_bytes(b"x")
    (tmp_path / "a_regions-slic-3_label.nii.gz").touch()  # empty
    assert [path.name for path in find_pseudo_labels(image)] == [
        f"a_regions-{name}_label.nii.gz" for name in ("slic-1", "slic-2", "felzenszwalb-1")
    ]


def test_finished_files_are_kept_and_missing_ones_are_made(tmp_path):
    save_volume(tmp_path / "ct.nii.gz")
    make(tmp_path)
    mine = tmp_path / "ct_foreground_mask.nii.gz"
    mine.write_bytes(b"corrected by hand")
    (tmp_path / "ct_background_mask.nii.gz").unlink()
    statuses = [report.status for report in make(tmp_path)]
    assert sorted(statuses) == ["kept", "kept", "written"]
    assert mine.read_bytes() == b"corrected by hand"
    assert [report.status for report in make(tmp_path, overwrite=True)] == ["written"] * 3
    assert mine.read_bytes() != b"corrected by hand"


def test_a_damaged_scan_fails_and_the_others_go_on(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"no image")
    save_volume(tmp_path / "b.nii.gz")
    reports = make(tmp_path)
    assert {(report.scan.name, report.status) for report in reports} == {("a", "failed"), ("b", "written")}
    assert all("a.nii.gz" in report.problem for report in reports if report.status == "failed")


def test_scans_whose_files_would_have_one_name_are_told_apart(tmp_path):
    save_volume(tmp_path / "ct.mha")
    save_volume(tmp_path / "ct.nrrd")
    reports = make(tmp_path)
    (failed,) = [report for report in reports if report.status == "failed"]
    assert "ct.nrrd" in failed.problem and "ct.mha" in failed.problem
    assert len(reports) == failed.total == 4


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    save_volume(tmp_path / "ct.nii.gz")
    save_picture(tmp_path / "images" / "CT_001.png")
    monkeypatch.setattr("os.replace", full)
    assert {report.status for report in make(tmp_path)} == {"failed"}
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["CT_001.png", "ct.nii.gz"]


def test_slices_are_those_of_the_plane(tmp_path):
    """A volume stored with its slices along the last axis gives the same regions in that order."""
    array = np.random.default_rng(0).normal(0, 60, (4, 40, 44)).astype(np.int16)
    array[:, :3] = array[:, -3:] = -1000
    upright = Volume(array, Geometry(array.shape, (5.0, 4.0, 4.0)), "CT", "HU")
    turned = Volume(
        np.ascontiguousarray(array.transpose(1, 2, 0)),
        Geometry((40, 44, 4), (4.0, 4.0, 5.0), direction=((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))),
        "CT",
        "HU",
    )
    which = RegionMap("felzenszwalb", 1)
    one, other = (volume_labels(volume, which, QUICK) for volume in (upright, turned))
    assert one.max() > 3
    np.testing.assert_array_equal(other.transpose(2, 0, 1), one)


@pytest.mark.slow
class TestProcesses:
    def test_files_do_not_depend_on_the_number_of_processes(self, tmp_path):
        for folder in ("one", "two"):
            for k in range(2):
                save_volume(tmp_path / folder / f"ct_{k}.nii.gz")
            save_picture(tmp_path / folder / "images" / "CT_001.png")
        make(tmp_path / "one", workers=1)
        reports = make(tmp_path / "two", workers=2)
        assert sorted(report.done for report in reports) == list(range(1, 10))
        for path in sorted((tmp_path / "one").rglob("*_*_*.*")):
            same = tmp_path / "two" / path.relative_to(tmp_path / "one")
            np.testing.assert_array_equal(read_segmentation(same).labels, read_segmentation(path).labels)

    def test_closing_the_iterator_ends_the_processes_and_leaves_whole_files(self, tmp_path):
        for k in range(6):
            save_volume(tmp_path / f"ct_{k}.nii.gz", (60, 48, 56))
        work = make_pseudo_labels(find_scans(tmp_path), QUICK, workers=2)
        next(work)
        work.close()
        assert not multiprocessing.active_children()
        made = [path for path in tmp_path.iterdir() if "_regions" in path.name or "_mask" in path.name]
        assert 1 <= len(made) < 18
        assert len(files(tmp_path)) == 6 + len(made)  # no temporary ones
        for path in made:
            assert read_segmentation(path).labels.shape == (60, 48, 56)

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no kill -9")
    def test_a_killed_worker_is_said_with_what_to_do(self, tmp_path):
        for k in range(6):
            save_volume(tmp_path / f"ct_{k}.nii.gz", (60, 48, 56))
        work = make_pseudo_labels(find_scans(tmp_path), QUICK, workers=2)
        next(work)
        for child in multiprocessing.active_children():
            child.kill()
        with pytest.raises(SettingsError, match="fewer --workers"):
            list(work)

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no kill -9")
    def test_a_killed_run_leaves_no_processes_and_goes_on_later(self, tmp_path):
        for k in range(3):
            save_volume(tmp_path / f"ct_{k}.nii.gz", (200, 48, 56))
        # in a group of its own, so that all that is left of it can be seen
        command = [sys.executable, "-m", "napari_cpclnet", "pseudo-labels", "--workers", "2", "--data-root"]
        process = subprocess.Popen([*command, str(tmp_path)], start_new_session=True)
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("*_mask.nii.gz")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 60
        while group_lives(process.pid) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not group_lives(process.pid)
        made = list(tmp_path.glob("*_mask.nii.gz"))
        assert made
        for path in made:
            assert read_segmentation(path).labels.shape == (200, 48, 56)


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_regions_of_real_scans_hold_organs(shared_data):
    """Some region of some map shows each large organ of a middle slice."""
    for scan, organs in (("abdomen_ct/ct_10", (6, 3)), ("abdomen_mr/mr_1", (1, 3))):
        volume = read_volume(shared_data / f"{scan}_image.nii.gz")
        truth = read_segmentation(shared_data / f"{scan}_label.nii.gz", like=volume).labels
        index = int(np.argmax([min(np.count_nonzero(s == organ) for organ in organs) for s in truth]))
        one = Volume(
            volume.array[index : index + 1],
            Geometry((1, *volume.array.shape[1:]), volume.geometry.spacing),
            volume.modality,
            volume.unit,
        )
        maps = [
            volume_labels(one, RegionMap(method, scale), PseudoLabelSettings())[0]
            for method in ("slic", "felzenszwalb")
            for scale in (2, 3)
        ]
        for organ in organs:
            wanted = truth[index] == organ
            best = max(
                2
                * np.count_nonzero(wanted & (m == v))
                / (np.count_nonzero(wanted) + np.count_nonzero(m == v))
                for m in maps
                for v in np.unique(m[wanted])
                if v
            )
            assert best > 0.6, (scan, organ, best)


def test_a_missing_scan_is_reported(tmp_path):
    (report,) = [
        r for r in make_pseudo_labels([ScanRef(tmp_path / "no.nii.gz")], QUICK, workers=1) if r.done == 1
    ]
    assert report.status == "failed" and "no.nii.gz" in report.problem
