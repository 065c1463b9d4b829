"""Fingerprints by which a scan is known again, wherever it lies and whatever it is called."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging import dicom
from napari_cpclnet.imaging.formats.raw_image import volume_suffix
from napari_cpclnet.imaging.reading import pictures_in

# Headers whose voxels lie in a file of the same name beside them.
_HEADERS = (".hdr", ".nhdr", ".mhd")
_VOXELS = (".img", ".img.gz", ".raw", ".raw.gz", ".zraw")


@dataclass(frozen=True)
class Fingerprint:
    """SHA-256 of a scan's content, and its size in bytes.

    Of one file it is that of the file; of several that of their sorted hashes, so that names do not count.
    """

    sha256: str
    size: int


def fingerprint(path: Path, series: str | None = None) -> Fingerprint:
    """Fingerprint of a scan file, or of a series or the pictures of a folder; looks at every byte.

    Raises
    ------
    ImageError
        If there is no such scan, or it cannot be read.
    """
    try:
        hashes = [_hash_of(file) for file in scan_files(path, series)]
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error}).") from error
    size = sum(size for _, size in hashes)
    if len(hashes) == 1:
        return Fingerprint(hashes[0][0], size)
    lines = "".join(f"{digest}\n" for digest in sorted(digest for digest, _ in hashes))
    return Fingerprint(hashlib.sha256(lines.encode()).hexdigest(), size)


def scan_files(path: Path, series: str | None = None) -> list[Path]:
    """Files that a scan is made of.

    Raises
    ------
    ImageError
        If there are none.
    """
    if path.is_file():
        return [path, *_voxels_beside(path)]
    if not path.is_dir():
        raise ImageError(f"{path}: does not exist.")
    found = dicom.survey(path)
    all_series = (*found.series, *found.localisers)
    if series is not None:
        wanted = [one for one in all_series if series in (one.id, one.id.partition("#")[0])]
    else:
        wanted = list(found.series)
    files = [file for one in wanted for file in one.files]
    if not files and series is None:
        files = pictures_in(path)
    if not files:
        raise ImageError(f"{path}: holds no such scan any more.")
    return list(dict.fromkeys(files))


def _voxels_beside(path: Path) -> list[Path]:
    suffix = volume_suffix(path)
    if suffix not in _HEADERS:
        return []
    stem = path.name[: -len(suffix)]
    return [file for one in _VOXELS if (file := path.with_name(stem + one)).is_file()]


def _hash_of(path: Path) -> tuple[str, int]:
    state = path.stat()
    if not state.st_size:  # an empty file, or one of the system's, which may have no end
        return hashlib.sha256(b"").hexdigest(), 0
    return _hash_kept(path, state.st_mtime_ns, state.st_size), state.st_size


@lru_cache(maxsize=20_000)
def _hash_kept(path: Path, _modified: int, _size: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
