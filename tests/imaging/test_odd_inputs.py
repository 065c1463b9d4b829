"""Every file and series of the collections of odd scans does what the table beside this test says.

Columns of ``odd_inputs.csv``:

- ``path``: file or folder, below the folder of test data; a folder is one input and stands for all files in it.
- ``read``: how it is read: as ``scan``, as ``labels``, as labels on another scan (``labels on PATH``); or ``folder``:
  what is said of a folder of several inputs, which have rows of their own.
- ``series``: the DICOM series or the phase that is chosen, empty for none.
- ``result``: ``opens`` or ``refused``.
- ``shape`` (z, y, x), ``spacing`` in mm, ``kind`` (modality and unit), ``value`` (mean of the scan, to seven
  digits; of labels, how many voxels have one), if it opens. Compared by hand with what nibabel, pydicom and
  SimpleITK find, where they read the file as it stands; a repaired series has no other witness than its own tests.
- ``says``: the sentence, without the path, of a refusal; or part of a note if it opens, empty if there is none.
- ``test``: test that shows more of it than this one, if there is one.
"""

from __future__ import annotations

import ast
import csv
import re
from pathlib import Path

import numpy as np
import pytest

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.imaging import read_segmentation, read_volume

HERE = Path(__file__).parent
FOLDERS = ("odd_dicom", "odd_files", "pet_wholebody", "sarcoma_ct_mr_pet/dicom", "ct_hounsfield")


def table() -> list[dict[str, str]]:
    with (HERE / "odd_inputs.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def name_of(row: dict[str, str]) -> str:
    return " ".join(part for part in (row["path"], row["read"], row["series"]) if part not in ("", "scan"))


def read(row: dict[str, str], data: Path):
    path, series = data / row["path"], row["series"] or None
    if row["read"] in ("scan", "folder"):
        return read_volume(path, series=series)
    scan = row["read"].removeprefix("labels").removeprefix(" on ")
    return read_segmentation(path, like=read_volume(data / scan) if scan else None)


def numbers(text: str) -> list[float]:
    return [float(part) for part in text.split()]


@pytest.mark.parametrize("row", table(), ids=name_of)
def test_an_input_does_what_the_table_says(shared_data: Path, capfd, row: dict[str, str]) -> None:
    if row["result"] == "refused":
        with pytest.raises(CpclnetError) as caught:
            read(row, shared_data)
        message = str(caught.value)
        assert message.startswith(str(shared_data / row["path"]))
        assert message.endswith(f": {row['says']}")
        assert message.count("\n") == 0
    else:
        found = read(row, shared_data)
        assert list(found.geometry.shape) == numbers(row["shape"])
        assert found.geometry.spacing == pytest.approx(numbers(row["spacing"]), rel=1e-3)
        if row["read"] in ("scan", "folder"):
            assert f"{found.modality} {found.unit}".strip() == row["kind"]
            assert found.array.mean(dtype=np.float64) == pytest.approx(
                float(row["value"]), rel=1e-5, abs=1e-6
            )
        else:
            assert np.count_nonzero(found.labels) == int(row["value"])
        told = " ".join(found.notes)
        assert row["says"] in told
        assert bool(told) == bool(row["says"])  # nothing is repaired or assumed that the table does not know
    assert capfd.readouterr().err == ""


def test_no_file_is_missing_from_the_table(shared_data: Path) -> None:
    listed = {shared_data / row["path"] for row in table() if row["read"] != "folder"}
    files = [
        path for folder in FOLDERS for path in sorted((shared_data / folder).rglob("*")) if path.is_file()
    ]
    assert len(files) > 500
    assert [path for path in files if not listed & {path, *path.parents}] == []


def names_of_tests() -> set[str]:
    """Names of all tests, as ``imaging/test_nrrd.py::test_this``."""
    known: set[str] = set()
    for path in HERE.parent.rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        module = path.relative_to(HERE.parent).as_posix()
        known |= {f"{module}::{node.name}" for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return known


def test_the_page_on_odd_inputs_names_tests_that_exist() -> None:
    page = HERE.parents[1] / "docs" / "odd_inputs.md"
    named = re.findall(r"`((?:\w+/)+test_\w+\.py::\w+)`", page.read_text(encoding="utf-8"))
    assert named
    assert set(named) <= names_of_tests()


def test_the_table_names_what_exists(shared_data: Path) -> None:
    known = names_of_tests()
    for row in table():
        assert (shared_data / row["path"]).exists()
        assert row["result"] in ("opens", "refused")
        assert all(test in known for test in row["test"].split())
    assert len({name_of(row) for row in table()}) == len(table())
