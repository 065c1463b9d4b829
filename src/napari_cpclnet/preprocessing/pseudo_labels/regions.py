"""Regions of a slice that serve as classes where nobody painted: superpixels, merged and filtered.

After Ouyang et al., *Self-supervision with superpixels*, ECCV 2020, and the README of the published CPCLNet (SLIC,
merging and filtering by colour and texture); the way of merging is ours.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import measure, segmentation

from napari_cpclnet.preprocessing.intensity import background_threshold
from napari_cpclnet.preprocessing.pseudo_labels.merge import merge_regions, renumbered
from napari_cpclnet.preprocessing.pseudo_labels.settings import METHODS, Method, PseudoLabelSettings

Mask = NDArray[np.bool_]
Regions = NDArray[np.uint16]
Spacing = tuple[float, float]

# Superpixels this much smaller than a typical region leave the merging something to decide.
_SUPERPIXEL = 0.5
# A second leg belongs to the body, a couch does not.
_SMALLEST_PART = 0.3
# Thinner things (couch, cables, noise) are no body.
_THIN_MM = 6.0
# Labels are told by number within this many slices; beyond, a number may mean another region.
LINKED_SLICES = 3
# What a label map may hold; readers take more for a scan.
MOST_REGIONS = 1000


class RegionMap(NamedTuple):
    """One way of cutting slices into regions: a method, and the number of a scale (1 is the first)."""

    method: Method
    scale: int

    @property
    def name(self) -> str:
        """As in file names: ``slic-2``."""
        return f"{self.method}-{self.scale}"


def region_maps(settings: PseudoLabelSettings) -> tuple[RegionMap, ...]:
    """All combinations of method and scale, in a fixed order."""
    scales = range(1, len(settings.scales_mm) + 1)
    return tuple(RegionMap(m, s) for m in METHODS if m in settings.methods for s in scales)


def picture_regions(
    image: NDArray[Any],
    settings: PseudoLabelSettings | None = None,
    *,
    spacing: Spacing = (1.0, 1.0),
    body: Mask | None = None,
) -> dict[RegionMap, Regions]:
    """Cut one slice into regions, once per method and scale.

    Parameters
    ----------
    image : ndarray (h, w)
        Grey values in [0, 1].
    settings : PseudoLabelSettings, optional
        Methods, scales, and how regions are merged and filtered.
    spacing : tuple of float
        Side of a pixel along (h, w), in mm.
    body : ndarray (h, w) of bool, optional
        Where regions may be. Default: :func:`body_mask` with a threshold of this slice.

    Returns
    -------
    dict of RegionMap to ndarray (h, w) of uint16
        Connected regions 1 to n; 0 is background: outside the body, too small, too large, or cut off by the
        border of the picture.
    """
    settings = settings or PseudoLabelSettings()
    if body is None:
        body = body_mask(image, background_threshold(np.asarray(image)), spacing=spacing)
    return {
        which: find_regions(image, which, settings, spacing=spacing, body=body)
        for which in region_maps(settings)
    }


def body_mask(image: NDArray[Any], threshold: float, *, spacing: Spacing = (1.0, 1.0)) -> Mask:
    """The body in a slice.

    What is above the threshold, without thin things, in its largest component and those at least 0.3 times its
    size, with holes filled.

    Parameters
    ----------
    image : ndarray (h, w)
        Grey values, in any unit.
    threshold : float
        Between air and tissue, best of the whole scan.
    spacing : tuple of float
        Side of a pixel along (h, w), in mm.

    Returns
    -------
    ndarray (h, w) of bool
        Empty where nothing is above the threshold but thin things.
    """
    above = image > threshold
    steps = np.maximum(1, np.round(_THIN_MM / np.asarray(spacing)).astype(int))
    # air beyond the picture would eat a body that is cut by its border
    padded = np.pad(above, [(n, n) for n in steps], mode="edge")
    opened = ndimage.grey_opening(padded.astype(np.uint8), size=tuple(steps))
    opened = opened[steps[0] : steps[0] + above.shape[0], steps[1] : steps[1] + above.shape[1]]
    parts, count = ndimage.label(opened)
    if count == 0:
        return np.zeros(above.shape, bool)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    kept = (sizes >= _SMALLEST_PART * sizes.max())[parts] & (parts > 0)
    return np.asarray(ndimage.binary_fill_holes(kept), dtype=bool)


def find_regions(
    image: NDArray[Any], which: RegionMap, settings: PseudoLabelSettings, *, spacing: Spacing, body: Mask
) -> Regions:
    """One entry of :func:`picture_regions`."""
    empty = np.zeros(image.shape, np.uint16)
    blocks = [max(1, int(settings.working_mm / s + 1e-6)) for s in spacing]
    sides = (spacing[0] * blocks[0], spacing[1] * blocks[1])
    grey = _block_means(np.asarray(image, np.float32), blocks)
    inside = _block_means(body.astype(np.float32), blocks) >= 0.5
    if not inside.any():
        return empty
    box = tuple(slice(int(hit[0]), int(hit[-1]) + 1) for hit in _hits(inside))
    regions = np.zeros(inside.shape, np.intp)
    regions[box] = _merged(grey[box], inside[box], which, settings, sides)
    regions = _kept(regions, inside, settings, sides)
    fine = regions.repeat(blocks[0], axis=0).repeat(blocks[1], axis=1)[: image.shape[0], : image.shape[1]]
    return np.where(body, fine, 0).astype(np.uint16)


def _merged(
    grey: NDArray[np.float32], inside: Mask, which: RegionMap, settings: PseudoLabelSettings, sides: Spacing
) -> NDArray[np.intp]:
    """Superpixels of the body, merged."""
    pixel = sides[0] * sides[1]
    area = settings.scales_mm[which.scale - 1] ** 2 / pixel
    blurred = ndimage.gaussian_filter(grey, [settings.smoothing_mm / side for side in sides])
    superpixel = max(area * _SUPERPIXEL**2, 1.0)
    cut: Any = segmentation
    if which.method == "slic":
        found = cut.slic(
            blurred,
            n_segments=max(1, round(blurred.size / superpixel)),
            compactness=settings.compactness,
            spacing=[side / min(sides) for side in sides],
            channel_axis=None,
        )
    else:
        found = 1 + cut.felzenszwalb(blurred, sigma=0, min_size=round(superpixel), channel_axis=None)
    # the edge of the body cuts superpixels in pieces
    label: Any = measure.label
    pieces = label(np.where(inside, found, 0), background=0, connectivity=1).astype(np.intp)
    return merge_regions(
        pieces,
        blurred,
        grey - blurred,
        distance=settings.merge_distance,
        texture_weight=settings.texture_weight,
        reference_area=area,
        minimum_area=settings.minimum_mm2 / pixel,
    )


def _kept(
    regions: NDArray[np.intp], inside: Mask, settings: PseudoLabelSettings, sides: Spacing
) -> NDArray[np.intp]:
    """Regions of a sensible size that are not cut off by the border of the picture, numbered anew."""
    area = np.bincount(regions.ravel())
    kept = area >= settings.minimum_mm2 / (sides[0] * sides[1])
    kept &= area <= settings.maximum_share * np.count_nonzero(inside)
    at_border, outline = _outlines(regions, sides)
    kept &= at_border <= settings.maximum_border * outline
    kept[0] = False
    return renumbered(np.where(kept[regions], regions, 0))


def _outlines(regions: NDArray[np.intp], sides: Spacing) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Length of each region's outline, in mm: on the border of the picture, and in all."""
    n = int(regions.max()) + 1
    at_border, outline = np.zeros(n), np.zeros(n)
    for across, along in ((regions, sides[1]), (regions.T, sides[0])):
        for edge in (across[0], across[-1]):
            at_border += along * np.bincount(edge, minlength=n)
        change = across[:-1] != across[1:]
        for side in (across[:-1], across[1:]):
            outline += along * np.bincount(side[change], minlength=n)
    return at_border, outline + at_border


def _block_means(image: NDArray[np.float32], blocks: list[int]) -> NDArray[np.float32]:
    """Means of blocks; those at the far ends are filled up with their last row or column."""
    fill = [(0, -n % block) for n, block in zip(image.shape, blocks, strict=True)]
    filled = np.pad(image, fill, mode="edge")
    rows, columns = (n // block for n, block in zip(filled.shape, blocks, strict=True))
    means: NDArray[np.float32] = filled.reshape(rows, blocks[0], columns, blocks[1]).mean(axis=(1, 3))
    return means


def _hits(mask: Mask) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))


class RegionLinker:
    """Numbers regions slice after slice so that a region that goes on keeps its number.

    Two regions of neighbouring slices are one if their overlap (Dice) is at least `overlap`; each region
    has at most one successor, the best. A number that ended is not used again for `LINKED_SLICES` slices, so
    within that distance one number is one region, and a scan of any length needs few numbers.

    Parameters
    ----------
    overlap : float
        Dice coefficient, above 0 to 1.
    """

    def __init__(self, overlap: float) -> None:
        self._overlap = overlap
        self._before: Regions | None = None
        self._used: list[set[int]] = []

    def link(self, regions: Regions) -> Regions:
        """Number the next slice (h, w), whose regions are 1 to n; regions beyond `MOST_REGIONS` become 0."""
        count = int(regions.max())
        new = np.zeros(count + 1, np.uint16)
        for number, successor in self._pairs(regions):
            new[successor] = number
        blocked = set().union(*self._used, new.tolist())
        free = iter(number for number in range(1, MOST_REGIONS + 1) if number not in blocked)
        for region in range(1, count + 1):
            if new[region] == 0:
                new[region] = next(free, 0)
        linked: Regions = new[regions]
        self._before = linked
        self._used = [*self._used[1 - LINKED_SLICES :], {int(v) for v in new[1:]} - {0}]
        return linked

    def _pairs(self, regions: Regions) -> list[tuple[int, int]]:
        """(number in the slice before, region of this slice), each at most once, by falling overlap."""
        if self._before is None:
            return []
        both = (self._before > 0) & (regions > 0)
        if not both.any():
            return []
        count = int(regions.max()) + 1
        shared = np.bincount(self._before[both].astype(np.intp) * count + regions[both])
        codes = np.flatnonzero(shared)
        numbers, successors = np.divmod(codes, count)
        sizes = np.bincount(self._before.ravel())[numbers] + np.bincount(regions.ravel())[successors]
        dice = 2.0 * shared[codes] / sizes
        found: list[tuple[int, int]] = []
        taken: tuple[set[int], set[int]] = (set(), set())
        for k in np.argsort(-dice, kind="stable"):
            number, region = int(numbers[k]), int(successors[k])
            if dice[k] >= self._overlap and number not in taken[0] and region not in taken[1]:
                found.append((number, region))
                taken[0].add(number)
                taken[1].add(region)
        return found
