"""Tables of cases: what is read, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_cpclnet.errors import GeometryError, SettingsError
from napari_cpclnet.imaging.cases import check_labels, read_cases

from .doubles import SHAPE, Table, make_labels, save

HEADER = "patient,modality,image,label,classes\n"


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path).add("ann").add("bob", "MR", seed=1)


def test_a_table_gives_cases_with_paths_relative_to_it(table: Table) -> None:
    ann, bob = read_cases(table.write())
    assert (ann.patient, ann.modality, ann.line, ann.side) == ("ann", "CT", 2, "both")
    assert ann.image == table.folder / "scans/ann_CT.nii.gz"
    assert ann.classes == {6: "liver", 1: "spleen"}
    assert bob.value_of("spleen") == 4
    assert bob.read_image().modality == "MR"
    np.testing.assert_array_equal(ann.read_label().labels, make_labels(0))


def test_a_yaml_table_is_the_same_table(table: Table) -> None:
    path = table.folder / "cases.yaml"
    path.write_text(
        """
- patient: ann
  modality: CT
  image: scans/ann_CT.nii.gz
  label: scans/ann_CT_label.nii.gz
  classes: {6: liver, 1: spleen}
- {patient: bob, modality: MRI, image: scans/bob_MR.nii.gz, label: scans/bob_MR_label.nii.gz, classes: 1=liver;4=spleen}
"""
    )
    read = read_cases(path)
    assert [c.line for c in read] == [2, 7]
    assert [(c.image, c.label, c.modality, c.classes) for c in read] == [
        (c.image, c.label, c.modality, c.classes) for c in table.cases()
    ]


def test_spreadsheet_habits_are_understood(table: Table) -> None:
    path = table.folder / "cases.csv"
    row = ' ann , ct , scans/ann_CT.nii.gz , scans/ann_CT_label.nii.gz , "6 = liver; 1=spleen;"'
    path.write_bytes(("\ufeff" + HEADER.replace("\n", "\r\n") + row + "\r\n\r\n,,,,\r\n").encode())
    (case,) = read_cases(path)
    assert (case.patient, case.modality, case.classes) == ("ann", "CT", {6: "liver", 1: "spleen"})


GOOD = "ann,CT,scans/ann_CT.nii.gz,scans/ann_CT_label.nii.gz,6=liver"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("patient,modality,image,mask,classes\n" + GOOD, ["line 1", "unknown column 'mask'"]),
        ("patient,modality,image,classes\nann,CT,a,6=liver", ["line 1", "'label' is missing"]),
        ("patient,patient,modality,image,label,classes\n", ["line 1", "twice"]),
        (HEADER + GOOD + "\n\n" + GOOD.replace("_CT.", "_XX."), ["line 4", "ann_XX.nii.gz", "does not exist"]),
        (HEADER + GOOD.replace("_label", "_truth"), ["line 2", "label", "does not exist"]),
        (HEADER + GOOD.replace("CT,", "XR,", 1), ["line 2", "'XR'"]),
        (HEADER + GOOD.replace("6=", "liver="), ["line 2", "6=liver;1=spleen"]),
        (HEADER + GOOD.replace("6=", "0="), ["line 2", "0=liver"]),
        (HEADER + GOOD.replace("6=liver", "6="), ["line 2", "classes"]),
        (HEADER + GOOD.replace("6=liver", ""), ["line 2", "classes is empty"]),
        (HEADER + GOOD + ";6=spleen", ["line 2", "twice"]),
        (HEADER + GOOD + ";5=liver", ["line 2", "twice"]),
        (HEADER + GOOD + ",more", ["line 2", "6 cells"]),
        (HEADER + GOOD.replace("ann,", ",", 1), ["line 2", "patient is empty"]),
        (HEADER + GOOD + "\n" + GOOD, ["line 3", "line 2 already"]),
        (HEADER + GOOD + "\n" + GOOD.replace("ann,", "eve,", 1), ["line 3", "as patient ann"]),
        (HEADER + GOOD.replace("_label", ""), ["line 2", "same file"]),
        (HEADER, ["empty"]),
        ("", ["line 1", "missing"]),
    ],
)  # fmt: skip
def test_a_bad_table_is_refused_with_its_line(table: Table, text: str, words: list[str]) -> None:
    path = table.folder / "bad.csv"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_cases(path)
    assert "bad.csv" in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- patient: ann\n  colour: red\n", ["line 1", "unknown column 'colour'"]),
        ('- patient: ann\n  "of\\ntwo lines": red\n', ["line 1", "unknown column 'of two lines'"]),
        ("patient: ann\n", ["line 1", "list of mappings"]),
        ("- ann\n", ["line 1", "no mapping"]),
        ("- patient: [\n", ["line", "no YAML"]),
        ("", ["empty"]),
    ],
)
def test_a_bad_yaml_table_is_refused_with_its_line(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_cases(path)
    for word in words:
        assert word in str(caught.value)


def test_one_patient_on_both_sides_is_refused_with_the_line(table: Table) -> None:
    table.add("ann", "MR", seed=2)
    sides = ("support", "query", "query")
    path = table.folder / "sides.csv"
    rows = [f"{row},{side}" for row, side in zip(table.rows, sides, strict=True)]
    path.write_text(HEADER.strip() + ",side\n" + "\n".join(rows))
    with pytest.raises(SettingsError, match=r"line 4: patient ann is on both sides.*line 2"):
        read_cases(path)
    path.write_text(HEADER.strip() + ",side\n" + "\n".join(rows[:2]))
    assert [c.side for c in read_cases(path)] == ["support", "query"]


def test_a_missing_or_foreign_file_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such cases table"):
        read_cases(tmp_path / "none.csv")
    (tmp_path / "cases.xlsx").write_bytes(b"PK")
    with pytest.raises(SettingsError, match=r"\.csv or \.yaml"):
        read_cases(tmp_path / "cases.xlsx")
    (tmp_path / "cases.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="cannot be read"):
        read_cases(tmp_path / "cases.csv")


def test_an_unknown_label_value_is_refused_with_the_line(table: Table) -> None:
    table.add("cid", classes="6=liver;9=spleen")
    with pytest.raises(SettingsError, match=r"Line 4 .*label value 9 \(spleen\) is unknown"):
        check_labels(table.cases())


def test_an_organ_may_be_missing_in_one_scan(table: Table) -> None:
    table.add("cid", spleen=False)
    check_labels(table.cases())


def test_labels_on_another_grid_are_refused_before_anything_runs(table: Table) -> None:
    save(np.ones(SHAPE, np.uint8), table.folder / "scans/bob_MR_label.nii.gz", (1.0, 2.0, 3.0))
    with pytest.raises(GeometryError, match="bob_MR_label"):
        check_labels(table.cases())


@pytest.mark.parametrize("mark", [";", "\t"])
def test_other_separators_of_spreadsheets_are_understood(table: Table, mark: str) -> None:
    path = table.folder / "cases.csv"
    header = HEADER.replace(",", mark)
    row = mark.join(["ann", "CT", "scans/ann_CT.nii.gz", "scans/ann_CT_label.nii.gz", '"6=liver;1=spleen"'])
    path.write_text(header + row + "\n")
    (case,) = read_cases(path)
    assert case.classes == {6: "liver", 1: "spleen"}
    path.write_text(header + row.replace('"', "") + "\n")
    if mark == ";":
        with pytest.raises(
            SettingsError, match=r"line 2: has 6 cells, the header 5; .* several classes in quotes"
        ):
            read_cases(path)


@pytest.mark.parametrize("cell", ["x" * 300, "a\0b", "x" * 5000, "loop"])
def test_a_cell_that_is_no_path_is_one_short_sentence(table: Table, cell: str) -> None:
    (table.folder / "loop").symlink_to(table.folder / "loop")
    for name, content in (
        ("cases.csv", HEADER + GOOD.replace("scans/ann_CT.nii.gz", cell)),
        (
            "cases.yaml",
            f"- {{patient: a, modality: CT, image: scans/ann_CT.nii.gz, label: {cell!r}, classes: 1=a}}",
        ),
    ):
        (table.folder / name).write_text(content.replace("\\x00", "\0"))
        with pytest.raises(SettingsError) as caught:
            read_cases(table.folder / name)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500


def test_values_out_of_bounds_are_one_short_sentence(table: Table) -> None:
    path = table.folder / "cases.csv"
    for row in (GOOD.replace("CT", "y" * 100_000, 1), GOOD.replace("6=liver", "z" * 200_000)):
        path.write_text(HEADER + row)
        with pytest.raises(SettingsError) as caught:
            read_cases(path)
        assert len(str(caught.value)) < 500


def test_a_table_whose_references_multiply_is_refused(table: Table) -> None:
    lines = ["- &a0 [x]", *(f"- &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10))]
    path = table.folder / "cases.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(SettingsError, match="references that make it too large"):
        read_cases(path)
