"""Modality and unit of a DICOM series: HU, SUV, or none that its headers prove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.dicom.frames import Frame
from napari_cpclnet.imaging.dicom.geometry import Stack
from napari_cpclnet.imaging.dicom.headers import read_header, text
from napari_cpclnet.imaging.dicom.pixels import Picture, rescaled
from napari_cpclnet.imaging.dicom.scales import check_scales, lacking_scale
from napari_cpclnet.imaging.dicom.suv import suv_factor
from napari_cpclnet.imaging.modality import TAGS, has_offset
from napari_cpclnet.imaging.volume import Modality

AIR_HU = -1024.0
# Units of CT as RescaleType names them; HU are meant where it is missing (PS3.3 C.8.2.1).
HOUNSFIELD = ("", "HU", "HU_MOD")
# A CT that cannot hold values as low as that cannot show air and fat in HU.
NO_AIR = -50.0
# A CT whose intercept is below that was stored with an offset, which the intercept takes away.
USUAL_INTERCEPT = -500.0
# Slices whose pixels are looked at where the headers do not tell, by their place in the stack.
LOOKED_AT = (0, 0.25, 0.5, 0.75, 1)


@dataclass(frozen=True)
class Meaning:
    """What the values of a series are, once multiplied by the factor.

    Parameters
    ----------
    modality, unit
        As of `Volume`.
    factor
        From rescaled values to the unit.
    fill
        Value where nothing was measured.
    notes
        What is not as it should be, one sentence each.
    """

    modality: Modality
    unit: str
    factor: float
    fill: float
    notes: tuple[str, ...]


def meaning_of(where: str, stack: Stack) -> Meaning:
    """Modality, unit and scale of a series.

    Parameters
    ----------
    where
        Names the series in error messages.
    stack
        Its slices.

    Raises
    ------
    ImageError
        If its slices are scaled in ways that do not fit together, or a file is gone.
    """
    frames = stack.frames
    header = read_header(frames[0].path)
    if header is None:
        raise ImageError(f"{frames[0].path}: is no DICOM file, or its header is damaged.")
    modality = TAGS.get(text(header, "Modality").upper(), "other")
    check_scales(where, frames, modality)
    unit, factor = "", 1.0
    notes: tuple[str, ...] = ()
    doubts = _scale_doubts(frames)
    if modality == "CT":
        doubts = doubts or _ct_doubts(frames)
        unit = "" if doubts else "HU"
        notes = tuple(f"{doubt}: the values are not known to be HU." for doubt in doubts)
    elif modality == "PT" and doubts:
        notes = tuple(
            f"{doubt}: the values have no known unit and are not converted to SUV." for doubt in doubts
        )
    elif modality == "PT":
        # The tracer is described in tags that only PET has; of other series the few tags of the frames are enough.
        paths = dict.fromkeys(frame.path for frame in frames)
        headers = [found for path in paths if (found := read_header(path)) is not None]
        factor, unit, notes = suv_factor(headers)
    elif any(frame.slope == 0 for frame in frames):
        notes = ("RescaleSlope is 0 in some slices; their stored values are kept.",)
    fill = AIR_HU if unit == "HU" else 0.0
    return Meaning(modality, unit, factor, fill, notes)


def _scale_doubts(frames: Sequence[Frame]) -> list[str]:
    """Why the values of a measuring modality are no more than stored numbers."""
    missing = next((said for frame in frames if (said := lacking_scale(frame))), "")
    if missing:
        return [f"{missing} missing"]
    if any(frame.slope == 0 for frame in frames):
        return ["RescaleSlope is 0 in some slices, whose stored values are kept"]
    return []


def _ct_doubts(frames: Sequence[Frame]) -> list[str]:
    kind = frames[0].rescale_type
    if kind not in HOUNSFIELD:
        return [f"The CT values are of type {kind}, not HU"]
    lowest = min(frame.lowest for frame in frames)
    if lowest > NO_AIR:
        return [
            f"With these pixels and RescaleIntercept no value is below {lowest:g}, where air would be -1000 HU"
        ]
    if max(frame.intercept or 0.0 for frame in frames) > USUAL_INTERCEPT and _has_offset(frames):
        return ["Air lies near 0 and tissue near 1000, as if an offset of about 1000 had been left in"]
    return []


def _has_offset(frames: Sequence[Frame]) -> bool:
    """Whether a few slices have the values of a CT whose offset was not taken away."""
    values = _values_of_some(frames)
    return has_offset(values[np.isfinite(values)])


def padding_note(frames: Sequence[Frame], meaning: Meaning, is_padded: bool | None = None) -> tuple[str, ...]:
    """A sentence about voxels of the padding value.

    Parameters
    ----------
    frames
        The slices.
    meaning
        From `meaning_of`.
    is_padded
        Whether there are such voxels; None if that is to be found out from a few slices.
    """
    marked = next((frame.padding for frame in frames if frame.padding is not None), None)
    if marked is None:
        return ()
    if is_padded is None:
        is_padded = bool(np.isnan(_values_of_some(frames)).any())
    if not is_padded:
        return ()
    shown = f"{marked[0]:g}" if marked[0] == marked[1] else f"{marked[0]:g} to {marked[1]:g}"
    becomes = f"air ({meaning.fill:g} HU)" if meaning.unit == "HU" else f"{meaning.fill:g}"
    return (
        f"Voxels of the padding value (PixelPaddingValue {shown}) hold no measurement and are read as {becomes}.",
    )


def _values_of_some(frames: Sequence[Frame]) -> Picture:
    """Grey values of a few slices, flat; none if they cannot be decoded, which whoever reads the series says."""
    chosen = sorted({round(part * (len(frames) - 1)) for part in LOOKED_AT})
    try:
        return np.concatenate([rescaled(frames[index]).ravel() for index in chosen])
    except ImageError:
        return np.empty(0, np.float32)
