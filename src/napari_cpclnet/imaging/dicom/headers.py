"""DICOM headers: what a file is, and its values, whatever state they are in."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence as MultiItems
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.dicom.deflated import check_deflated

NO_SCANS = ("SEG", "RTDOSE", "RTSTRUCT", "RTPLAN", "SR", "PR", "KO")


def read_header(path: Path, keywords: Sequence[str | int] | None = None) -> FileDataset | None:
    """Header of a DICOM file without its pixels, or None if the file is no DICOM.

    Parameters
    ----------
    path
        The file.
    keywords
        Tags to keep, private ones by number; the headers of a series of thousands of slices would else fill the memory.

    Raises
    ------
    ImageError
        If it cannot be opened, or unpacks to too much.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd values are the scanner's business
            tags: Any = None if keywords is None else list(keywords)
            header = read_dataset(path, stop_before_pixels=True, specific_tags=tags)
            header.get("Rows")
            return header
    except InvalidDicomError:
        return None
    except ImageError:
        raise
    except OSError as error:
        if error.errno is None:  # pydicom's own, of a file that ends too early
            return None
        raise ImageError(f"{path}: cannot be opened ({error.strerror}).") from error
    except Exception:  # noqa: BLE001  a damaged header can fail anywhere inside pydicom
        return None


def is_dicom(path: Path) -> bool:
    """Whether the file has the DICOM preamble, or begins like a data set of old systems that write none."""
    try:
        with path.open("rb") as stream:
            start = stream.read(132)
    except OSError:
        return False
    return start[128:] == b"DICM" or _is_bare(start)


def read_dataset(path: Path, **options: Any) -> FileDataset:
    """As pydicom's ``dcmread``, also for a file without preamble, whose encoding shows in its first tag."""
    bare = has_no_preamble(path)
    check_deflated(path)
    dataset = dcmread(path, force=bare, **options)
    if bare and "TransferSyntaxUID" not in dataset.file_meta:
        implicit, _ = dataset.original_encoding
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    return dataset


def has_no_preamble(path: Path) -> bool:
    """Whether a file begins with its data set; OSError if it cannot be opened."""
    with path.open("rb") as stream:
        return _is_bare(stream.read(132))


def _is_bare(start: bytes) -> bool:
    """Whether a file begins with one of the first tags of a little-endian data set: group 8, or the group's length."""
    known = (0x0000, 0x0001, 0x0005, 0x0008, 0x0012, 0x0013, 0x0014, 0x0016, 0x0018)
    if len(start) < 132 or start[128:132] == b"DICM" or start[:2] != b"\x08\x00":
        return False
    named = start[4:6].isalpha() and start[4:6].isupper()
    length = int.from_bytes(start[6:8] if named else start[4:8], "little")
    return int.from_bytes(start[2:4], "little") in known and length <= 1024


def is_image(header: Any) -> bool:
    """Whether a DICOM object is a scan: it has pixels, and is no segmentation or dose."""
    return count(header, "Rows") > 0 and text(header, "Modality") not in NO_SCANS


def plain(header: FileDataset) -> dict[str | int, Any]:
    """Values of a header by keyword (private ones by number), and its TransferSyntaxUID; not those that are damaged.

    Looking up a tag in a dataset takes longer than reading it, which counts where there are thousands of files.
    """
    values: dict[str | int, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for place in (header, getattr(header, "file_meta", Dataset())):
            for tag in list(place.keys()):
                try:
                    values[keyword_for_tag(tag) or int(tag)] = place[tag].value
                except Exception:  # noqa: BLE001  values are only decoded now, and damage can fail anywhere
                    continue
    return values


def nested(dataset: Dataset, depth: int = 2) -> dict[str | int, Any]:
    """Values of a dataset as of `plain`, those of its sequences too, down to a depth: for what is looked up often."""
    values: dict[str | int, Any] = {}
    for tag in list(dataset.keys()):
        try:
            value = dataset[tag].value
            if depth and isinstance(value, MultiItems):
                value = [nested(item, depth - 1) for item in value]
            values[keyword_for_tag(tag) or int(tag)] = value
        except Exception:  # noqa: BLE001  as above
            continue
    return values


def value_of(dataset: Any, keyword: str | int) -> Any:
    """Value of a tag, or None if it is missing or damaged."""
    if isinstance(dataset, dict):
        return dataset.get(keyword)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return dataset.get(keyword)
    except Exception:  # noqa: BLE001  values are only decoded now, and damage can fail anywhere inside pydicom
        return None


def clean(value: str) -> str:
    """Text without what cannot be shown in a line, such as the codes by which a terminal is steered."""
    return "".join(c if c.isprintable() else " " for c in value).strip()


def text(header: Any, keyword: str) -> str:
    """Value of a tag as text that can be shown, empty if it is missing or damaged."""
    value = value_of(header, keyword)
    return "" if value is None else clean(str(value))


def code(header: Any, keyword: str) -> str:
    """Value of a tag that holds a code, as Modality; empty if it is none: a damaged header may hold anything there."""
    found = text(header, keyword)
    return found if re.fullmatch(r"[A-Z0-9_ ]{1,16}", found) else ""


def texts(header: Any, keyword: str) -> tuple[str, ...]:
    """Values of a tag of several texts; none if it is missing or damaged."""
    value = value_of(header, keyword)
    if value is None or value == "":
        return ()
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return (clean(str(value)),)
    return tuple(clean(str(one)) for one in value)


def numbers(header: Any, keyword: str, count: int) -> NDArray[np.float64] | None:
    """Value of a tag as ``count`` finite numbers, or None."""
    value = value_of(header, keyword)
    if (
        value is None
        or isinstance(value, str | bytes)
        or not hasattr(value, "__len__")
        or len(value) != count
    ):
        return None
    found = [_finite(one) for one in value]
    return None if any(one is None for one in found) else np.array(found, dtype=np.float64)


def number(header: Any, keyword: str) -> float | None:
    """Value of a tag as one positive number, or None."""
    value = real(header, keyword)
    return value if value is not None and value > 0 else None


def real(header: Any, keyword: str) -> float | None:
    """Value of a tag as one finite number, or None."""
    return _finite(value_of(header, keyword))


def count(header: Any, keyword: str) -> int:
    """Value of a tag as a number of things; 0 if it is missing, damaged or negative."""
    value = real(header, keyword)
    return int(value) if value is not None and value > 0 else 0


def sequence(header: Any, keyword: str) -> list[Any]:
    """Items of a sequence, datasets or what `nested` made of them; none if it is missing or damaged."""
    value = value_of(header, keyword)
    if value is None or isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        return []
    return [item for item in value if isinstance(item, Dataset | dict)]


def _finite(value: Any) -> float | None:
    if not hasattr(value, "__float__") and not isinstance(value, str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):  # letters where a number should be; an integer of hundreds of digits
        return None
    return found if math.isfinite(found) else None
