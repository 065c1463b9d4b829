"""Nothing of a patient's identity leaves a DICOM series but for a DICOM segmentation."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from tests.imaging.dicom.dicom_series import write_scan
from typer.testing import CliRunner

from napari_cpclnet.cli.app import app
from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.imaging import (
    Geometry,
    ScanRef,
    Segmentation,
    find_scans,
    read_volume,
    write_segmentation,
    write_volume,
)

GRID = Geometry((4, 5, 6), (3.0, 1.0, 2.0), (-30.0, 12.0, 7.0))
IDENTITY = {
    "PatientName": "Zaphod^Beeblebrox",
    "PatientID": "ZAPHOD-4711",
    "OtherPatientIDs": "ZAPHOD-0815",
    "PatientBirthDate": "19170203",
    "PatientAddress": "Zaphod Street 1",
    "AccessionNumber": "ZAPHOD99",
    "ReferringPhysicianName": "Zaphod^Physician",
    "InstitutionName": "Zaphod Hospital",
    "InstitutionAddress": "Zaphod Street 2",
    "InstitutionalDepartmentName": "Zaphod Radiology",
    "StationName": "ZAPHODCT1",
    "OperatorsName": "Zaphod^Operator",
    "PhysiciansOfRecord": "Zaphod^Record",
    "StudyDescription": "Zaphod study",
    "ProtocolName": "Zaphod protocol",
    "DeviceSerialNumber": "ZAPHOD42",
    "ClinicalTrialSubjectID": "ZAPHOD7",
    "AdmissionID": "ZAPHOD8",
    "RequestingService": "Zaphod service",
    "PatientComments": "Zaphod comments",
    "StudyID": "ZAPHOD1",
}
PLANTED = re.compile(rb"zaphod|beeblebrox|19170203|4711|0815", re.IGNORECASE)
FORMATS = (".nii.gz", ".nii", ".nrrd", ".mha", ".seg.nrrd", ".png")


def unpacked(path: Path) -> bytes:
    """What a file holds, and what its compressed parts hold."""
    content = path.read_bytes()
    found = [content]
    if content[:2] == b"\x1f\x8b":
        found.append(gzip.decompress(content))
    for start in (match.start() for match in re.finditer(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]", content)):
        try:
            found.append(zlib.decompressobj(47).decompress(content[start:]))
        except zlib.error:
            continue
    return b"".join(found)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    write_scan(tmp_path / "ct", GRID, **IDENTITY)
    return tmp_path / "ct"


def test_the_search_finds_what_is_planted(scan: Path, tmp_path: Path) -> None:
    assert PLANTED.search(unpacked(next(scan.iterdir())))
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"Zaphod"))
    assert PLANTED.search(unpacked(tmp_path / "x.gz"))


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_file_but_a_dicom_segmentation_names_the_patient(scan: Path, tmp_path: Path, suffix: str) -> None:
    volume = read_volume(scan)
    labels = np.ones(GRID.shape, np.uint8)
    out = tmp_path / "out"
    out.mkdir()
    segmentation = Segmentation(labels, {1: "liver"}, volume.geometry, volume.name)
    written = [write_segmentation(segmentation, out / f"labels{suffix}", source=ScanRef(scan))]
    if suffix != ".seg.nrrd":
        shown = volume.replaced(array=volume.array - volume.array.min())
        written.append(write_volume(shown, out / f"scan{suffix}"))
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) >= len(written)
    for path in files:
        assert not PLANTED.search(path.name.encode())
        assert not PLANTED.search(unpacked(path))
    assert not PLANTED.search(repr(volume).encode())


def test_a_dicom_segmentation_names_the_patient_as_the_standard_demands(scan: Path, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    labels = np.ones(GRID.shape, np.uint8)
    segmentation = Segmentation(labels, {1: "liver"}, read_volume(scan).geometry, "s")
    found = pydicom.dcmread(write_segmentation(segmentation, tmp_path / "s.dcm", source=ScanRef(scan)))
    kept = ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyID")
    for keyword in kept:
        assert found[keyword].value == IDENTITY[keyword]
    # random identifiers may hold four digits of any number by chance
    values = [e for e in found.iterall() if e.VR not in ("SQ", "UI")]
    telling = {e.keyword for e in values if PLANTED.search(str(e.value).encode())}
    assert telling == set(kept)


@pytest.mark.parametrize(
    ("description", "left"),
    [
        ("Abdomen BEEBLEBROX", "Abdomen"),
        ("zaphod_liver", "liver"),
        ("pat 4711 19170203 axial", "pat axial"),
        ("4711", "ct"),
        ("pat4711b", "patb"),
        ("47110 zaphodic", "47110 zaphodic"),
        ("Beeblebrox, Zaphod", "ct"),
        ("Abdomen", "Abdomen"),
    ],
)
def test_a_scan_is_not_named_by_its_patient(tmp_path: Path, description: str, left: str) -> None:
    """Where nothing is left of the description, by its folder."""
    write_scan(tmp_path / "ct", GRID, **(IDENTITY | {"PatientID": "4711", "SeriesDescription": description}))
    assert read_volume(tmp_path / "ct").name == left
    assert [scan.name for scan in find_scans(tmp_path)] == [left]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_info_does_not_steer_the_terminal(tmp_path: Path) -> None:
    folder = tmp_path / "a\x1b[2Jb"
    code = "\x1b]0;title\x07\x1b[31mred"
    tags = {"SeriesDescription": code, "ConvolutionKernel": code, "ImageType": ["ORIGINAL", code]}
    write_scan(folder / "1", GRID, **tags)
    write_scan(folder / "2", GRID, series="1.2.826.0.1.4", **tags)
    (folder / "not\x1b[31m.nii").write_bytes(b"x")
    for path in (folder, folder / "1", folder / "not\x1b[31m.nii"):
        done = CliRunner().invoke(app, ["info", str(path)])
        assert all(c.isprintable() or c == "\n" for c in done.output)


@pytest.mark.parametrize("command", [["info", "{scan}"], ["convert", "{scan}", "{out}.nii.gz"]])
def test_the_command_line_does_not_say_who_the_patient_is(scan: Path, tmp_path: Path, command) -> None:
    words = [word.format(scan=scan, out=tmp_path / "o") for word in command]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    assert not PLANTED.search(done.output.encode())


@pytest.mark.parametrize("harm", [{"ImagePositionPatient": None}, {"SamplesPerPixel": 3}])
def test_errors_do_not_say_who_the_patient_is(tmp_path: Path, harm) -> None:
    write_scan(tmp_path / "ct", GRID, **(IDENTITY | harm))
    with pytest.raises(CpclnetError) as caught:
        read_volume(tmp_path / "ct")
    assert not PLANTED.search(str(caught.value).encode())


def test_a_project_does_not_say_who_the_patient_is(scan: Path, tmp_path: Path) -> None:
    from napari.components import ViewerModel

    from napari_cpclnet.gui.layers.scan_layers import volume_to_layer
    from napari_cpclnet.gui.project.snapshot import write_snapshot
    from napari_cpclnet.gui.project.tracker import ProjectTracker
    from napari_cpclnet.gui.session.session import Session

    viewer = ViewerModel()
    data, options, _ = volume_to_layer(read_volume(scan))
    session = Session(viewer)
    session.support_scan = viewer.add_image(data, **options)
    session.new_support_labels().data[1, 1:3, 1:3] = 1
    keeper = ProjectTracker(session)
    keeper.keep_in(tmp_path / "project", own=True)
    keeper.done(write_snapshot(keeper.snapshot()))
    files = [path for path in (tmp_path / "project").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".json", ".nrrd"}
    for path in files:
        assert not PLANTED.search(path.name.encode())
        assert not PLANTED.search(unpacked(path))
