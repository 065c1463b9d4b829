"""OME-Zarr: what is written comes back, whole or not at all, block by block; others' files are read within bounds."""

from __future__ import annotations

import json
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from napari_cpclnet.errors import ImageError, OutputError
from napari_cpclnet.files import scratch
from napari_cpclnet.imaging import (
    Geometry,
    Segmentation,
    Volume,
    find_scans,
    holds_segments,
    read_segmentation,
    read_volume,
    reading_volume,
    write_segmentation,
    write_volume,
)

zarr = pytest.importorskip("zarr")
da = pytest.importorskip("dask.array")

ANGLE = np.deg2rad(20)
TURNED = ((np.cos(ANGLE), -np.sin(ANGLE), 0.0), (np.sin(ANGLE), np.cos(ANGLE), 0.0), (0.0, 0.0, -1.0))
OBLIQUE = Geometry((5, 150, 140), (2.5, 0.7, 0.8), (-30.0, 12.5, 4.0), TURNED)


@pytest.mark.parametrize("kind", ["i2", ">i2", "u1", "u2", "f4"])
def test_a_scan_comes_back_as_it_was(tmp_path: Path, kind: str) -> None:
    array = np.random.default_rng(0).normal(100, 30, OBLIQUE.shape).clip(0).astype(kind)
    path = write_volume(Volume(array, OBLIQUE, "MR", "", name="x"), tmp_path / "mr.ome.zarr")
    found = read_volume(path)
    assert path.name == "mr.ome.zarr" and found.name == "mr" and found.modality == "MR" and found.calibrated
    assert found.geometry.isclose(OBLIQUE) and np.array_equal(found.array, array)
    assert found.array.dtype == np.dtype(kind).newbyteorder("=")
    assert [scan.path for scan in find_scans(tmp_path)] == [path]


def test_labels_come_back_with_their_names_and_colours(tmp_path: Path) -> None:
    labels = np.zeros(OBLIQUE.shape, np.uint16)
    labels[2, 10:40, 20:50], labels[3, 60:, 90:] = 6, 300
    made = Segmentation(labels, {6: "liver", 300: "spleen"}, OBLIQUE, "x", {6: (200, 10, 20)})
    path = write_segmentation(made, tmp_path / "ct_labels.ome.zarr")
    found = read_segmentation(path)
    assert holds_segments(path) and found.name == "ct_labels"
    assert np.array_equal(found.labels, labels) and found.labels.dtype == np.uint16
    assert found.classes == made.classes and found.colors == made.colors
    assert found.geometry.isclose(OBLIQUE)
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(ImageError, match="no scan"):  # labels are no scans, nor are their blocks
        find_scans(tmp_path)


def test_the_specification_is_followed(tmp_path: Path) -> None:
    geometry = Geometry((4, 8, 8), (5.0, 0.5, 0.25), (1.0, 2.0, 3.0))
    path = write_volume(Volume(np.zeros((4, 8, 8), np.int16), geometry), tmp_path / "a.ome.zarr")
    facts = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]
    assert facts["version"] == "0.5"
    (image,) = facts["multiscales"]
    assert [(a["name"], a["type"], a["unit"]) for a in image["axes"]] == [
        (name, "space", "millimeter") for name in "zyx"
    ]
    (level,) = image["datasets"]
    assert level["coordinateTransformations"] == [
        {"type": "scale", "scale": [5.0, 0.5, 0.25]},
        {"type": "translation", "translation": [1.0, 2.0, 3.0]},
    ]
    assert zarr.open_array(path / level["path"]).metadata.dimension_names == ("z", "y", "x")


def test_an_array_in_files_is_written_and_opened_without_being_whole_in_memory(tmp_path: Path) -> None:
    shape = (1024, 128, 128)
    array = da.arange(shape[0], chunks=32, dtype=np.int16)[:, None, None] * da.ones(
        shape[1:], chunks=shape[1:], dtype=np.int16
    )
    tracemalloc.start()
    path = write_volume(Volume(array, Geometry(shape), "CT", "HU"), tmp_path / "long.ome.zarr")
    lazy = read_volume(path, lazy_above=1)
    few = np.asarray(lazy.array[500:502])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < array.nbytes / 2
    assert hasattr(lazy.array, "dask") and lazy.unit == "HU" and lazy.array.shape == shape
    assert np.array_equal(few[:, 0, 0], [500, 501])
    assert np.array_equal(read_volume(path).array, np.asarray(array))


@pytest.mark.parametrize("kind", ["i2", "f8", "f2"])
def test_a_large_one_lies_in_a_temporary_file_and_is_the_same(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = np.random.default_rng(0).normal(100, 300, OBLIQUE.shape).clip(-999).astype(kind)
    path = write_volume(Volume(array, OBLIQUE), tmp_path / "x.ome.zarr")
    monkeypatch.setattr(scratch, "BLOCK", 100_000)
    loaded = read_volume(path)
    monkeypatch.setattr(scratch, "IN_MEMORY", array[0].nbytes)
    large = read_volume(path)
    assert isinstance(large.array.base, np.memmap) and not large.array.flags.writeable
    assert loaded.array.flags.writeable and large.array.dtype == loaded.array.dtype
    np.testing.assert_array_equal(large.array, loaded.array)
    assert (large.modality, large.unit, large.notes) == (loaded.modality, loaded.unit, loaded.notes)
    shares = list(reading_volume(path))
    assert len(shares) > 1 and shares[-1] == 1


def test_a_large_one_with_a_value_that_is_no_number_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = np.zeros((3, 140, 140), np.float32)
    array[2, 7, 7] = np.nan
    path = write_volume(Volume(array, Geometry(array.shape)), tmp_path / "x.ome.zarr")
    monkeypatch.setattr(scratch, "IN_MEMORY", 0)
    with pytest.raises(ImageError, match="contains NaN"):
        read_volume(path)


def test_a_large_one_for_which_the_disk_has_no_room_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_volume(Volume(np.zeros((3, 9, 9), np.int16), Geometry((3, 9, 9))), tmp_path / "x.ome.zarr")
    monkeypatch.setattr(scratch, "IN_MEMORY", 0)
    monkeypatch.setattr(scratch.shutil, "disk_usage", lambda _folder: SimpleNamespace(free=0))
    with pytest.raises(OutputError, match=r"x\.ome\.zarr: takes .* GiB in a temporary file"):
        read_volume(path)


def test_what_fails_leaves_nothing_and_the_older_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "ct.ome.zarr"
    write_volume(Volume(np.full((2, 4, 4), 7, np.int16), Geometry((2, 4, 4))), path)

    def fail(_block: np.ndarray) -> np.ndarray:
        raise OSError(28, "No space left on device")

    broken = da.zeros((200, 4, 4), chunks=(100, 4, 4), dtype=np.int16).map_blocks(
        fail, dtype=np.int16, meta=np.zeros((0, 0, 0), np.int16)
    )
    with pytest.raises(OutputError, match="cannot be written"):
        write_volume(Volume(broken, Geometry(broken.shape)), path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["ct.ome.zarr"]
    assert read_volume(path).array.max() == 7
    write_volume(Volume(np.full((3, 4, 4), 9, np.int16), Geometry((3, 4, 4))), path)
    assert read_volume(path).array.shape == (3, 4, 4)
    assert [entry.name for entry in tmp_path.iterdir()] == ["ct.ome.zarr"]


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "mine.ome.zarr"
    path.mkdir()
    (path / "letter.txt").write_text("to somebody")
    with pytest.raises(OutputError, match="no OME-Zarr"):
        write_volume(Volume(np.zeros((2, 4, 4), np.int16), Geometry((2, 4, 4))), path)
    assert (path / "letter.txt").read_text() == "to somebody"


def foreign(path: Path, array: np.ndarray, axes: list[dict[str, str]], scale: list[float]) -> Path:
    """A folder of version 0.4, as other programs write it, with the scale of the whole image said apart."""
    group = zarr.create_group(path, zarr_format=2)
    group.create_array("s0", data=array, chunks=array.shape)
    half = [0.5] * array.ndim
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": axes,
            "datasets": [
                {"path": "s0", "coordinateTransformations": [{"type": "scale", "scale": half}]},
            ],
            "coordinateTransformations": [{"type": "scale", "scale": [2 * s for s in scale]}],
        }
    ]
    return path


def axes(names: str, unit: str = "micrometer") -> list[dict[str, str]]:
    kinds = {"t": "time", "c": "channel"}
    return [
        {"name": name, "type": kinds[name]}
        if name in kinds
        else {"name": name, "type": "space", "unit": unit}
        for name in names
    ]


def test_a_microscopes_image_has_its_size_in_millimetres(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.uint16).reshape(1, 1, 2, 3, 4) + 300
    path = foreign(tmp_path / "cells.zarr", array, axes("tczyx"), [1, 1, 500.0, 250.0, 250.0])
    found = read_volume(path)
    assert found.geometry.spacing == pytest.approx((0.5, 0.25, 0.25)) and found.calibrated
    assert np.array_equal(found.array, array[0, 0]) and found.name == "cells"
    flat = read_volume(foreign(tmp_path / "flat.zarr", array[0, 0, 0], axes("yx", ""), [2.0, 3.0]))
    assert flat.array.shape == (1, 3, 4) and not flat.calibrated


@pytest.mark.parametrize(
    ("names", "shape", "says"),
    [
        ("czyx", (2, 2, 3, 4), "several channels"),
        ("xyz", (2, 3, 4), "in this order"),
        ("zyx", (2, 3), "do not fit"),
    ],
)
def test_what_is_no_scan_is_one_sentence(
    tmp_path: Path, names: str, shape: tuple[int, ...], says: str
) -> None:
    path = foreign(tmp_path / "a.zarr", np.ones(shape, np.uint8), axes(names), [1.0] * len(shape))
    with pytest.raises(ImageError, match=says) as error:
        read_volume(path)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"filters": [{"id": "pickle"}]}, "pickle"),
        ({"compressor": {"id": "somebody's"}}, "somebody's"),
        ({"shape": [10**9, 10**6, 10**3]}, "blocks"),
        ({"shape": [10**5] * 3, "chunks": [10**3] * 3}, "memory"),
        ({"chunks": [10**9, 10, 10]}, "blocks"),
        ({"dtype": "|O"}, "OME-Zarr"),
        ({"shape": []}, "a.zarr"),
    ],
)
def test_what_would_run_or_fill_the_memory_is_refused(tmp_path: Path, change: dict, says: str) -> None:
    path = foreign(tmp_path / "a.zarr", np.ones((2, 3, 4), np.uint8), axes("zyx"), [1.0] * 3)
    file = path / "s0" / ".zarray"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(ImageError, match=says):
        read_volume(path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"multiscales": []}', '{"multiscales": [{"axes": 3}]}'])
def test_damaged_attributes_are_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / ".zattrs").write_text(text)
    with pytest.raises(ImageError, match="is no OME-Zarr image"):
        read_volume(path)


def test_a_path_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    foreign(tmp_path / "secret.zarr", np.ones((2, 3, 4), np.uint8), axes("zyx"), [1.0] * 3)
    path = foreign(tmp_path / "a.zarr", np.ones((2, 3, 4), np.uint8), axes("zyx"), [1.0] * 3)
    file = path / ".zattrs"
    file.write_text(file.read_text().replace('"s0"', '"../secret.zarr/s0"'))
    with pytest.raises(ImageError, match="outside"):
        read_volume(path)


def test_without_the_extra_the_user_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    scan = Volume(np.zeros((2, 4, 4), np.int16), Geometry((2, 4, 4)))
    with pytest.raises(OutputError, match=r"pip install 'napari-cpclnet\[zarr\]'"):
        write_volume(scan, tmp_path / "a.ome.zarr")
