"""NIfTI is written plane by plane, and is to the last byte what ITK would write."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from napari_cpclnet.errors import OutputError
from napari_cpclnet.imaging import Geometry, Volume, write_volume

ANGLE = np.deg2rad(20)
TURNED = ((np.cos(ANGLE), -np.sin(ANGLE), 0.0), (np.sin(ANGLE), np.cos(ANGLE), 0.0), (0.0, 0.0, -1.0))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", ["?", "u1", "i2", ">i2", "u2", "i4", "f4", "f8"])
@pytest.mark.parametrize("shape", [(5, 6, 7), (1, 6, 7), (4, 1, 1), (1, 1, 1)])
def test_the_file_is_that_of_itk(tmp_path: Path, shape: tuple[int, int, int], kind: str, suffix: str) -> None:
    geometry = Geometry(shape, (2.5, 0.7, 0.8), (-30.0, 12.5, 4.0), TURNED)
    array = (np.random.default_rng(0).random(shape) * 90).astype(kind)
    ours, theirs = tmp_path / f"ours{suffix}", tmp_path / f"theirs{suffix}"
    write_volume(Volume(array, geometry), ours)
    sitk.WriteImage(geometry.to_sitk(array), str(theirs))
    contents = [path.read_bytes() for path in (ours, theirs)]
    if suffix == ".nii.gz":
        contents = [gzip.decompress(one) for one in contents]
    assert contents[0] == contents[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == [ours.name, theirs.name]


def test_a_packed_file_holds_neither_name_nor_time(tmp_path: Path) -> None:
    write_volume(Volume(np.zeros((2, 3, 4), np.int16), Geometry((2, 3, 4))), tmp_path / "name.nii.gz")
    magic, method, flags, *time = (tmp_path / "name.nii.gz").read_bytes()[1:8]
    assert (magic, method, flags, *time) == (0x8B, 8, 0, 0, 0, 0, 0)


def test_a_long_scan_is_written_without_another_copy_of_it(tmp_path: Path) -> None:
    array = np.zeros((400, 256, 256), np.int16)
    tracemalloc.start()
    write_volume(Volume(array, Geometry(array.shape)), tmp_path / "long.nii.gz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < array.nbytes / 10


def test_an_axis_that_nifti_cannot_count_is_refused(tmp_path: Path) -> None:
    array = np.zeros((40_000, 1, 1), np.uint8)
    with pytest.raises(OutputError, match=r"choose \.nrrd"):
        write_volume(Volume(array, Geometry(array.shape)), tmp_path / "long.nii")
    assert not list(tmp_path.iterdir())
