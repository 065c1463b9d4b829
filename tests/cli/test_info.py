"""``napari-cpclnet info`` on folders of DICOM series."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.imaging.dicom.dicom_world import write_place
from typer.testing import CliRunner

from napari_cpclnet.cli.app import app


def info(path: Path) -> str:
    result = CliRunner().invoke(app, ["info", str(path)])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def study(tmp_path: Path) -> Path:
    for number, height in enumerate((0, 5, 10, 20)):
        write_place(
            tmp_path / "a" / f"{number}", (0, 0, height), SeriesDescription="thick", SeriesDate="20240229"
        )
    for number in range(6):
        tags = {"series": "1.2.4", "Modality": "MR", "EchoTime": 1 + number % 2}
        write_place(tmp_path / "b" / "c" / f"{number}", (0, 0, number // 2), **tags)
    write_place(tmp_path / "d", (0, 0, 0), series="1.2.5", SamplesPerPixel=3, PhotometricInterpretation="RGB")
    return tmp_path


def test_a_folder_is_a_table_of_its_series_and_what_is_wrong_with_them(study: Path) -> None:
    lines = info(study).splitlines()
    assert lines[0].split() == ["DICOM", "series", "4"]
    assert " ".join(lines[1].split()) == "modality slices size (z, y, x) spacing (mm) unit date description"
    table = [" ".join(line.split()) for line in lines[2:6]]
    assert "1 MR 3 3 x 12 x 14 1 x 2 x 1.5 phase 1 of 2: echo time 1 ms" in table
    assert any(row.endswith("CT 4 5 x 12 x 14 5 x 2 x 1.5 HU 2024-02-29 thick") for row in table)
    below = "\n".join(lines[6:])
    assert "1.2.4#2 in b/c" in below
    assert "1 slice is missing" in below
    assert "Cannot be opened: holds colours" in below


def test_one_series_is_told_with_its_values(study: Path) -> None:
    told = info(study / "a")
    assert "size (z, y, x)      5 x 12 x 14 voxels" in told
    assert "note                1 slice is missing" in told


def test_the_index_of_a_disc_stands_for_its_folder(study: Path) -> None:
    (study / "DICOMDIR").write_bytes(b"index")
    assert info(study / "DICOMDIR") == info(study)


def test_nothing_of_the_patient_is_told(study: Path) -> None:
    assert "Secret" not in info(study)
    assert "4711" not in info(study)
