"""One slice of a case as a picture: truth, prediction, and where they differ."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from napari_cpclnet.imaging import Plane, Volume
from napari_cpclnet.preprocessing import ModelGrid, PreprocessingSettings, normalise

Mask = NDArray[np.bool_]
Colour = tuple[float, float, float]

# Distinct in every form of colour blindness, and none is a grey value (Okabe and Ito).
TRUE_POSITIVE: Colour = (0.00, 0.62, 0.45)
FALSE_POSITIVE: Colour = (0.90, 0.38, 0.00)
FALSE_NEGATIVE: Colour = (0.34, 0.71, 0.95)
PAPER, INK = "#121416", "#f2f2f0"
FILL = 0.55
"""Opacity of a mask over the image."""

_DOTS_PER_INCH = 110
_WIDTH_INCHES = 9.0
_SIDES = {
    "axial": ("R", "L", "A", "P"),
    "coronal": ("R", "L", "S", "I"),
    "sagittal": ("A", "P", "S", "I"),
}
_SCALE_BARS_MM = (200, 100, 50, 20, 10, 5, 2, 1)


@dataclass(frozen=True, eq=False)
class SlicePicture:
    """One slice as the viewer sees it: cut to the body, in the attitude of the plane.

    Parameters
    ----------
    grey : ndarray (h, w) of float32
        In [0, 1].
    truth, predicted : ndarray (h, w) of bool
    spacing : tuple of float
        Height and width of a pixel, in mm or in arbitrary units.
    index : int
        Slice along the sliced array axis.
    """

    grey: NDArray[np.float32]
    truth: Mask
    predicted: Mask
    spacing: tuple[float, float]
    index: int


def overlay(
    volume: Volume,
    truth: Mask,
    predicted: Mask,
    *,
    preprocessing: PreprocessingSettings | None = None,
    plane: Plane = "axial",
    index: int | None = None,
) -> bytes:
    """Three panels: truth, prediction, errors (true positive, false positive, false negative).

    Parameters
    ----------
    volume : Volume
        The scan.
    truth, predicted : ndarray (z, y, x) of bool
        Masks of one organ on the scan's grid.
    preprocessing : PreprocessingSettings, optional
        Grey window.
    plane : str
        Plane of the slice. In the axial plane the patient's right is on the left, anterior is up.
    index : int, optional
        Slice; by default the one that shows most of the truth, or of the prediction where there is no truth.

    Returns
    -------
    bytes
        A PNG file. It shows the slice number and nothing that names the scan.

    Raises
    ------
    ValueError
        If the masks are not on the scan's grid.
    """
    shown = cut_slice(volume, truth, predicted, preprocessing=preprocessing, plane=plane, index=index)
    height_mm = shown.grey.shape[0] * shown.spacing[0]
    width_mm = shown.grey.shape[1] * shown.spacing[1]
    panel = (_WIDTH_INCHES - 0.4) / 3
    picture_height = float(np.clip(panel * height_mm / width_mm, 1.2, 5.0))
    top, bottom = 0.34, 0.42
    height = picture_height + top + bottom
    figure = Figure(figsize=(_WIDTH_INCHES, height), dpi=_DOTS_PER_INCH, facecolor=PAPER)
    FigureCanvasAgg(figure)
    titles = (f"Truth, slice {shown.index}", "Prediction", f"Errors, Dice here {_dice(shown)}")
    for place, (title, picture) in enumerate(zip(titles, panels(shown), strict=True)):
        left = (0.1 + place * (panel + 0.1)) / _WIDTH_INCHES
        axes = figure.add_axes(
            (left, bottom / height, panel / _WIDTH_INCHES, picture_height / height), facecolor="black"
        )
        # extent in mm gives the true aspect
        axes.imshow(picture, extent=(0, width_mm, height_mm, 0), aspect="equal", interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(title, color=INK, fontsize=11, pad=6, loc="left")
        if plane in _SIDES:
            _letters(axes, _SIDES[plane])
        if place == 0 and volume.calibrated:
            _scale_bar(axes, width_mm, height_mm)
    _legend(figure, 0.16 / height)
    data = io.BytesIO()
    figure.savefig(data, format="png", facecolor=PAPER, metadata={"Software": None})
    return data.getvalue()


def cut_slice(
    volume: Volume,
    truth: Mask,
    predicted: Mask,
    *,
    preprocessing: PreprocessingSettings | None = None,
    plane: Plane = "axial",
    index: int | None = None,
) -> SlicePicture:
    """The slice that :func:`overlay` shows; same arguments."""
    for mask in (truth, predicted):
        if mask.shape != volume.geometry.shape:
            raise ValueError(f"a mask of shape {mask.shape} on a scan of shape {volume.geometry.shape}")
    grid = ModelGrid.for_volume(volume, plane, preprocessing or PreprocessingSettings())
    chosen = _fullest_slice(truth, predicted, grid.axis) if index is None else index
    window = tuple(_window(grid, side) for side in (0, 1))

    def view(array: NDArray[Any]) -> NDArray[Any]:
        flat = grid.take(array, chosen)
        flat = flat.T if grid.row_axis > grid.column_axis else flat
        flat = flat[:: -1 if grid.flips[1] else 1, :: -1 if grid.flips[2] else 1]
        return flat[window]

    spacing = volume.geometry.spacing
    return SlicePicture(
        grey=normalise(view(volume.array), grid.value_range),
        truth=view(truth).astype(bool),
        predicted=view(predicted).astype(bool),
        spacing=(spacing[grid.row_axis], spacing[grid.column_axis]),
        index=chosen,
    )


def panels(shown: SlicePicture) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """RGB pictures (h, w, 3): truth, prediction, errors."""
    plain = np.repeat(shown.grey[..., None], 3, axis=2).astype(np.float32)
    both, extra = shown.truth & shown.predicted, shown.predicted & ~shown.truth
    missed = shown.truth & ~shown.predicted
    return (
        _painted(plain, (shown.truth, TRUE_POSITIVE)),
        _painted(plain, (shown.predicted, TRUE_POSITIVE)),
        _painted(plain, (both, TRUE_POSITIVE), (extra, FALSE_POSITIVE), (missed, FALSE_NEGATIVE)),
    )


def _painted(plain: NDArray[np.float32], *layers: tuple[Mask, Colour]) -> NDArray[np.float32]:
    picture = plain.copy()
    for mask, colour in layers:
        picture[mask] = (1 - FILL) * picture[mask] + FILL * np.asarray(colour, np.float32)
    return picture


def _fullest_slice(truth: Mask, predicted: Mask, axis: int) -> int:
    others = tuple(a for a in range(3) if a != axis)
    for mask in (truth, predicted):
        area = np.count_nonzero(mask, axis=others)
        if area.any():
            return int(area.argmax())
    return int(truth.shape[axis]) // 2


def _window(grid: ModelGrid, side: int) -> slice:
    """Native rows (0) or columns (1), in the network's direction, that the network's image covers."""
    count = grid.shape[grid.row_axis if side == 0 else grid.column_axis]
    half = grid.size[side] * grid.steps[side] / 2
    low, high = grid.centre[side] + 0.5 - half, grid.centre[side] + 0.5 + half
    return slice(max(0, round(low)), min(count, round(high)))


def _dice(shown: SlicePicture) -> str:
    total = np.count_nonzero(shown.truth) + np.count_nonzero(shown.predicted)
    return f"{2 * np.count_nonzero(shown.truth & shown.predicted) / total:.2f}" if total else "–"


def _letters(axes: Any, sides: tuple[str, str, str, str]) -> None:
    left, right, up, down = sides
    for x, y, text in ((0.02, 0.5, left), (0.98, 0.5, right), (0.5, 0.965, up), (0.5, 0.035, down)):
        axes.text(
            x, y, text, transform=axes.transAxes, color=INK, fontsize=8, alpha=0.75, ha="center", va="center"
        )


def _scale_bar(axes: Any, width_mm: float, height_mm: float) -> None:
    length = next((s for s in _SCALE_BARS_MM if s <= width_mm / 4), None)
    if length is None:
        return
    x, y = 0.04 * width_mm, 0.955 * height_mm
    axes.plot([x, x + length], [y, y], color=INK, linewidth=2, solid_capstyle="butt")
    axes.text(x, y - 0.02 * height_mm, f"{length} mm", color=INK, fontsize=8, ha="left", va="bottom")


def _legend(figure: Figure, y: float) -> None:
    entries = (
        (TRUE_POSITIVE, "correct (TP)"),
        (FALSE_POSITIVE, "too much (FP)"),
        (FALSE_NEGATIVE, "missed (FN)"),
    )
    x = 0.1 / _WIDTH_INCHES
    side = 0.12
    height = figure.get_size_inches()[1]
    for colour, text in entries:
        figure.add_artist(Rectangle((x, y), side / _WIDTH_INCHES, side / height, color=colour))
        figure.text(x + 0.2 / _WIDTH_INCHES, y, text, color=INK, fontsize=9.5, va="bottom")
        x += 1.4 / _WIDTH_INCHES
