"""Large series: slices are decoded when they are looked at, and listing thousands of them takes little memory."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from napari_cpclnet.files import scratch
from napari_cpclnet.imaging.dicom import list_series, read_series

from .dicom_world import UPRIGHT, base, enhanced, error_of, write_place

pytest.importorskip("dask.array")

MEGABYTE = 1 << 20


def write_many(folder: Path, n: int, size: int) -> None:
    """Slices that are alike but for their position, written from one template."""
    data = base()
    data.Rows = data.Columns = size
    data.PixelSpacing, data.ImageOrientationPatient = [1.0, 1.0], list(UPRIGHT)
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.ImagePositionPatient = ["0", "0", "0000.000"]
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = "1.2.3.1000"
    data.PixelData = np.zeros((size, size), np.int16).tobytes()
    folder.mkdir()
    data.save_as(folder / "template", enforce_file_format=True)
    whole = (folder / "template").read_bytes()
    (folder / "template").unlink()
    for number in range(n):
        one = whole.replace(b"0000.000", b"%04d.000" % number).replace(b"1.2.3.1000", b"1.2.3.%04d" % number)
        (folder / f"{number:05d}").write_bytes(one[:-2] + np.int16(number).tobytes())


OPEN_LAZILY = """
import resource, sys
from pathlib import Path
import dask.array
import numpy as np
from napari_cpclnet.files import scratch
from napari_cpclnet.imaging.dicom import list_series, read_series

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
(info,) = list_series(Path(sys.argv[1]))
volume = read_series(info, lazy=True)
seen = [int(np.asarray(volume.array[i])[-1, -1]) for i in (0, 1500, 2999)]
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(info.n_bytes, grown * (1 if sys.platform == "darwin" else 1024), *seen, *volume.array.shape)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no count of memory")
def test_several_thousand_slices_do_not_fill_the_memory(tmp_path: Path) -> None:
    write_many(tmp_path / "s", 3000, 128)
    ran = subprocess.run(
        [sys.executable, "-c", OPEN_LAZILY, str(tmp_path)], capture_output=True, text=True, check=True
    )
    n_bytes, grown, *rest = map(int, ran.stdout.split())
    assert rest == [-1024, 476, 1975, 3000, 128, 128]
    assert n_bytes == 3000 * 128 * 128 * 4
    # All that is kept is what says where a slice lies: some kilobytes each, however large the slices are.
    assert grown < 60 * MEGABYTE < n_bytes / 3


def test_reading_at_once_takes_the_volume_and_little_more(tmp_path: Path) -> None:
    write_many(tmp_path / "s", 60, 512)
    (info,) = list_series(tmp_path)
    tracemalloc.start()
    volume = read_series(info)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < volume.array.nbytes + 12 * MEGABYTE


def test_lazy_slices_are_those_of_the_whole_volume_however_it_is_repaired(tmp_path: Path) -> None:
    tilt = (1, 0, 0, 0, float(np.cos(0.3)), float(-np.sin(0.3)))
    for number, height in enumerate((0, 4, 8, 16, 20)):
        write_place(tmp_path / f"{number}", (0, 0, height), tilt)
    (info,) = list_series(tmp_path)
    whole, lazy = read_series(info), read_series(info, lazy=True)
    assert lazy.notes == whole.notes
    assert lazy.geometry == whole.geometry
    np.testing.assert_array_equal(np.asarray(lazy.array[3]), whole.array[3])
    np.testing.assert_array_equal(np.asarray(lazy.array), whole.array)


def test_a_large_series_lies_in_a_temporary_file_and_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_many(tmp_path / "s", 12, 64)
    (info,) = list_series(tmp_path)
    loaded = read_series(info)
    monkeypatch.setattr(scratch, "IN_MEMORY", info.n_bytes - 1)
    large = read_series(info)
    assert isinstance(large.array.base, np.memmap) and loaded.array.base is None
    np.testing.assert_array_equal(large.array, loaded.array)
    assert large.notes == loaded.notes


def test_one_frame_of_an_enhanced_image_is_read_without_the_others(tmp_path: Path) -> None:
    places = [(0, 0, 3.0 * z) for z in range(40)]
    data = enhanced(places, size=(256, 256))
    data.save_as(tmp_path / "e.dcm", enforce_file_format=True)
    (info,) = list_series(tmp_path)
    volume = read_series(info, lazy=True)
    tracemalloc.start()
    picture = np.asarray(volume.array[30])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * MEGABYTE < len(data.PixelData)
    np.testing.assert_array_equal(picture, read_series(info).array[30])
    np.testing.assert_allclose(error_of(read_series(info)), 0, atol=0.05)
