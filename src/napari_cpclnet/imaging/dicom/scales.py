"""How the stored values of DICOM slices are scaled, and whether those of a series fit together."""

from __future__ import annotations

from collections.abc import Sequence

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.dicom.frames import Frame


def check_scales(where: str, frames: Sequence[Frame], modality: str) -> None:
    """Refuse a series of which some slices are rescaled and others are not, or to another unit.

    Parameters
    ----------
    where
        Names the series in error messages.
    frames
        Its slices.
    modality
        DICOM modality.

    Raises
    ------
    ImageError
        With what differs.
    """
    bare = [frame for frame in frames if lacking_scale(frame)]
    scaled = [frame for frame in frames if (frame.slope or 1.0, frame.intercept or 0.0) != (1.0, 0.0)]
    if scaled and 0 < len(bare) < len(frames):
        raise ImageError(
            f"{where}: {lacking_scale(bare[0])} missing in {len(bare)} of its {len(frames)} slices, such as "
            f"{bare[0].path.name}, so their values do not fit those of the others; export it again."
        )
    kinds = sorted({frame.rescale_type or "HU" for frame in frames})
    if modality == "CT" and len(kinds) > 1:
        raise ImageError(
            f"{where}: its slices hold values of different types (RescaleType {', '.join(kinds)}); move those of one "
            "type to a folder."
        )


def lacking_scale(frame: Frame) -> str:
    """Names of the tags of the scale that are missing, and the verb; empty if none is."""
    names = [
        name
        for name, value in (("RescaleSlope", frame.slope), ("RescaleIntercept", frame.intercept))
        if value is None
    ]
    return "" if not names else f"{' and '.join(names)} {'are' if len(names) > 1 else 'is'}"
