"""Cache of the network's features of a scan's slices, computed once, and the line of their body levels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_cpclnet.model.body_level import (
    BodyLevelFit,
    SliceLevels,
    fit_scan_levels,
    positions_mm,
    too_short,
)
from napari_cpclnet.preprocessing.tta import N_VARIANTS, intensity_variants, is_outlier
from napari_cpclnet.segmentation.memory import moved

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Plane, Volume
    from napari_cpclnet.model import CPCLNet, Descriptors, Features
    from napari_cpclnet.preprocessing import ModelGrid
    from napari_cpclnet.segmentation.support import SupportSet, SupportSlice

CACHE_BYTES = 256 * 2**20
"""Bytes of features that are kept of one scan."""

_FEWEST_ROWS = 8
"""Slices for which there is room from the first one on."""


@dataclass(frozen=True)
class EncodedSlices:
    """Painted slices of one size as the network sees them.

    Parameters
    ----------
    images : Tensor, shape (K, 3, H, W)
    masks : Tensor, shape (classes, K, H, W)
        In the order of the classes' label values.
    features : Features
        Of the `K` slices; their levels from the lines of their scans.
    same_scan : Tensor of bool, shape (K,)
        Which of them are of the scan that is asked for.
    known : Tensor, shape (classes, K, H, W)
        Where it is known whether a class is there, in [0, 1]; the masks are 0 elsewhere. Without any element where all
        slices are complete.
    """

    images: Tensor
    masks: Tensor
    features: Features
    same_scan: Tensor
    known: Tensor

    @property
    def levels(self) -> Tensor:
        """Levels in the body, (K,)."""
        return self.features.level.clone()  # outside of inference mode

    @staticmethod
    def cat(parts: Sequence[EncodedSlices]) -> EncodedSlices:
        """Join slices of one size."""
        features = type(parts[0].features).cat([p.features for p in parts])
        return EncodedSlices(
            torch.cat([p.images for p in parts]),
            torch.cat([p.masks for p in parts], 1),
            features,
            torch.cat([p.same_scan for p in parts]),
            torch.cat([p.everywhere() for p in parts], 1)
            if any(p.known.numel() for p in parts)
            else parts[0].known,
        )

    def everywhere(self) -> Tensor:
        """What is known of every pixel, of complete slices, too."""
        return self.known if self.known.numel() else torch.ones_like(self.masks)


class FeatureCache:
    """One scan, encoded slice by slice when it is asked for.

    Whoever segments a scan again, after another painted slice or for another organ, finds its slices encoded.

    Parameters
    ----------
    volume : Volume
    grid : ModelGrid
        Of that volume.
    encode : callable
        Features of images (n, 3, H, W) with levels (n,) or None, on the device of its choice, without gradients.
    batch_size : int
        Slices to compute with at once; may be set anew at any time.
    """

    def __init__(
        self,
        volume: Volume,
        grid: ModelGrid,
        encode: Callable[[Tensor, Tensor | None], Features],
        batch_size: int = 1,
    ) -> None:
        self.volume, self.grid = volume, grid
        self._encode, self.batch_size = encode, batch_size
        self._kept = _KeptFeatures(grid.n_slices, CACHE_BYTES)
        self._tones: dict[int, int] = {}  # in which tone a slice is read best, of those that were compared

    def move(self, device: torch.device) -> None:
        """Bring what is kept to a device."""
        self._kept.move(device)

    @cached_property
    def line(self) -> BodyLevelFit | None:
        """Levels of the slices as one line, where they lie on one."""

        def estimate(indices: Sequence[int], tone: int) -> list[float | None]:
            # the estimates alone: what the features are depends on the line that comes of them
            found: dict[int, float] = {}
            for part, images in self._batches(indices, tone):
                found |= zip(part, self._encode(images, None).level.tolist(), strict=True)
            return [found.get(index) for index in indices]

        return fit_scan_levels(self.volume, self.grid, estimate, N_VARIANTS)

    @property
    def slice_levels(self) -> SliceLevels | None:
        """The same by the numbers of the slices."""
        return None if self.line is None else SliceLevels.of(self.volume, self.grid, self.line)

    def _levels(self, indices: Sequence[int]) -> Tensor | None:
        """Levels that slices are encoded with; None where the network's own estimates must do."""
        if self.line is not None:
            return torch.from_numpy(self.line.at(positions_mm(self.volume, self.grid, indices)))
        if self.grid.plane == "axial" and too_short(self.volume, self.grid):
            return None
        return torch.full((len(indices),), torch.nan)

    def features(self, indices: Sequence[int]) -> list[Features | None]:
        """Features of single slices; None where a slice shows nothing.

        They are encoded with their levels on the scan's line, or with unknown ones where there is no line, as in a limb
        or another plane than axial. An axial scan too short for a line keeps the network's own estimates. A slice that
        the network misreads, as the line shows, is read in the tone that suits it best.
        """
        found = self._raw(indices)
        levels = self._levels(indices)
        if levels is None:
            return found
        if self.line is not None:
            found = [
                None if f is None else self._read_right(index, f, level)
                for index, f, level in zip(indices, found, levels, strict=True)
            ]
        return [
            None if f is None else replace(f, level=torch.full_like(f.level, float(level)))
            for f, level in zip(found, levels, strict=True)
        ]

    def _read_right(self, index: int, found: Features, level: Tensor) -> Features:
        """Features of a slice, of its best reading if the network misread it."""
        if index in self._tones or not is_outlier(float(found.level[0]), float(level)):
            return found
        other = torch.cat(intensity_variants(self.grid.images(self.volume, [index]))[1:])
        others = self._encode(other, level.expand(len(other)))
        readings = type(found).cat([moved(found, others.level.device), others])
        best = int((readings.level - float(level)).abs().argmin())
        self._tones[index] = best
        if best == 0:
            return found
        chosen = readings.select([best])
        if index in self._kept:
            self._kept.keep(index, chosen)
        return chosen

    def _raw(self, indices: Sequence[int]) -> list[Features | None]:
        """Features with the encoder's own estimates of the levels."""
        missing = [i for i in indices if i not in self._kept]
        new: dict[int, Features | None] = dict.fromkeys(missing)
        for part, images in self._batches(missing):
            features = self._encode(images, self._levels(part))
            new |= {index: features.select([row]) for row, index in enumerate(part)}
        for index, one in new.items():
            self._kept.keep(index, one)
        return [new[i] if i in new else self._kept.of(i) for i in indices]

    def _batches(self, indices: Sequence[int], tone: int = 0) -> Iterator[tuple[list[int], Tensor]]:
        """Slices that show something, some at once, and their images in the tones they are read in, else `tone`."""
        for first in range(0, len(indices), self.batch_size):
            part = indices[first : first + self.batch_size]
            images = self.grid.images(self.volume, part)
            shown = [place for place, image in enumerate(images) if image[1].any()]
            if shown:
                toned = [
                    intensity_variants(images[[place]])[self._tones.get(part[place], tone)] for place in shown
                ]
                yield [part[place] for place in shown], torch.cat(toned)


class _KeptFeatures:
    """Features of some slices, in one tensor of each kind.

    Tensors of single slices would lie scattered among those that the network computes with and throws away, and hold on
    to all the memory between them: of a scan of 600 slices as much again as they take.

    Parameters
    ----------
    n_slices : int
        Of the scan.
    most_bytes : int
        What does not fit into them is not kept.
    """

    def __init__(self, n_slices: int, most_bytes: int) -> None:
        self._n_slices, self._most_bytes = n_slices, most_bytes
        self._rows: dict[int, int | None] = {}
        self._all: Features | None = None
        self._used, self._size = 0, 0

    def __contains__(self, index: int) -> bool:
        return index in self._rows

    def of(self, index: int) -> Features | None:
        """Features of a slice that is kept; None if it shows nothing."""
        row = self._rows[index]
        if row is None:
            return None
        assert self._all is not None
        return self._all.select(slice(row, row + 1))

    @torch.inference_mode(False)  # what is made in inference mode cannot be written to outside of it
    def keep(self, index: int, features: Features | None) -> None:
        """Keep a slice if there is room, in the place of what was kept of it before."""
        if features is None:
            self._rows[index] = None
            return
        row = self._rows.get(index)
        if row is None:
            if not self._has_room(features):
                return
            row, self._used = self._used, self._used + 1
            self._rows[index] = row
        for name, values in _tensors(self._all):
            values[row] = getattr(features, name)[0]

    def move(self, device: torch.device) -> None:
        """Bring everything to a device."""
        self._all = moved(self._all, device)

    def _has_room(self, one: Features) -> bool:
        """Whether there is room for another slice; it is made if it may be."""
        if self._used < self._size:
            return True
        n_bytes = sum(values.element_size() * values.nelement() for _, values in _tensors(one))
        size = min(max(_FEWEST_ROWS, 2 * self._size), self._n_slices, self._most_bytes // n_bytes)
        if size <= self._size:
            return False
        grown = {name: values.new_empty((size, *values.shape[1:])) for name, values in _tensors(one)}
        for name, values in _tensors(self._all):
            grown[name][: self._size] = values
        self._all, self._size = replace(one, **grown), size
        return True


def encoded_support(
    support: SupportSet,
    own: Sequence[SupportSlice],
    scan_of: Callable[[Volume, Plane], FeatureCache],
    encode: Callable[[Tensor, Tensor | None], Features],
    device: torch.device,
) -> tuple[EncodedSlices, ...]:
    """What the network sees of a support set; one entry per size of its images.

    Parameters
    ----------
    support : SupportSet
    own : sequence of SupportSlice
        Those of its slices that are of the scan that is asked for.
    scan_of : callable
        A scan, encoded in a plane.
    encode : callable
        As in :class:`FeatureCache`.
    device : torch.device
    """
    asked = {(id(s.volume), s.plane, s.index) for s in own}
    scans: dict[tuple[int, str], list[SupportSlice]] = {}
    for one in support.slices:
        scans.setdefault((id(one.volume), one.plane), []).append(one)
    groups: dict[tuple[int, int], list[EncodedSlices]] = {}
    for slices in scans.values():
        scan = scan_of(slices[0].volume, slices[0].plane)
        indices = [s.index for s in slices]
        features = [
            one
            # a slice without anything teaches, too
            or encode(scan.grid.images(scan.volume, [index]), None)
            for index, one in zip(indices, scan.features(indices), strict=True)
        ]
        masks = torch.stack([_masks(scan.grid, s, support.classes) for s in slices], 1)
        known = torch.zeros(0)
        if any(s.partial for s in slices):
            known = torch.stack([_known(scan.grid, s, support.classes) for s in slices], 1)
        one_scan = EncodedSlices(
            scan.grid.images(scan.volume, indices).to(device),
            (masks * known if known.numel() else masks).to(device),
            type(features[0]).cat([moved(one, device) for one in features]),
            torch.tensor([(id(s.volume), s.plane, s.index) in asked for s in slices], device=device),
            known.to(device),
        )
        groups.setdefault(scan.grid.size, []).append(one_scan)
    return tuple(
        EncodedSlices.cat([moved(part, device) for part in parts])
        for _, parts in sorted(groups.items(), key=lambda item: item[0])
    )


def described_by(model: CPCLNet, groups: Sequence[EncodedSlices]) -> Descriptors:
    """Description of a support set by a network."""
    seen = ([g.features for g in groups], [g.masks for g in groups], [g.same_scan for g in groups])
    if any(g.known.numel() for g in groups):
        return model.describe(*seen, known=[g.everywhere() for g in groups])
    return model.describe(*seen)


def _masks(grid: ModelGrid, one: SupportSlice, classes: Iterable[int]) -> Tensor:
    return torch.stack([grid.mask(one.labels2d, value) for value in classes])


def _known(grid: ModelGrid, one: SupportSlice, classes: Iterable[int]) -> Tensor:
    return torch.stack([grid.mask(one.known_of(value), True) for value in classes])


def parameters_hash(model: nn.Module) -> str:
    """Hash of the parameters themselves: adaptation changes them under the same file name."""
    digest = hashlib.sha256()
    for value in model.state_dict().values():
        digest.update(value.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()


def _tensors(features: Features | None) -> list[tuple[str, Tensor]]:
    return [] if features is None else [(f.name, getattr(features, f.name)) for f in fields(features)]
