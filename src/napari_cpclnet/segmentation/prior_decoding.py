"""Priors corrected by what the scan shows, on its own grid: any class, any slice direction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cpclnet.imaging import Volume
from napari_cpclnet.model.prior_decoder import SCALE_MM, PriorDecoder
from napari_cpclnet.model.prior_inputs import (
    REACH_MM,
    decoder_facts,
    decoder_maps,
    grey_evidence,
    plane_distance,
)
from napari_cpclnet.preprocessing import PreprocessingSettings
from napari_cpclnet.preprocessing.intensity import intensity_range, normalise
from napari_cpclnet.preprocessing.resample import linear_matrix
from napari_cpclnet.segmentation.boxed import Box, Boxed

Mask = NDArray[np.bool_]

MARGIN_MM = 25.0
"""How far around a prior is looked."""

_FINENESS = ((5.0, 1.6), (40.0, 2.0), (400.0, 2.4), (np.inf, 3.0))
"""Side of a pixel in mm for classes of up to so many ml."""
_CONTEXT_MM = 5.0
_TOLD_CONTEXT_MM = 2.5, 9.0
_STACK_PIXELS = 6_000_000
_BATCH_PIXELS = 400_000
_NATIVE_PIXELS = 2_000_000
"""Pixels of the scan itself that are in memory as floats at once."""
_MULTIPLE = 8


@dataclass(frozen=True)
class DecodingProgress:
    """`done` of `total` slices, all classes and passes together."""

    done: int
    total: int


@dataclass(frozen=True, eq=False)
class DecodedPrior:
    """A class after it was corrected.

    Attributes
    ----------
    value : int
        Label value.
    box : tuple of slice
        Part of the scan's array that was looked at; outside, the prior has nothing and neither has the class.
    logits : ndarray of float16
        Shape of the box; above zero inside of the class.
    strength : float
        How well grey values part inside and surroundings of the prior: 0.5 (not at all) to 1.
    """

    value: int
    box: Box
    logits: NDArray[np.float16]
    strength: float


def decode_priors(
    decoder: PriorDecoder,
    volume: Volume,
    priors: Mapping[int, Boxed],
    *,
    axis: int = 0,
    error_mm: float | None = None,
    passes: int = 2,
    settings: PreprocessingSettings | None = None,
) -> Iterator[DecodingProgress | DecodedPrior]:
    """Correct priors; closing the iterator cancels.

    Parameters
    ----------
    decoder : PriorDecoder
        On the device that shall compute.
    volume : Volume
    priors : mapping of int to Boxed of bool
        Mask of each class.
    axis : int
        Array axis whose slices are looked at.
    error_mm : float, optional
        How far outlines are off, as far as one knows: some 5 mm where a registration carried the masks over. Left out,
        the decoder takes a middling error.
    passes : int
        How often; from the second time on the answer before takes the prior's place. Two or three suit priors of other
        patients, one suits those that are a millimetre or two off.
    settings : PreprocessingSettings, optional
        Windows of grey values.

    Yields
    ------
    DecodingProgress
        After every batch of slices.
    DecodedPrior
        Of each class whose prior is not empty, when it is finished.
    """
    settings = settings or PreprocessingSettings()
    spacing = _spacing(volume, axis, settings)
    value_range = intensity_range(volume, settings)
    jobs = [
        job for value, prior in priors.items() if (job := _Job.of(value, prior, spacing, axis)) is not None
    ]
    total = passes * sum(len(part) for job in jobs for part in job.parts())
    done = 0
    for job in jobs:
        image = np.moveaxis(volume.array[job.box], axis, 0)
        rivals = [np.moveaxis(p.part(job.box), axis, 0) for value, p in priors.items() if value != job.value]
        logits = np.empty(volume.array[job.box].shape, np.float16)
        strengths = []
        for part in job.parts():
            stack = _Stack(job, image, value_range, rivals, part, error_mm)
            for turn in range(passes):
                for size in stack.decode(decoder, again=turn > 0):
                    done += size
                    yield DecodingProgress(done, total)
            for at, some in stack.native(decoder):
                np.moveaxis(logits, axis, 0)[at] = some
            strengths.append(stack.strength)
        yield DecodedPrior(job.value, job.box, logits, float(np.mean(strengths)))


@dataclass(frozen=True)
class _Part:
    """Slices of a box that are decoded together: `start` to `stop`, of which `keep` are wanted."""

    start: int
    stop: int
    keep: slice

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, eq=False)
class _Job:
    """One class: its box, its prior in it as distances (slices, rows, columns), and its pixels.

    Distances are kept in half precision: of a long scan they take as much as the scan itself.
    """

    value: int
    box: Box
    distance: NDArray[np.float16]
    spacing: tuple[float, float, float]
    pixel_mm: float
    offset: int
    size: tuple[int, int]

    @classmethod
    def of(cls, value: int, prior: Boxed, spacing: tuple[float, float, float], axis: int) -> _Job | None:
        """Job of a prior on the grid of a scan; None if it is empty. `spacing` is of slices, rows and columns."""
        prior = prior.mask(1)  # no larger than what is there
        if not prior.array.size:
            return None
        ml = float(np.count_nonzero(prior.array)) * float(np.prod(spacing)) / 1000
        pixel = max(next(mm for most, mm in _FINENESS if ml <= most), min(spacing[1:]))
        offset = max(1, round(_CONTEXT_MM / spacing[0]))
        box = _with_margin(prior, spacing, axis)
        part = np.moveaxis(prior.part(box), axis, 0)
        distance = np.empty(part.shape, np.float16)
        for at in _pieces(part.shape):
            distance[at] = plane_distance(part[at], spacing[1:])
        size = tuple(
            int(np.ceil(n * mm / pixel / _MULTIPLE)) * _MULTIPLE
            for n, mm in zip(part.shape[1:], spacing[1:], strict=True)
        )
        return cls(value, box, distance, spacing, pixel, offset, (size[0], size[1]))

    def parts(self) -> list[_Part]:
        """Slices that fit into memory at once, with the neighbours that they are seen with."""
        n = len(self.distance)
        most = max(1, _STACK_PIXELS // (self.size[0] * self.size[1]) - 2 * self.offset)
        return [
            _Part(max(0, a - self.offset), min(n, a + most + self.offset), slice(a, min(n, a + most)))
            for a in range(0, n, most)
        ]

    def distances(self, wanted: slice) -> Tensor:
        """Distances of some slices on the decoder's pixels."""
        measured = self.distance[wanted]
        return self.pixels(lambda at: measured[at], len(measured), -REACH_MM)

    def pixels(self, some: Callable[[slice], NDArray[Any]], count: int, outside: float) -> Tensor:
        """Some of `count` slices (n, rows, columns) at a time, brought to the decoder's pixels.

        `outside` is what lies around them.
        """
        rows, columns = self.matrices()[0]
        result = torch.empty(count, *self.size)
        for at in _pieces((count, *self.distance.shape[1:])):
            # what lies outside of the scan must not come out as zero
            array = some(at).astype(np.float32) - np.float32(outside)
            result[at] = rows @ torch.from_numpy(array) @ columns.T + outside
        return result

    def grey_values(self, image: NDArray[Any], value_range: tuple[float, float]) -> Tensor:
        """Slices of the scan on the decoder's pixels, in [0, 1]."""
        return self.pixels(lambda at: normalise(image[at], value_range), len(image), 0.0).clamp_(0, 1)

    def matrices(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Weights from native rows and columns to pixels, and back."""
        there, back = [], []
        for k in range(2):
            count, size = self.distance.shape[k + 1], self.size[k]
            step = self.pixel_mm / self.spacing[k + 1]
            offsets = (np.arange(size) - (size - 1) / 2) * step
            there.append(linear_matrix((count - 1) / 2 + offsets, step, count))
            places = (np.arange(count) - (count - 1) / 2) / step + (size - 1) / 2
            back.append(linear_matrix(places, 1 / step, size))
        pair = [tuple(torch.from_numpy(np.ascontiguousarray(m)) for m in ms) for ms in (there, back)]
        return (pair[0][0], pair[0][1]), (pair[1][0], pair[1][1])


class _Stack:
    """Slices of one job on the decoder's pixels."""

    def __init__(
        self,
        job: _Job,
        image: NDArray[Any],
        value_range: tuple[float, float],
        rivals: Sequence[Mask],
        part: _Part,
        error_mm: float | None,
    ) -> None:
        self.job, self.part, self.error_mm = job, part, error_mm
        at = slice(part.start, part.stop)

        def to_rivals(some: slice) -> NDArray[np.float32]:
            others = np.zeros(job.distance[at][some].shape, bool)
            for rival in rivals:
                others |= rival[at][some]
            return plane_distance(others, job.spacing[1:])

        self.images = job.grey_values(image[at], value_range)
        self.first = job.distances(at)
        self.rivals = (
            job.pixels(to_rivals, len(part), -REACH_MM)
            if rivals
            else torch.tensor(-REACH_MM).expand(self.first.shape)
        )
        self.logits = torch.empty_like(self.first)
        self.strength = 0.5

    @torch.inference_mode()
    def decode(self, decoder: PriorDecoder, again: bool) -> Iterator[int]:
        """Fill the logits, from the prior or from themselves; yields how many slices each batch was."""
        job = self.job
        distance = self.first
        if again:
            distance = torch.from_numpy(plane_distance((self.logits > 0).numpy(), job.pixel_mm))
        evidence = grey_evidence(self.images, distance, job.pixel_mm)
        self.strength = evidence.strength
        context = float(np.clip(job.offset * job.spacing[0], *_TOLD_CONTEXT_MM))
        facts = decoder_facts(job.pixel_mm, context, evidence.strength, self.error_mm)
        device = next(decoder.parameters()).device
        n = len(distance)
        batch = max(1, _BATCH_PIXELS // distance[0].numel())
        result = torch.empty_like(self.logits)
        for start in range(0, n, batch):
            chosen = slice(start, min(n, start + batch))
            maps = decoder_maps(self.images, distance, self.first, self.rivals, evidence, job.offset, chosen)
            maps = maps.to(device).contiguous(memory_format=torch.channels_last)
            result[chosen] = decoder(maps, facts.repeat(len(maps), 1).to(device)).cpu()
            yield chosen.stop - chosen.start
        self.logits = result

    def native(self, decoder: PriorDecoder) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Logits of wanted slices on the native pixels of the box, some slices at a time, and which those are.

        They are the prior's own, and what was added to them on coarser pixels.
        """
        job, first = self.job, self.part.start
        rows, columns = job.matrices()[1]
        scale = float(decoder.trust.detach()) / SCALE_MM
        keep = self.part.keep
        for piece in _pieces((keep.stop - keep.start, *job.distance.shape[1:])):
            at = slice(keep.start + piece.start, keep.start + piece.stop)
            here = slice(at.start - first, at.stop - first)
            added = rows @ (self.logits[here] - scale * self.first[here]) @ columns.T
            yield at, added.numpy() + np.float32(scale) * job.distance[at]


def _pieces(shape: tuple[int, ...]) -> Iterator[slice]:
    """Slices of an array (n, rows, columns), as many at a time as shall be floats at once."""
    some = max(1, _NATIVE_PIXELS // max(1, shape[1] * shape[2]))
    for first in range(0, shape[0], some):
        yield slice(first, min(first + some, shape[0]))


def _with_margin(prior: Boxed, spacing: tuple[float, float, float], axis: int) -> Box:
    """Box of a mask with a margin; `spacing` is of slices, rows and columns."""
    margins = [int(np.ceil(MARGIN_MM / mm)) for mm in spacing]
    margins.insert(axis, margins.pop(0))
    z, y, x = (
        slice(max(0, side.start - margin), min(n, side.stop + margin))
        for side, n, margin in zip(prior.box, prior.shape, margins, strict=True)
    )
    return z, y, x


def _spacing(volume: Volume, axis: int, settings: PreprocessingSettings) -> tuple[float, float, float]:
    """Distance of slices, rows and columns; a picture without a size is taken for a body across."""
    s = [float(v) for v in volume.geometry.spacing]
    if not volume.calibrated:
        longest = max(n * mm for n, mm in zip(volume.geometry.shape, s, strict=True))
        s = [mm * settings.min_size * settings.mm_per_pixel / longest for mm in s]
    first = s.pop(axis)
    return first, s[0], s[1]
