"""``segment`` keeps within the memory that its guide states, however many slices a scan has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .test_segment import Case, case, save, scan  # noqa: F401

# What the guide says (docs/guide/command-line.md): bytes for each voxel of a scan of 16 bits, and besides with maps.
BYTES, WITH_MAPS = 10, 2
CLASSES = 3
SLICES = (20, 140)
SIDE = 224
# glibc gives memory back at once and keeps one heap: without, the same run differs from itself by 50 MB.
STEADY = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
MEASURE = """
import sys
from napari_cpclnet import cli
from napari_cpclnet.segmentation import feature_cache
feature_cache.CACHE_BYTES = 2**22  # full with the few slices as with the many
try:
    cli.main(sys.argv[1:])
except SystemExit as end:
    assert not end.code
with open("/proc/self/status") as file:
    print("peak", next(int(line.split()[1]) for line in file if line.startswith("VmHWM")))
"""


def peak(case: Case, slices: int, *more: str) -> int:  # noqa: F811
    """Bytes of memory at the most, of the whole command on a scan of so many slices."""
    query = save(case.folder / f"query_{slices}.nii.gz", scan(slices, (slices, SIDE, SIDE)))
    words = case.arguments("--overwrite", "--quick", *more, query=[query])
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *words],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, **STEADY},
    )
    assert done.returncode == 0, done.stderr
    return 1024 * int(done.stdout.rpartition("peak ")[2])


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="this system does not tell the highest memory"
)
@pytest.mark.parametrize(("more", "most"), [((), BYTES), (("--probabilities",), BYTES + WITH_MAPS + CLASSES)])
def test_memory_grows_by_no_more_than_is_stated(case: Case, more: tuple[str, ...], most: int) -> None:  # noqa: F811
    few, many = (peak(case, slices, *more) for slices in SLICES)
    voxels = (SLICES[1] - SLICES[0]) * SIDE * SIDE
    assert many - few <= most * voxels
    # not much less either, or the statement would be of no use
    assert many - few >= 2 * voxels
