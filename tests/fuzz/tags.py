"""Whole DICOM files some of whose elements say something else: damage that no random byte finds."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

PIXELS = 0x7FE00010
# pydicom would not write texts in an unknown one.
CHARACTERS = 0x00080005
# What may stand in an element, of whatever type it is. The even ones are texts, the odd ones could be numbers too.
CONTENTS = (
    *(b"", b"0", b"-1 ", b"1e308 ", b"-1e-300 ", b"nan ", b"inf ", b"3 ", b"1\\2 ", b"1\\2\\3 ", b"0\\0\\0 "),
    *(
        b"1e9\\0\\0 ",
        b"1\\0\\0\\0\\1\\0 ",
        b"0\\1\\0\\0\\0\\-1 ",
        b"0\\0\\0\\0\\0\\0 ",
        b"1\\1\\1\\1\\1\\1 ",
        b"A\\B ",
    ),
    *(b"MOSAIC", b"CLOSEDPLANAR_XOR", b"CT", b"MR", b"PT", b"SEG ", b"FRACTIONAL", b"LABELMAP", b"HU", b"US"),
    *(
        b"\0\0",
        b"\1\0",
        b"\2\0",
        b"\x10\0",
        b"\xff\xff",
        b"\0\x80",
        b"\0\0\0\x80",
        b"\xff\xff\xff\x7f",
        b"\1\0\0\0",
    ),
    *(b"9" * 4000, b"\x1b[31m\n", b"#@%", b"1.2.3\0", "Zoë ".encode(), b"\xff\xfe\x00\x00" * 8, b"1\\" * 400),
)


def changed(content: bytes, choices: bytes) -> bytes:
    """A DICOM file with some elements replaced, emptied, doubled or left out.

    Parameters
    ----------
    content
        The whole file.
    choices
        Three bytes for each change: which element (two), and what becomes of it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = dcmread(io.BytesIO(content))
        places = list(_places(data))
        for start in range(0, len(choices) - 2, 3):
            dataset, tag = places[int.from_bytes(choices[start : start + 2], "little") % len(places)]
            if tag in dataset:
                _change(dataset, tag, choices[start + 2])
        stream = io.BytesIO()
        data.save_as(stream)
    return stream.getvalue()


def _places(data: Dataset) -> Iterator[tuple[Dataset, BaseTag]]:
    for tag in list(data.keys()):
        if tag.group > 2 and tag != CHARACTERS:
            yield data, tag
        if data.get_item(tag).VR == "SQ":
            for item in data[tag].value:
                yield from _places(item)


def _change(dataset: Dataset, tag: BaseTag, what: int) -> None:
    element = dataset.get_item(tag)
    if what >= 250:
        del dataset[tag]
    elif element.VR == "SQ":
        items = list(dataset[tag].value)
        dataset[tag].value = (items[:-1], [*items, Dataset()], items[::-1], items[1:], [])[what % 5]
    else:
        # Written as it stands, whatever its type allows.
        content = CONTENTS[what % len(CONTENTS)]
        if tag == PIXELS:
            content = element.value[: what * len(element.value) // 500 * 2]
        content += b" " * (len(content) % 2)
        dataset._dict[tag] = RawDataElement(tag, element.VR, len(content), content, 0, False, True, True)
