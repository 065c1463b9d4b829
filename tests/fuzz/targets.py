"""What is fuzzed: each target takes any bytes as a file, and may answer with a result or with one sentence.

Anything else - another exception, a sentence of two lines, a hang, memory beyond what the bytes can hold - is a
finding. The first byte chooses among the forms a target knows (packed or not, suffix), so that a fuzzer reaches
all of them.
"""

from __future__ import annotations

import gzip
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.imaging import Geometry, Terminology, Volume, find_scans, read_segmentation, read_volume
from napari_cpclnet.imaging.dicom import list_series, unit_and_notes

from .tags import changed

LONGEST_SECONDS = 10.0
GRID = Geometry((3, 8, 9), (3.0, 2.0, 2.0))


def workplace() -> Path:
    """Folder of the files that are tried; in memory where there is such a place."""
    memory = Path("/dev/shm")
    base = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix="fuzz_", dir=base))


class Targets:
    """The targets, which share a folder.

    Parameters
    ----------
    folder
        Empty folder for the files that are tried.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._series: list[bytes] = []
        self._seeds: dict[str, bytes] = {}
        # For headers that keep their voxels in a file of their own.
        (folder / "data.raw").write_bytes(bytes(range(240)) * 2)
        for name in ("data1.raw", "data2.raw"):
            (folder / name).write_bytes(bytes(range(120)))
        self.by_name: dict[str, Callable[[bytes], None]] = {
            "nifti": self.nifti,
            "nrrd": self.nrrd,
            "metaimage": self.metaimage,
            "dicom": self.dicom,
            "dicom_seg": self.dicom_seg,
            "rtstruct": self.rtstruct,
            "dicom_tags": self.dicom_tags,
            "dicom_seg_tags": lambda data: self.dicom_seg(changed(self._whole("dicom_seg"), data)),
            "rtstruct_tags": lambda data: self.rtstruct(changed(self._whole("rtstruct"), data)),
            "picture": self.picture,
            "terminology": self.terminology,
            "cases": self.cases,
            "settings": self.settings,
            "project": self.project,
        }

    def nifti(self, data: bytes) -> None:
        form = data[:1] or b"\0"
        if form[0] % 4 == 1:
            path = self._file("scan.nii.gz", gzip.compress(data[1:], 1))
        elif form[0] % 4 == 2:
            path = self._file("scan.hdr", data[1:])
        else:
            path = self._file(("scan.nii.gz", "", "", "scan.nii")[form[0] % 4], data[1:])
        self._read_both(path)

    def nrrd(self, data: bytes) -> None:
        names = ("scan.nrrd", "scan.nhdr", "scan.seg.nrrd")
        self._read_both(self._file(names[(data[:1] or b"\0")[0] % 3], data[1:]))

    def metaimage(self, data: bytes) -> None:
        self._read_both(self._file(("scan.mha", "scan.mhd")[(data[:1] or b"\0")[0] % 2], data[1:]))

    def picture(self, data: bytes) -> None:
        suffix = ("png", "tif", "jpg", "bmp")[(data[:1] or b"\0")[0] % 4]
        self._read_both(self._file(f"scan.{suffix}", data[1:]))

    def dicom(self, data: bytes) -> None:
        folder = self.folder / "series"
        folder.mkdir(exist_ok=True)
        path = folder / "slice.dcm"
        path.write_bytes(data)
        one_sentence(lambda: _check(read_volume(path)))
        one_sentence(lambda: [_check(read_volume(folder, series=one.id)) for one in list_series(folder)])

    def dicom_tags(self, data: bytes) -> None:
        """A series, in some of whose slices some elements are changed; the first byte says in which."""
        folder = self.folder / "tags"
        folder.mkdir(exist_ok=True)
        which = data[0] if data else 0
        for number, whole in enumerate(self._slices()):
            touched = which >> number & 1
            (folder / f"{number}.dcm").write_bytes(changed(whole, data[1:]) if touched else whole)
        one_sentence(lambda: _check(read_volume(folder)))
        one_sentence(lambda: [_check(read_volume(folder, series=one.id)) for one in list_series(folder)])
        one_sentence(lambda: [unit_and_notes(one) for one in list_series(folder) if not one.problem])
        one_sentence(lambda: find_scans(folder))

    def _slices(self) -> list[bytes]:
        if not self._series:
            from tests.imaging.dicom.dicom_series import write_scan

            with tempfile.TemporaryDirectory() as name:
                write_scan(Path(name), Geometry((6, 8, 9), (3.0, 2.0, 2.0)))
                self._series = [path.read_bytes() for path in sorted(Path(name).iterdir())]
        return self._series

    def _whole(self, name: str) -> bytes:
        """First seed of another target."""
        if name not in self._seeds:
            from .seeds import seeds

            self._seeds[name] = seeds(name)[0]
        return self._seeds[name]

    def dicom_seg(self, data: bytes) -> None:
        path = self._file("labels.dcm", data)
        one_sentence(lambda: read_segmentation(path))
        one_sentence(lambda: read_segmentation(path, like=GRID))

    def rtstruct(self, data: bytes) -> None:
        path = self._file("outlines.dcm", data)
        one_sentence(lambda: read_segmentation(path, like=GRID))

    def terminology(self, data: bytes) -> None:
        path = self._file("terms.yaml", data)
        one_sentence(lambda: Terminology(path)["liver"])

    def cases(self, data: bytes) -> None:
        from napari_cpclnet.imaging.cases import read_cases

        path = self._file(("cases.csv", "cases.yaml")[(data[:1] or b"\0")[0] % 2], data[1:])
        one_sentence(lambda: read_cases(path))

    def settings(self, data: bytes) -> None:
        from napari_cpclnet.training.settings_file import read_settings

        path = self._file("settings.yaml", data)
        one_sentence(lambda: read_settings(path), lines=None)

    def project(self, data: bytes) -> None:
        from napari_cpclnet.project.folder import read_project

        self._file("project.json", data)
        one_sentence(lambda: read_project(self.folder))

    def _file(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def _read_both(self, path: Path) -> None:
        one_sentence(lambda: _check(read_volume(path)))
        one_sentence(lambda: _check(read_volume(path, series="1")))
        one_sentence(lambda: read_segmentation(path, like=GRID))


def one_sentence(action: Callable[[], object], lines: int | None = 1) -> None:
    """Run an action, and allow it to fail with one sentence of our own."""
    started = time.monotonic()
    try:
        action()
    except CpclnetError as error:
        message = str(error)
        assert message.strip()
        assert lines is None or message.count("\n") < lines, message
    assert time.monotonic() - started < LONGEST_SECONDS


def _check(volume: Volume) -> None:
    """What every scan must be, whatever file it came from."""
    assert volume.array.shape == volume.geometry.shape
    assert volume.array.ndim == 3 and volume.array.size > 0
    if volume.array.dtype.kind == "f":
        assert np.all(np.isfinite(volume.array))
    with suppress(np.linalg.LinAlgError):
        assert np.all(np.isfinite(volume.geometry.affine))
