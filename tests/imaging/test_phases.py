from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from napari_cpclnet.imaging import list_phases, read_volume


def test_phases_are_listed_with_the_ids_that_read_them(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 500, (3, 4, 5, 6)).astype(np.int16)
    path = tmp_path / "dynamic.nii.gz"
    sitk.WriteImage(sitk.JoinSeries([sitk.GetImageFromArray(volume) for volume in array]), str(path))
    listing = list_phases(path)
    assert listing is not None
    assert [one.part for one in listing.series] == ["phase 0", "phase 1", "phase 2"]
    for one, expected in zip(listing.series, array, strict=True):
        assert one.shape == (4, 5, 6) and one.n_slices == 4
        np.testing.assert_array_equal(read_volume(path, series=one.id).array, expected)


def test_one_scan_and_folders_have_no_phases(tmp_path: Path) -> None:
    path = tmp_path / "scan.nrrd"
    sitk.WriteImage(sitk.Image(4, 5, 6, sitk.sitkInt16), str(path))
    assert list_phases(path) is None
    assert list_phases(tmp_path) is None
