"""Label maps as 3D Slicer's .seg.nrrd and as pictures: names, colours, codes and voxels come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from napari_cpclnet.errors import OutputError, SettingsError
from napari_cpclnet.imaging import (
    Geometry,
    Segmentation,
    Terminology,
    Volume,
    read_segmentation,
    read_volume,
    write_segmentation,
    write_volume,
)

from .itk import read_by_itk

GRID = Geometry((4, 5, 6), (3.0, 1.0, 2.0), (-30.0, 12.0, 7.0))


def painted(dtype=np.uint8) -> Segmentation:
    labels = np.zeros(GRID.shape, dtype)
    labels[1:3, 2:5, 3], labels[3, 0, 5] = 6, 2
    return Segmentation(
        labels, {2: "left kidney", 6: "Leber ü", 7: "spleen"}, GRID, "s", {6: (200, 30, 40), 2: (0, 255, 0)}
    )


def test_slicer_finds_names_colours_extents_and_codes(tmp_path: Path) -> None:
    path = write_segmentation(painted(), tmp_path / "organs.seg.nrrd")
    image = read_by_itk(path)
    fields = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    assert [fields[f"Segment{n}_Name"] for n in range(3)] == ["left kidney", "Leber ü", "spleen"]
    assert [fields[f"Segment{n}_LabelValue"] for n in range(3)] == ["2", "6", "7"]
    assert len({fields[f"Segment{n}_ID"] for n in range(3)}) == 3
    assert {fields[f"Segment{n}_Layer"] for n in range(3)} == {"0"}
    assert [float(v) for v in fields["Segment0_Color"].split()] == [0, 1, 0]
    # Extent is x, y, z, first and last; nothing painted is written as 0 -1.
    assert fields["Segment1_Extent"] == "3 3 2 4 1 2"
    assert fields["Segment2_Extent"] == "0 -1 0 -1 0 -1"
    entry = fields["Segment0_Tags"].removeprefix("TerminologyEntry:").removesuffix("|").split("~")
    assert len(entry) == 7
    assert entry[2:4] == ["SCT^64033007^Kidney", "SCT^7771000^Left"]
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), painted().labels)


def test_names_and_colours_come_back(tmp_path: Path) -> None:
    back = read_segmentation(write_segmentation(painted(), tmp_path / "organs.seg.nrrd"), like=GRID)
    assert back.classes == painted().classes
    assert back.colors == painted().colors
    np.testing.assert_array_equal(back.labels, painted().labels)
    assert back.notes == ()


def test_layers_of_slicer_are_laid_over_each_other(tmp_path: Path) -> None:
    # As 3D Slicer writes overlapping segments: a vector of two layers, each with a label 1.
    layers = np.zeros((*GRID.shape, 2), np.uint8)
    layers[1:4, 1:4, 1:4, 0] = 1
    layers[2, 2, 2, 1] = 1
    image = sitk.GetImageFromArray(layers, isVector=True)
    image.SetSpacing(GRID.spacing[::-1])
    image.SetOrigin(GRID.origin[::-1])
    for number, name in enumerate(("liver", "tumour")):
        for key, text in {"ID": name, "Name": name, "LabelValue": "1", "Layer": str(number)}.items():
            image.SetMetaData(f"Segment{number}_{key}", text)
    path = tmp_path / "two.seg.nrrd"
    sitk.WriteImage(image, str(path))
    back = read_segmentation(path, like=GRID)
    assert back.classes == {1: "liver", 2: "tumour"}
    assert back.labels[2, 2, 2] == 2
    assert np.count_nonzero(back.labels == 1) == 26
    assert any("overlap" in note for note in back.notes)
    # A field that is no text is left out.
    path.write_bytes(path.read_bytes().replace(b"\n\n", b"\nodd\xe9field:=1\n\n", 1))
    np.testing.assert_array_equal(read_segmentation(path).labels, back.labels)


@pytest.mark.parametrize(
    "fields",
    [
        ((), ()),  # 3D Slicer up to 4.10: each segment is a layer of its own
        (("LabelValue:=1",), ("LabelValue:=1",)),
        (("LabelValue:=1", "Layer:=0"), ("LabelValue:=1", "Layer:=1")),
    ],
)
@pytest.mark.parametrize("n_layers", [1, 2])
def test_segments_are_found_whether_or_not_value_and_layer_are_said(
    tmp_path: Path, fields, n_layers: int
) -> None:
    layers = np.zeros((6, 20, 20, n_layers), np.uint8)
    layers[1:5, 2:12, 2:12, 0] = 1
    layers[1:5, 12:18, 8:18, n_layers - 1] = 1
    spaces, kind = ("none ", "list ") if n_layers > 1 else ("", "")
    sizes = f"{n_layers} 20 20 6" if n_layers > 1 else "20 20 6"
    head = ["NRRD0004", "type: unsigned char", f"dimension: {len(sizes.split())}", f"sizes: {sizes}"]
    head += ["space: left-posterior-superior", f"space directions: {spaces}(1,0,0) (0,1,0) (0,0,3)"]
    head += ["space origin: (0,0,0)", f"kinds: {kind}domain domain domain", "encoding: raw"]
    for number, (name, more) in enumerate(zip(("liver", "tumour"), fields, strict=True)):
        if number < n_layers:
            head += [f"Segment{number}_{text}" for text in (f"ID:=Segment_{number}", f"Name:={name}", *more)]
    path = tmp_path / "old.seg.nrrd"
    path.write_bytes("\n".join([*head, "", ""]).encode() + layers.tobytes())
    found = read_segmentation(path)
    assert found.classes == dict(list({1: "liver", 2: "tumour"}.items())[:n_layers])
    voxels = 400 if n_layers > 1 else 640
    assert found.volume_ml() == {
        value: pytest.approx((voxels if value == 1 else 240) * 3 / 1000) for value in found.classes
    }
    assert found.notes == ()


@pytest.mark.parametrize(
    ("name", "meaning", "side"),
    [
        ("liver", "Liver", None),
        ("Right Kidney", "Kidney", "Right"),
        ("kidney_left", "Kidney", "Left"),
        ("oesophagus", "Esophagus", None),
        ("left and right lung", "Tissue", None),
        ("GTV", "Neoplasm", None),
        ("thing 7", "Tissue", None),
    ],
)
def test_class_names_have_codes(name: str, meaning: str, side: str | None) -> None:
    term = Terminology()[name]
    assert term.type.meaning == meaning
    assert (term.side.meaning if term.side else None) == side
    assert term.known == (meaning != "Tissue")


def test_bundled_codes_are_those_of_the_standard() -> None:
    """pydicom carries the context groups of DICOM PS3.16."""
    from pydicom.sr._concepts_dict import concepts

    from napari_cpclnet.imaging.terminology import _bundled

    standard: dict[str, str] = {}
    for entry in concepts["SCT"].values():
        for code, (meaning, _) in entry.items():
            standard[code] = f"{standard.get(code, '')} {meaning}".casefold()
    entries, sides, other = _bundled()
    codes = [term.type for term in entries.values()] + [term.category for term in entries.values()]
    for code in (*codes, *sides.values(), other.type, other.category):
        assert code.value in standard
        assert code.scheme == "SCT"
        assert code.meaning.casefold() in standard[code.value]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (": [", "no YAML"),
        ("structures: [{name: a}]", "no terminology"),
        ("structures: [{name: a, code: [1]}]", "no terminology"),
        ("- a", "no terminology"),
    ],
)
def test_a_wrong_terminology_is_one_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "codes.yaml"
    path.write_text(content)
    with pytest.raises(SettingsError, match=sentence):
        Terminology(path)
    with pytest.raises(SettingsError, match="cannot be opened"):
        Terminology(tmp_path / "none.yaml")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_slices_become_pictures_in_a_folder(tmp_path: Path, dtype) -> None:
    segmentation = painted(dtype)
    if dtype == np.uint16:
        segmentation.labels[0, 0, 0] = 300
    folder = write_segmentation(segmentation, tmp_path / "organs.png")
    assert folder == tmp_path / "organs"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["organs"]
    assert [p.name for p in sorted(folder.iterdir())] == [f"organs_00{n}.png" for n in range(4)]
    for number, path in enumerate(sorted(folder.iterdir())):
        with Image.open(path) as picture:
            np.testing.assert_array_equal(np.asarray(picture), segmentation.labels[number])
    np.testing.assert_array_equal(read_segmentation(folder, like=GRID).labels, segmentation.labels)


def test_pictures_replace_pictures_and_nothing_else(tmp_path: Path) -> None:
    write_segmentation(painted(), tmp_path / "organs.png")
    fewer = Segmentation(np.ones((2, 5, 6), np.uint8), {}, Geometry((2, 5, 6)), "s")
    folder = write_segmentation(fewer, tmp_path / "organs.png")
    assert len(list(folder.iterdir())) == 2
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other files"):
        write_segmentation(painted(), tmp_path / "organs.png")
    assert len(list(folder.iterdir())) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["organs"]


def test_one_slice_becomes_one_picture(tmp_path: Path) -> None:
    one = Segmentation(painted().labels[1:2], {}, Geometry((1, 5, 6)), "s")
    assert write_segmentation(one, tmp_path / "a.b.png") == tmp_path / "a.b.png"
    np.testing.assert_array_equal(read_segmentation(tmp_path / "a.b.png").labels, one.labels)


def test_grey_values_that_a_picture_cannot_hold_are_refused(tmp_path: Path) -> None:
    hounsfield = Volume(np.full(GRID.shape, -1000, np.int16), GRID)
    with pytest.raises(OutputError, match=r"not -1000 to -1000; choose \.nii\.gz"):
        write_volume(hounsfield, tmp_path / "ct.png")
    with pytest.raises(OutputError, match=r"cannot be written as \.dcm"):
        write_volume(hounsfield, tmp_path / "ct.dcm")
    assert list(tmp_path.iterdir()) == []
    grey = np.arange(120, dtype=np.float32).reshape(GRID.shape)
    folder = write_volume(Volume(grey, GRID), tmp_path / "mr.png")
    np.testing.assert_array_equal(read_volume(folder).array, grey)
