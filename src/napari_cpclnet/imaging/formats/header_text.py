"""Headers that are text (NRRD, MetaImage), read without trusting a word of them.

Such a header names the size of its voxels and the files they lie in. Sizes, numbers and names are checked here, before
anything is opened or memory is taken.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from napari_cpclnet.errors import ImageError

LONGEST_HEADER = 1 << 20
MOST_FILES = 100_000
MOST_DIMENSIONS = 8
# No length in mm, and no component of a direction, is larger.
LARGEST_NUMBER = 1e9
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?")
NOT_PLACED = "The file does not say how the scan lies in the patient; its axes are taken as they come."
NO_SPACING = "The file carries no voxel size; 1 mm is a placeholder."


def header_lines(path: Path, last: bytes | None = None) -> tuple[list[bytes], int]:
    """Lines of a text header without their ends, and the length of the header in bytes.

    Parameters
    ----------
    path
        The file.
    last
        What the last line of the header begins with; None if an empty line ends it, which is not returned.

    Raises
    ------
    ImageError
        If the header is longer than any true one.
    """
    found: list[bytes] = []
    with path.open("rb") as stream:
        while line := stream.readline(LONGEST_HEADER):
            if stream.tell() >= LONGEST_HEADER:
                raise damaged(path, "it does not end")
            line = line.rstrip(b"\r\n")
            if not line and last is None:
                return found, stream.tell()
            found.append(line)
            if last is not None and line.lstrip().startswith(last):
                return found, stream.tell()
        return found, stream.tell()


def damaged(path: Path, what: str) -> ImageError:
    """Sentence about a header that contradicts itself or says what cannot be."""
    return ImageError(f"{path}: has a damaged header ({shown(what)}).")


def shown(text: str) -> str:
    """Part of a header as it can stand in a sentence: short, and printable."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:100])


def integers(path: Path, name: str, text: str, *, lowest: int = 1) -> tuple[int, ...]:
    """One to eight whole numbers of a field, none smaller than ``lowest``."""
    parts = text.split()
    numbers = tuple(int(part) for part in parts if re.fullmatch(r"[+-]?\d{1,18}", part))
    if not 0 < len(numbers) <= MOST_DIMENSIONS or len(numbers) != len(parts) or min(numbers) < lowest:
        raise damaged(path, f"{name} {text[:60] or 'missing'}")
    return numbers


def integer(path: Path, name: str, text: str, *, lowest: int = 1) -> int:
    """The one whole number of a field, not smaller than ``lowest``."""
    numbers = integers(path, name, text, lowest=lowest)
    if len(numbers) > 1:
        raise damaged(path, f"{name} {text[:60]}")
    return numbers[0]


def reals(path: Path, name: str, parts: Sequence[str], count: int | None = None) -> tuple[float, ...]:
    """Finite numbers of a field in the range that lengths and directions have, ``count`` of them."""
    good = all(NUMBER.fullmatch(part) for part in parts)
    numbers = tuple(float(part) for part in parts) if good else ()
    wrong = len(numbers) != count if count is not None else not numbers
    if not good or wrong or any(abs(number) > LARGEST_NUMBER for number in numbers):
        raise damaged(path, f"{name} {' '.join(parts)[:60] or 'missing'}")
    return numbers


def _numbered_names(path: Path, source: str) -> list[str]:
    """File names that a pattern stands for, as ``slice%03d.raw 1 20 1``."""
    pattern, *bounds = source.split()
    match = re.fullmatch(r"([^%]*)%(0?\d?)d([^%]*)", pattern)
    if match is None or len(bounds) < 3 or not all(re.fullmatch(r"-?\d{1,9}", b) for b in bounds[:3]):
        raise damaged(path, f"data file {source[:60]}")
    first, final, step = (int(bound) for bound in bounds[:3])
    numbers = range(first, final + (1 if step > 0 else -1), step or 1)
    if not 0 < len(numbers) <= MOST_FILES:
        raise damaged(path, f"data file {source[:60]}")
    return [f"{match[1]}{number:{match[2]}d}{match[3]}" for number in numbers]


def _listed_names(path: Path, lines: Iterable[bytes]) -> list[str]:
    """File names of a list, one a line."""
    try:
        names = [name for line in lines if (name := line.decode("utf-8").strip())]
    except UnicodeDecodeError as error:
        raise damaged(path, "a file name is no text") from error
    if not 0 < len(names) <= MOST_FILES:
        raise damaged(path, f"{len(names) or 'no'} data files are named")
    return names


def data_files(path: Path, source: str, listed: Iterable[bytes]) -> tuple[Path, ...]:
    """Files that a header names, each a plain file in the folder of the header.

    Parameters
    ----------
    path
        The header.
    source
        The name of a file, a pattern of names with its numbers, or ``LIST``.
    listed
        Further lines of the header: file names, if there is a list.

    Raises
    ------
    ImageError
        If one is named by a path, is missing, or is a folder, a device or the like.
    """
    if source.split()[0].upper() == "LIST":
        names = _listed_names(path, listed)
    else:
        names = _numbered_names(path, source) if "%" in source else [source]
    return tuple(_part(path, name) for name in names)


def keep_field(path: Path, fields: dict[str, str], name: str, value: bytes) -> None:
    """Keep the text of a field, which a header may say once."""
    if name in fields:
        raise damaged(path, f"{name} is said twice")
    try:
        fields[name] = value.strip().decode("utf-8")
    except UnicodeDecodeError as error:
        raise damaged(path, f"{name} is no text") from error


def _part(path: Path, name: str) -> Path:
    plain = name.removeprefix("./")
    if "/" in plain or "\\" in plain or plain in ("", ".", "..") or Path(plain).name != plain:
        raise ImageError(
            f"{path}: names a data file outside its folder ({shown(name)}); put that file beside the header and "
            "write its plain name there."
        )
    part = path.parent / plain
    try:
        is_file = stat.S_ISREG(part.stat().st_mode)
    except (OSError, ValueError) as error:
        raise ImageError(
            f"{path}: its data file {shown(name)} is missing; put it beside the header."
        ) from error
    if not is_file:
        raise ImageError(f"{path}: its data file {shown(name)} is no plain file.")
    return part
