"""Small whole files of each kind, from which a fuzzer starts."""

from __future__ import annotations

import bz2
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
import tifffile
from PIL import Image
from tests.imaging.dicom.dicom_series import write_scan, write_structures

from napari_cpclnet.imaging import Segmentation, read_volume, write_segmentation

from .targets import GRID

# Larger ones make a fuzzer slow without showing it anything new.
LARGEST = 12_000
TERMS = b"""
sides:
  left: [7771000, SCT, Left]
entries:
  liver: {category: [123037004, SCT, Anatomical Structure], type: [10200004, SCT, Liver]}
"""
CSV = b"patient,modality,image,label,classes\np1,CT,a.nii.gz,a_label.nii.gz,1=liver\n"
CASES = b"- {patient: p1, modality: CT, image: a.nii.gz, label: l.nii.gz, classes: {1: liver}}\n"


def seeds(name: str) -> list[bytes]:
    """Seeds of a target, its own and those among the real test data."""
    with tempfile.TemporaryDirectory() as folder:
        found = list(globals()[f"_{name}"](Path(folder)))
    return [seed for seed in found if len(seed) <= LARGEST]


def _labels() -> np.ndarray:
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1, 2:6, 3:7], labels[2, 1:3, 1:3] = 1, 2
    return labels


def _nifti(folder: Path) -> Iterator[bytes]:
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    affine = np.diag([2.0, -2.0, 3.0, 1.0])
    scaled = nib.Nifti1Image(array.astype(">i2"), affine, nib.Nifti1Header(endianness=">"))
    scaled.header.set_slope_inter(0.5, -10)
    images = {
        "one.nii": nib.Nifti1Image(array, affine),
        "two.nii": nib.Nifti2Image(array.astype(np.float32), affine),
        "big.nii": scaled,
        "phases.nii": nib.Nifti1Image(np.stack([array, array], axis=3), affine),
        "pair.hdr": nib.Nifti1Pair(array, affine),
    }
    for name, image in images.items():
        path = folder / name
        nib.save(image, path)
        for form in (b"\1", b"\3") if name.endswith(".nii") else (b"\2",):
            yield form + path.read_bytes()


def _nrrd(folder: Path) -> Iterator[bytes]:
    for packed in (True, False):
        yield b"\0" + _itk(folder / "scan.nrrd", packed)
    head = "NRRD0005\ntype: uchar\ndimension: 4\nspace: left-posterior-superior\nsizes: 2 4 5 6\n"
    axes = "space directions: none (1,0,0) (0,2,0) (0,0,3)\nkinds: list domain domain domain\n"
    yield b"\0" + f"{head}{axes}encoding: raw\nspace origin: (1,2,3)\n\n".encode() + bytes(240)
    plain = "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 5 6\nendian: little\n"
    yield b"\1" + f"{plain}encoding: raw\ndata file: data.raw\n".encode()
    yield b"\1" + f"{plain}encoding: raw\nbyte skip: -1\ndata file: LIST\ndata.raw\n".encode()
    yield b"\0" + f"{plain}encoding: ascii\n\n".encode() + b"7 " * 120
    packed = f'{plain}spacings: 1 2 3\naxis mins: 0 nan 5\nunits: "um" "mm" ""\nline skip: 1\n'
    yield b"\0" + f"{packed}encoding: bzip2\n\nskipped\n".encode() + bz2.compress(bytes(240))
    placed = "space: RAS\nspace directions: (1,0,0) (0,2,0) (0,0,3)\nspace origin: (1,2,3)\n"
    units = 'space units: "um" "um" "um"\nmeasurement frame: (1,0,0) (0,1,0) (0,0,1)\n'
    yield b"\0" + f"{plain}{placed}{units}encoding: hex\n\n".encode() + b"0a" * 240
    yield b"\1" + f"{plain}{placed}encoding: raw\ndata file: data%d.raw 1 2 1\n".encode()
    # Lines like these have overwritten memory in other readers.
    yield b"\0" + f"{plain}kinds: {'A' * 2000}\nencoding: raw\n\n".encode() + bytes(240)
    yield b"\0" + f"{plain}encoding: ascii\n\n7 {'A' * 2000}".encode() + b" 7" * 120
    write_segmentation(Segmentation(_labels(), {1: "liver", 2: "spleen"}, GRID), folder / "labels.seg.nrrd")
    yield b"\2" + (folder / "labels.seg.nrrd").read_bytes()
    yield from _real("odd_files/pynrrd/*.nrrd", b"\0")


def _metaimage(folder: Path) -> Iterator[bytes]:
    for packed in (True, False):
        yield b"\0" + _itk(folder / "scan.mha", packed)
    text = "ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 4 5 6\nElementType = MET_SHORT\n"
    yield b"\1" + f"{text}ElementDataFile = data.raw\n".encode()
    yield b"\1" + f"{text}ElementDataFile = LIST\ndata.raw\n".encode()
    placed = (
        "TransformMatrix = 0 1 0 -1 0 0 0 0 1\nOffset = 1 2 3\nElementSpacing = 1 2 3\nDistanceUnits = um\n"
    )
    yield b"\1" + f"{placed}{text}HeaderSize = 4\nElementDataFile = data.raw\n".encode()
    yield b"\1" + f"{placed}{text}ElementDataFile = data%d.raw 1 2 1\n".encode()
    written = text.replace("BinaryData = True", "BinaryData = False")
    yield b"\0" + f"{placed}{written}ElementDataFile = LOCAL\n".encode() + b"7 " * 120
    scaled = "ElementToIntensityFunctionSlope = 0.5\nElementToIntensityFunctionOffset = -9\n"
    yield b"\0" + f"{scaled}{text}ElementDataFile = LOCAL\n".encode() + bytes(240)
    # Headers like these have overwritten memory in other readers, or kept them busy for ever.
    yield b"\0" + f"NDims = -1\n{text}ElementDataFile = LOCAL\n".encode() + bytes(240)
    wide = placed.replace("-1 0 0 0", "-1 0 1e308 0")
    yield b"\0" + f"{wide}{text}ElementDataFile = LOCAL\n".encode() + bytes(240)


def _itk(path: Path, packed: bool) -> bytes:
    image = sitk.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    sitk.WriteImage(image, os.fspath(path), packed)
    return path.read_bytes()


def _picture(folder: Path) -> Iterator[bytes]:
    grey = np.arange(120, dtype=np.uint8).reshape(10, 12)
    palette = Image.fromarray(grey % 4).convert("P")
    for form, kind, image in (
        (b"\0", "PNG", Image.fromarray(grey)),
        (b"\0", "PNG", Image.fromarray(grey.astype(np.uint16) * 99)),
        (b"\0", "PNG", palette),
        (b"\2", "JPEG", Image.fromarray(grey)),
        (b"\3", "BMP", Image.fromarray(grey)),
    ):
        stream = io.BytesIO()
        image.save(stream, kind)
        yield form + stream.getvalue()
    for compression in (None, "zlib"):
        path = folder / "stack.tif"
        tifffile.imwrite(path, np.stack([grey, grey]), photometric="minisblack", compression=compression)
        yield b"\1" + path.read_bytes()


def _dicom(folder: Path) -> Iterator[bytes]:
    write_scan(folder / "scan", GRID)
    yield min((folder / "scan").iterdir()).read_bytes()
    for pattern in ("pydicom/*.dcm", "pydicom/dicomdirtests/*/*/*", "dicom2nifti/generic/anatomical/002*/*"):
        yield from list(_real(f"odd_dicom/{pattern}", b""))[:12]


def _dicom_seg(folder: Path) -> Iterator[bytes]:
    from napari_cpclnet.imaging import ScanRef

    write_scan(folder / "scan", GRID)
    grid = read_volume(folder / "scan").geometry
    labels = Segmentation(_labels(), {1: "liver", 2: "spleen"}, grid)
    write_segmentation(labels, folder / "labels.dcm", source=ScanRef(folder / "scan"))
    yield (folder / "labels.dcm").read_bytes()


def _rtstruct(folder: Path) -> Iterator[bytes]:
    square = np.array([(3.0, 4.0, 4.0), (3.0, 4.0, 12.0), (3.0, 12.0, 12.0), (3.0, 12.0, 4.0)])
    write_structures(folder / "outlines.dcm", {"liver": [square], "spleen": [square + (3.0, 0, 0)]})
    yield (folder / "outlines.dcm").read_bytes()
    yield from _real("sarcoma_ct_mr_pet/dicom/*/PET/mask/*.dcm", b"")


def _dicom_tags(folder: Path) -> Iterator[bytes]:
    del folder
    yield bytes(range(1, 40))
    yield b"\xff" + bytes(range(0, 250, 7))
    yield b"\5" + bytes(range(250, 0, -7))


_dicom_seg_tags = _rtstruct_tags = _dicom_tags


def _terminology(folder: Path) -> Iterator[bytes]:
    del folder
    from napari_cpclnet.imaging.terminology import BUNDLED

    yield BUNDLED.read_bytes()[: LARGEST // 2]
    yield TERMS


def _cases(folder: Path) -> Iterator[bytes]:
    del folder
    yield b"\0" + CSV
    yield b"\1" + CASES


def _settings(folder: Path) -> Iterator[bytes]:
    from napari_cpclnet.training.settings import TrainingSettings
    from napari_cpclnet.training.settings_file import write_settings

    write_settings(TrainingSettings(), folder / "settings.yaml")
    yield (folder / "settings.yaml").read_bytes()
    yield b"steps: 2000\n"


def _project(folder: Path) -> Iterator[bytes]:
    from napari_cpclnet.project.folder import write_project
    from napari_cpclnet.project.schema import Project

    write_project(folder, Project())
    yield (folder / "project.json").read_bytes()


def _real(pattern: str, form: bytes) -> Iterator[bytes]:
    default = Path(__file__).parents[2].parent / "shared" / "data"
    for path in sorted(Path(os.environ.get("CPCLNET_TEST_DATA", default)).glob(pattern)):
        if path.is_file() and path.stat().st_size <= LARGEST:
            yield form + path.read_bytes()
