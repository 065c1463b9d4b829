"""Whether the prior decoder may be trusted with a class: a test on a scan where the class is known.

Some paint follows no edge of the image: a ball, half an organ, a structure that only anatomy tells from its neighbour.
The known mask is bent as priors are off, corrected, and compared with what it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cpclnet.imaging import Volume
from napari_cpclnet.model.prior_decoder import PriorDecoder
from napari_cpclnet.model.prior_inputs import GreyReference
from napari_cpclnet.preprocessing import PreprocessingSettings
from napari_cpclnet.segmentation.confidence import dice
from napari_cpclnet.segmentation.prior_decoding import DecodedPrior, DecodingProgress, decode_priors

Mask = NDArray[np.bool_]

_WAVELENGTH_MM = 30.0
_OUTWARDS = 0.5
"""Share of a displacement's length that moves an outline: the rest runs along it."""


@dataclass(frozen=True)
class TriedPrior:
    """A class of `value`: Dice of the bent mask with the known one, `before` and `after` it was corrected."""

    value: int
    before: float
    after: float

    @property
    def gain(self) -> float:
        """What the correction is worth."""
        return self.after - self.before


def trying_priors(
    decoder: PriorDecoder,
    volume: Volume,
    masks: Mapping[int, Mask],
    error_mm: Mapping[int, float] | float,
    *,
    axis: int = 0,
    references: Mapping[int, GreyReference] | None = None,
    passes: int = 2,
    settings: PreprocessingSettings | None = None,
    seed: int = 0,
) -> Iterator[DecodingProgress | TriedPrior]:
    """Bend known masks, correct them, and say whether that brought them back; closing the iterator cancels.

    Parameters
    ----------
    decoder : PriorDecoder
    volume : Volume
        The scan in which the masks are known.
    masks : mapping of int to ndarray of bool, shape (z, y, x)
    error_mm : mapping or float
        How far outlines of priors are off, in mm.
    axis, references, passes, settings
        As in :func:`~napari_cpclnet.segmentation.prior_decoding.decode_priors`.
    seed : int
        Of the bends.

    Yields
    ------
    DecodingProgress
        After every batch of slices.
    TriedPrior
        Of each class that is still there when it is bent.
    """
    errors = {v: error_mm[v] if isinstance(error_mm, Mapping) else error_mm for v in masks}
    bent = {
        value: _deformed(mask, volume.geometry.spacing, errors[value], np.random.default_rng((seed, value)))
        for value, mask in masks.items()
    }
    reports = decode_priors(
        decoder,
        volume,
        bent,
        axis=axis,
        error_mm=errors,
        references=references,
        passes=passes,
        settings=settings,
    )
    for report in reports:
        if isinstance(report, DecodedPrior):
            known = masks[report.value]
            found = np.zeros_like(known)
            found[report.box] = report.logits > 0
            yield TriedPrior(report.value, dice(bent[report.value], known), dice(found, known))
        else:
            yield report


def _deformed(
    mask: Mask, spacing: tuple[float, float, float], error_mm: float, rng: np.random.Generator
) -> Mask:
    """A mask under a smooth random deformation that moves its outline by so many mm on average."""
    out = np.zeros_like(mask)
    if not mask.any():
        return out
    box = tuple(
        slice(max(0, int(k[0]) - m), int(k[-1]) + m + 1)
        for k, m in (
            (
                np.flatnonzero(mask.any(tuple(a for a in range(3) if a != axis))),
                int(np.ceil(4 * error_mm / mm)),
            )
            for axis, mm in enumerate(spacing)
        )
    )
    part = mask[box]
    nodes = [int(np.ceil(n * mm / _WAVELENGTH_MM)) + 2 for n, mm in zip(part.shape, spacing, strict=True)]
    places = np.ogrid[tuple(slice(n) for n in part.shape)]
    on_nodes = [p * mm / _WAVELENGTH_MM for p, mm in zip(places, spacing, strict=True)]
    lattice = np.broadcast_arrays(*on_nodes)
    moved = []
    for place, mm in zip(places, spacing, strict=True):
        # between its nodes a linear field is half as long as on them
        field = rng.normal(0, 2.0 * error_mm / _OUTWARDS / 3**0.5, nodes)
        moved.append(place + ndimage.map_coordinates(field, lattice, order=1, mode="nearest") / mm)
    # distances, not the mask itself, which shows no move of less than half a voxel
    inside = ndimage.distance_transform_edt(np.pad(part, 1), spacing)[1:-1, 1:-1, 1:-1]
    distance = inside - ndimage.distance_transform_edt(~part, spacing)
    out[box] = ndimage.map_coordinates(distance, moved, order=1, mode="nearest") > 0
    return out
