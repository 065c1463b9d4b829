"""Files are the same whatever language the desktop speaks: in German a number has a comma."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_cpclnet.imaging import Geometry, Segmentation, Volume, write_segmentation, write_volume

HERE = Path(__file__).parents[2]
NAMES = ("scan.nrrd", "scan.mha", "scan.nii.gz", "scan.nii")
MASKS = ("mask.seg.nrrd", "mask.nrrd", "mask.mha", "mask.nii.gz")
GRID = Geometry((6, 8, 10), (7.7, 0.878906, 0.878906), (100.5, 7.75, -12.25))
ARRAY = np.arange(480, dtype=np.int16).reshape(6, 8, 10)

# As Qt does when the first window opens.
CODE = """
import json, locale, sys
from pathlib import Path
import numpy as np
locale.setlocale(locale.LC_ALL, "")
assert locale.localeconv()["decimal_point"] == ","
from napari_cpclnet.imaging import read_segmentation, read_volume, write_segmentation, write_volume
folder, found = Path(sys.argv[1]), {}
for path in sorted(folder.iterdir()):
    scan = path.name.startswith("scan")
    image = read_volume(path) if scan else read_segmentation(path)
    (write_volume if scan else write_segmentation)(image, folder / f"again_{path.name}")
    found[path.name] = [image.geometry.affine.tolist(), list(image.notes)]
print(json.dumps(found))
"""


def in_german(*command: str, **options) -> subprocess.CompletedProcess[str]:
    if sys.platform != "linux":
        pytest.skip("the locale is made by Linux's localedef")
    script = HERE / ".ci" / "with-comma-locale"
    done = subprocess.run([script, *command], capture_output=True, text=True, check=False, **options)
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    return done


def test_a_decimal_comma_changes_no_file(tmp_path: Path) -> None:
    for name in NAMES:
        write_volume(Volume(ARRAY, GRID), tmp_path / name)
    for name in MASKS:
        write_segmentation(Segmentation((ARRAY > 300).astype(np.uint8), {1: "liver"}, GRID), tmp_path / name)
    environment = {**os.environ, "PYTHONPATH": str(HERE / "src")}
    done = in_german(sys.executable, "-c", CODE, str(tmp_path), env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert sorted(found) == sorted((*NAMES, *MASKS))
    for name, (affine, _) in found.items():
        np.testing.assert_allclose(affine, GRID.affine, rtol=1e-6)
        assert (tmp_path / f"again_{name}").read_bytes() == (tmp_path / name).read_bytes()
