"""A long scan that lies in files becomes a volume without a copy of it in the memory of the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("dask.array")
pytest.importorskip("zarr")

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
        write_volume(Volume(source, Geometry(source.shape), "CT", "HU"), path)
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
source, path = lazy((600, 512, 512), 4), folder / "long.ome.zarr"
if how == "write":
    make(source, path)
    raise SystemExit
chain(make(lazy((8, 128, 128), 2), folder / "short.ome.zarr"))  # what is imported on the way is no copy of a scan
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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what of the memory is in no file")
@pytest.mark.parametrize("how", ["dask", "zarr"])
def test_a_long_scan_is_read_and_looked_at_in_a_part_of_its_size(tmp_path: Path, how: str) -> None:
    if how == "dask":
        pytest.importorskip("napari")
    for step in ("write", "zarr") if how == "zarr" else ("dask",):
        ran = subprocess.run(
            [sys.executable, "-c", MEASURE, step, str(tmp_path)], capture_output=True, text=True, check=True
        )
    seen, grown, size = map(int, ran.stdout.split())
    assert seen == 595
    assert grown < size / 3, f"{grown >> 20} MB of a scan of {size >> 20} MB"
