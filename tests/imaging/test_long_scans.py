"""A long scan becomes a volume without a copy of it in the memory of the process, and is the same."""

from __future__ import annotations

import bz2
import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from napari_cpclnet.errors import ImageError
from napari_cpclnet.files import scratch
from napari_cpclnet.imaging import (
    Geometry,
    Segmentation,
    Volume,
    read_segmentation,
    read_volume,
    write_segmentation,
    write_volume,
)
from napari_cpclnet.imaging.formats import nifti, voxel_files

pytest.importorskip("dask.array")
pytest.importorskip("zarr")

GRID = Geometry((5, 30, 40), (4.0, 1.0, 1.0))

# Peak of what is in memory and in no file, above what the libraries take.
MEASURE = """
import sys, threading, time
from pathlib import Path
import dask.array as da
import numpy as np
import torch
from napari_cpclnet import read_volume
from napari_cpclnet.files import scratch
from napari_cpclnet.imaging import Geometry, Volume, write_volume
from napari_cpclnet.imaging.volume import fingerprint
from napari_cpclnet.preprocessing import ModelGrid, PreprocessingSettings
from napari_cpclnet.preprocessing.intensity import intensity_range

scratch.IN_MEMORY, scratch.BLOCK = 16 << 20, 8 << 20

def lazy(shape, at_once):
    def block(block_info=None):
        first, last = block_info[None]["array-location"][0]
        made = np.full((last - first, *shape[1:]), -1000, np.int16)
        made[:, 40:-40, 30:-30] = np.arange(first, last, dtype=np.int16)[:, None, None]
        return made

    chunks = ((at_once,) * (shape[0] // at_once), shape[1:2], shape[2:])
    return da.map_blocks(block, chunks=chunks, dtype=np.int16, meta=np.empty((0, 0, 0), np.int16))

def make(source, path):
    if how == "dask":
        from napari.layers import Image
        from napari_cpclnet.gui.layers.scan_layers import LayerScan
        return LayerScan.of(Image(source, contrast_limits=(0, 1))).volume()
    if not path.exists():
        array = source if path.suffix == ".zarr" else source.compute()
        write_volume(Volume(array, Geometry(source.shape), "CT", "HU"), path)
    return read_volume(path)

def chain(volume):
    fingerprint(volume), intensity_range(volume, PreprocessingSettings())
    grid = ModelGrid.for_volume(volume, "axial", PreprocessingSettings())
    grid.images(volume, [0, 4])
    return int(volume.array[-5].max())

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))

how, folder = sys.argv[1], Path(sys.argv[2])
source, path = lazy((600, 512, 512), 4), folder / f"long{sys.argv[3]}"
if how == "write":
    make(source, path)
    raise SystemExit
chain(make(lazy((8, 128, 128), 2), folder / f"short{sys.argv[3]}"))  # what is imported on the way is no copy of a scan
before, most, ended = anonymous(), 0, threading.Event()

def watch():
    global most
    while not ended.wait(0.002):
        most = max(most, anonymous())

watching = threading.Thread(target=watch)
watching.start()
seen = chain(make(source, path))
ended.set()
watching.join()
print(seen, most - before, source.nbytes)
"""


@pytest.fixture
def scan() -> Volume:
    array = np.random.default_rng(0).normal(0, 400, GRID.shape).astype(np.int16)
    return Volume(array, GRID, "CT", "HU")


def mapped(array: np.ndarray) -> bool:
    """Whether an array is read-only and lies in a file."""
    while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    return isinstance(array, np.memmap) and not array.flags.writeable


def all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays of any size lie in temporary files, and a slice is more than is read at once."""
    monkeypatch.setattr(scratch, "IN_MEMORY", 0)
    for module in (nifti, voxel_files):
        monkeypatch.setattr(module, "BLOCK", 2000)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_file_is_the_same_in_memory_and_in_a_temporary_file(
    tmp_path: Path, scan: Volume, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_volume(scan, tmp_path / f"x{suffix}")
    loaded = read_volume(path)
    all_are_large(monkeypatch)
    large = read_volume(path)
    assert mapped(large.array) and loaded.array.flags.writeable
    np.testing.assert_array_equal(large.array, loaded.array)
    np.testing.assert_array_equal(large.array, scan.array)
    assert (large.array.dtype, large.notes) == (loaded.array.dtype, loaded.notes)


@pytest.mark.parametrize("kind", [">i2", "u1", "i4", "f4"])
def test_rescaled_values_are_the_same(
    tmp_path: Path, scan: Volume, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = nibabel.Nifti1Header(endianness=">" if kind.startswith(">") else "<")
    header.set_data_dtype(np.dtype(kind).newbyteorder("="))
    image = nibabel.Nifti1Image(scan.array.clip(0, 255).T, np.eye(4), header)
    image.header.set_slope_inter(0.37, -3.5)
    path = tmp_path / "x.nii.gz"
    path.write_bytes(gzip.compress(image.to_bytes()))
    loaded = read_volume(path)
    all_are_large(monkeypatch)
    large = read_volume(path)
    assert large.array.dtype == loaded.array.dtype == np.float32
    np.testing.assert_array_equal(large.array, loaded.array)
    assert len(np.unique(large.array)) > 100


@pytest.mark.parametrize(
    ("encoding", "write"), [("raw", bytes), ("bzip2", bz2.compress), ("gzip", gzip.compress)]
)
@pytest.mark.parametrize("endian", ["little", "big"])
def test_nrrd_of_any_packing_is_the_same(
    tmp_path: Path, scan: Volume, encoding: str, write: Any, endian: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = " ".join(str(n) for n in GRID.shape[::-1])
    head = f"NRRD0004\ntype: short\ndimension: 3\nsizes: {sizes}\nendian: {endian}\nencoding: {encoding}\n\n"
    stored = scan.array.astype(">i2" if endian == "big" else "<i2").tobytes()
    path = tmp_path / "x.nrrd"
    path.write_bytes(head.encode() + write(stored))
    all_are_large(monkeypatch)
    np.testing.assert_array_equal(read_volume(path).array, scan.array)
    path.write_bytes(head.encode() + write(stored[:-2]))
    with pytest.raises(ImageError, match="truncated"):
        read_volume(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_file_that_ends_early_is_refused_as_ever(
    tmp_path: Path, scan: Volume, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_volume(scan, tmp_path / f"x{suffix}")
    path.write_bytes(path.read_bytes()[:-5])
    all_are_large(monkeypatch)
    with pytest.raises(ImageError, match="truncated"):
        read_volume(path)


def test_labels_of_a_large_file_can_be_painted_on(
    tmp_path: Path, scan: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Segmentation((scan.array > 300).astype(np.uint8), {1: "bone"}, GRID)
    all_are_large(monkeypatch)
    for suffix in (".nii.gz", ".seg.nrrd", ".mha", ".ome.zarr"):
        labels = read_segmentation(write_segmentation(made, tmp_path / f"x{suffix}")).labels
        np.testing.assert_array_equal(labels, made.labels)
        assert labels.flags.writeable and not mapped(labels)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what of the memory is in no file")
@pytest.mark.parametrize("suffix", ["", ".ome.zarr", ".nii", ".nrrd"], ids=["dask", "zarr", "nifti", "nrrd"])
def test_a_long_scan_is_read_and_looked_at_in_a_part_of_its_size(tmp_path: Path, suffix: str) -> None:
    if not suffix:
        pytest.importorskip("napari")
    for step in ("write", "read") if suffix else ("dask",):
        words = [sys.executable, "-c", MEASURE, step, str(tmp_path), suffix]
        ran = subprocess.run(words, capture_output=True, text=True, check=True)
    seen, grown, size = map(int, ran.stdout.split())
    assert seen == 595
    assert grown < size / 3, f"{grown >> 20} MB of a scan of {size >> 20} MB"
