"""``segment --format``: results in every format, on the voxels of the query."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import Result
from tests.imaging.dicom.dicom_series import write_scan
from typer.testing import CliRunner

from napari_cpclnet.cli.app import app
from napari_cpclnet.files import scratch
from napari_cpclnet.imaging import (
    Geometry,
    Segmentation,
    read_segmentation,
    read_volume,
    write_segmentation,
    write_volume,
)
from napari_cpclnet.imaging.dicom import list_series, referenced_series

GRID = Geometry((4, 40, 48), (5.0, 2.0, 2.0), (-30.0, 12.0, 7.0))


@pytest.mark.parametrize(
    ("output_format", "name"),
    [
        ("seg.nrrd", "ct_labels.seg.nrrd"),
        ("dcm", "ct_labels.dcm"),
        ("png", "ct_labels"),
        ("mha", "ct_labels.mha"),
        ("ome.zarr", "ct_labels.ome.zarr"),
    ],
)
def test_painted_slices_come_out_as_painted_in_every_format(
    tmp_path: Path,
    weights: Path,
    output_format: str,
    name: str,
) -> None:
    if output_format == "dcm":
        pytest.importorskip("highdicom")
    if output_format == "ome.zarr":
        pytest.importorskip("zarr")
    write_scan(tmp_path / "ct", GRID)
    labels = np.zeros(GRID.shape, np.uint8)
    labels[2, 12:24, 10:22] = 6
    # The mask is on finer voxels than the scan, as another program might save it.
    fine = Geometry((4, 80, 96), (5.0, 1.0, 1.0), (-30.0, 11.5, 6.5))
    finer = labels.repeat(2, axis=1).repeat(2, axis=2)
    mask = write_segmentation(Segmentation(finer, {6: "liver"}, fine, "m"), tmp_path / "mask.seg.nrrd")
    words = [
        "segment",
        "--support",
        tmp_path / "ct",
        mask,
        "--query",
        tmp_path / "ct",
        "--out",
        tmp_path / "out",
    ]
    words += ["--weights", weights, "--device", "cpu", "--format", output_format, "--probabilities"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    assert "(nearest neighbour)" in done.stderr
    written = tmp_path / "out" / name
    assert str(written) in done.stdout
    grey = {"seg.nrrd": "nrrd", "mha": "mha", "ome.zarr": "ome.zarr"}.get(output_format, "nii.gz")
    assert sorted(p.name for p in written.parent.iterdir()) == sorted([name, f"ct_probability_liver.{grey}"])
    found = read_segmentation(written, like=read_volume(tmp_path / "ct"))
    np.testing.assert_array_equal(found.labels[2], labels[2])
    if output_format in ("dcm", "seg.nrrd", "ome.zarr"):
        assert found.classes == {6: "liver"}
    if output_format == "dcm":
        assert referenced_series(written) == list_series(tmp_path / "ct")[0].id
    again = CliRunner().invoke(app, [str(word) for word in words])
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    over = CliRunner().invoke(app, [str(word) for word in (*words, "--overwrite", "--quick")])
    assert over.exit_code == 0, over.output
    assert not list(written.parent.glob(".*"))


def test_ome_zarr_that_is_large_goes_through_a_temporary_file_to_the_same_labels(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("zarr")
    write_scan(tmp_path / "ct", GRID)
    scan = read_volume(tmp_path / "ct")
    image = write_volume(scan, tmp_path / "ct.ome.zarr")
    labels = np.zeros(GRID.shape, np.uint8)
    labels[2, 12:24, 10:22] = 6
    mask = write_segmentation(
        Segmentation(labels, {6: "liver"}, scan.geometry, "m"), tmp_path / "mask.seg.nrrd"
    )
    write_volume(scan.replaced(array=scan.array[::-1].copy()), tmp_path / "other.ome.zarr")

    def segment(out: str) -> Result:
        words = ["--support", image, mask, "--query", tmp_path / "other.ome.zarr", "--out", tmp_path / out]
        words = ["segment", *words, "--weights", weights, "--device", "cpu"]
        return CliRunner().invoke(app, [str(word) for word in words])

    assert segment("loaded").exit_code == 0
    monkeypatch.setattr(scratch, "IN_MEMORY", 0)
    made = []
    opened = scratch._opened
    monkeypatch.setattr(scratch, "_opened", lambda *words: made.append(words) or opened(*words))
    assert segment("lazy").exit_code == 0
    assert {Path(what).name for _, what in made} == {"ct.ome.zarr", "mask.seg.nrrd", "other.ome.zarr"}
    found = [read_segmentation(tmp_path / out / "other_labels.nii.gz").labels for out in ("loaded", "lazy")]
    np.testing.assert_array_equal(*found)
    monkeypatch.setattr(scratch.shutil, "disk_usage", lambda _folder: SimpleNamespace(free=0))
    full = segment("full")
    assert full.exit_code == 2 and "in a temporary file" in full.stderr and "Traceback" not in full.stderr
