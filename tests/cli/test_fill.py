from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_cpclnet.cli.app import app
from napari_cpclnet.imaging import (
    Geometry,
    Segmentation,
    Volume,
    read_segmentation,
    write_segmentation,
    write_volume,
)


@pytest.fixture
def painted(tmp_path):
    rng = np.random.default_rng(0)
    z, y, x = np.mgrid[:14, :40, :44]
    organ = ((z - 7) / 6) ** 2 + ((y - 20) / 12) ** 2 + ((x - 22) / 12) ** 2 < 1
    grid = Geometry(organ.shape, (4.0, 2.0, 2.0))
    write_volume(
        Volume((90 * organ + rng.normal(0, 10, organ.shape)).astype(np.float32), grid),
        tmp_path / "scan.nii.gz",
    )
    labels = np.zeros(organ.shape, np.uint8)
    labels[[2, 7, 12]] = 4 * organ[[2, 7, 12]]
    write_segmentation(Segmentation(labels, {4: "organ"}, grid, "mask"), tmp_path / "mask.nii.gz")
    return tmp_path, organ


def run(*words):
    return CliRunner().invoke(app, ["fill", *map(str, words)])


def test_fill_writes_the_whole_scan_and_says_its_size(painted) -> None:
    folder, organ = painted
    result = run(folder / "scan.nii.gz", folder / "mask.nii.gz", "--out", folder / "filled.nii.gz")
    assert result.exit_code == 0, result.output
    assert "ml" in result.output
    found = read_segmentation(folder / "filled.nii.gz").labels
    assert set(np.unique(found)) == {0, 4}
    assert np.mean((found == 4) == organ) > 0.98
    assert np.array_equal(found[7] == 4, organ[7])


def test_fill_replaces_nothing_it_was_not_told_to_and_never_what_it_reads(painted) -> None:
    folder, _ = painted
    scan, mask, out = (folder / name for name in ("scan.nii.gz", "mask.nii.gz", "filled.nii.gz"))
    out.write_bytes(b"something")
    assert run(scan, mask, "--out", out).exit_code == 2
    assert out.read_bytes() == b"something"
    before = mask.read_bytes()
    assert run(scan, mask, "--out", mask, "--overwrite").exit_code == 2
    assert mask.read_bytes() == before
    assert run(scan, mask, "--out", out, "--overwrite", "--shapes-only").exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--slices", "3"], "painted are 2, 7, 12"),
        (["--slices", "40"], "no axial slice 40"),
        (["--classes", "9"], "painted"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(painted, words, said) -> None:
    folder, _ = painted
    result = run(folder / "scan.nii.gz", folder / "mask.nii.gz", "--out", folder / "x.nii.gz", *words)
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


def test_scribbles_are_filled_to_the_edges_and_their_background_is_no_class(painted) -> None:
    folder, organ = painted
    mask = read_segmentation(folder / "mask.nii.gz")
    labels = mask.labels.copy()
    labels[7] = 0
    labels[7, 18:22, 18:26] = 4
    labels[7, 2:5, 5:40] = labels[7, 36:39, 5:40] = 255
    write_segmentation(mask.replaced(labels=labels), folder / "scribbles.nii.gz")
    out = folder / "filled.nii.gz"
    words = (folder / "scan.nii.gz", folder / "scribbles.nii.gz", "--out", out, "--overwrite")
    result = run(*words, "--slices", "2,12", "--partial", "7")
    assert result.exit_code == 0, result.output
    found = read_segmentation(out).labels
    assert set(np.unique(found)) == {0, 4}
    assert np.mean((found[7] == 4) == organ[7]) > 0.97
    result = run(*words, "--partial", "x")
    assert result.exit_code == 2
    assert "--partial 'x'" in " ".join(result.output.split())
