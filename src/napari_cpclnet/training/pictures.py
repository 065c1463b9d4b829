"""Picture of a held-out episode: support, truth and prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from napari_cpclnet.files.atomic import atomic_write
from napari_cpclnet.training.validation import Example

COLOURS = np.array([(230, 97, 1), (94, 60, 153), (27, 158, 119), (231, 41, 138), (102, 166, 30)], np.float32)
"""Of the classes, in their order; more classes begin again."""

_FILL = 0.45
_TILE, _GAP, _HEAD = 224, 4, 18


def write_picture(example: Example, title: str, path: Path) -> None:
    """Write three rows of slices as PNG, whole or not at all: support, truth, prediction.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    truth = example.truth.transpose(1, 0, 2, 3)
    prediction = example.prediction.transpose(1, 0, 2, 3)
    rows = [
        (f"{title}   painted support", _tiles(example.support, example.support_masks)),
        ("truth", _tiles(example.query, truth)),
        (f"prediction   Dice {_dice(truth, prediction):.2f}", _tiles(example.query, prediction)),
    ]
    columns = max(len(tiles) for _, tiles in rows)
    width = columns * (_TILE + _GAP) - _GAP
    sheet = Image.new("RGB", (width, 3 * (_TILE + _HEAD)), (18, 20, 22))
    draw = ImageDraw.Draw(sheet)
    for row, (words, tiles) in enumerate(rows):
        top = row * (_TILE + _HEAD)
        draw.text((4, top + 3), words, fill=(242, 242, 240))
        for column, tile in enumerate(tiles):
            sheet.paste(tile, (column * (_TILE + _GAP), top + _HEAD))
    with atomic_write(path, "the picture") as temporary:
        sheet.save(temporary)


def _tiles(images: NDArray[np.float32], masks: NDArray[np.bool_]) -> list[Image.Image]:
    """Slices (N, H, W) with masks (C, N, H, W) in the colours of their classes."""
    tiles = []
    for image, each in zip(images, masks.swapaxes(0, 1), strict=True):
        colours = np.repeat(image[..., None] * 255, 3, axis=2)
        for index, mask in enumerate(each):
            colours[mask] = (1 - _FILL) * colours[mask] + _FILL * COLOURS[index % len(COLOURS)]
        picture = Image.fromarray(colours.clip(0, 255).astype(np.uint8))
        tiles.append(picture.resize((_TILE, _TILE), Image.Resampling.BILINEAR))
    return tiles


def _dice(truth: NDArray[Any], prediction: NDArray[Any]) -> float:
    """Mean over the classes (first axis) that are in either, all slices pooled; nan if there is none."""
    both = (truth & prediction).sum((1, 2, 3))
    either = truth.sum((1, 2, 3)) + prediction.sum((1, 2, 3))
    return float((2 * both[either > 0] / either[either > 0]).mean()) if either.any() else float("nan")
