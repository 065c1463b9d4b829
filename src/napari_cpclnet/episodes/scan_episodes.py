"""Episodes from unlabelled scans: a region of a slice, and the same region a few slices on, as another scanner saw it.

After Ouyang et al., *Self-supervision with superpixels*, ECCV 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from napari_cpclnet.episodes.episode import EpisodeBatch, random_shots
from napari_cpclnet.episodes.prepared_scans import SMALLEST, ScanFile
from napari_cpclnet.episodes.settings import EpisodeSettings
from napari_cpclnet.episodes.style import random_style, restyle, similar_style
from napari_cpclnet.episodes.warp import warped

_LINKED = 3
"""Slices within which a number is one region."""
_DIFFERENT = 0.12
"""Grey values further apart than this belong to different tissue: the region is not there."""
_TRIES = 12


class ScanEpisodes:
    """Draws batches of episodes from prepared scans; slices are read when they are needed.

    Parameters
    ----------
    scans : sequence of ScanFile
    settings : EpisodeSettings
    device : torch.device
    part : tuple of float, optional
        First and last slice that may be shown, as shares of a scan.
    """

    def __init__(
        self,
        scans: Sequence[ScanFile],
        settings: EpisodeSettings,
        device: torch.device,
        part: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        self.settings = settings
        self.device = device
        self._scans: list[tuple[ScanFile, int, int]] = []
        for scan in scans:
            depth = scan.shown.shape[1]
            low, high = (round(share * depth) for share in part)
            if scan.shown[:, low:high].any():
                self._scans.append((scan, low, high))

    def __len__(self) -> int:
        """Number of scans that have something to show."""
        return len(self._scans)

    def batch(self, rng: np.random.Generator, generator: torch.Generator) -> EpisodeBatch:
        """Draw one batch: `rng` chooses scans, slices, regions and styles, `generator` makes the pixels."""
        s = self.settings
        shots = random_shots(s, rng)
        drawn = [self._episode(rng, shots) for _ in range(s.episodes)]
        styles = [random_style(rng) for _ in drawn]
        others = [
            similar_style(k, rng) if rng.random() < s.same_scanner else random_style(rng) for k in styles
        ]
        sides = []
        for side, looks in ((0, styles), (1, others)):
            shown = [warped(*episode[side], s.size, rng, generator) for episode in drawn]
            images = restyle(torch.stack([x for x, _ in shown]), looks, generator)
            sides.append((images, torch.stack([m for _, m in shown])))
        (support, support_masks), (query, query_masks) = sides
        masks = rearrange(support_masks, "e k m h w -> e m k h w").contiguous()
        return EpisodeBatch(support, masks, query, query_masks)

    def _episode(
        self, rng: np.random.Generator, shots: int
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Images (B, 3, H, W) and masks (B, classes, H, W) of support and query."""
        scan, low, high = self._scans[int(rng.integers(len(self._scans)))]
        shown = np.argwhere(scan.shown[:, low:high])
        slice_ = low + int(shown[int(rng.integers(len(shown))), 1])
        first = int(np.clip(slice_ - rng.integers(_LINKED + 1), low, high - 1))
        window = np.arange(first, min(first + _LINKED + 1, high))
        near = window[window != slice_] if len(window) > 1 else window
        support = np.array([slice_, *rng.choice(window, shots - 1)])
        query = rng.choice(near, self.settings.queries)
        step = max(1, round(float(rng.uniform(4, 12)) / scan.context)) if rng.random() < 0.9 else 0
        with safe_open(scan.path, framework="pt") as file:
            stack, regions = file.get_slice("images"), file.get_slice("regions")
            depth = scan.shown.shape[1]

            def images(slices: NDArray[Any]) -> Tensor:
                index = np.clip(slices[:, None] + step * np.array([-1, 0, 1]), 0, depth - 1)
                planes = {i: stack[i] for i in {int(v) for v in index.flat}}
                chosen = [torch.stack([planes[int(i)] for i in row]) for row in index]
                return torch.stack(chosen).to(self.device).float() / 255

            planes = {
                (m, int(z)): regions[m, int(z)].to(torch.int32)
                for m in range(len(scan.shown))
                for z in {*support, *query}
            }
            classes = self._classes(rng, scan, slice_, planes)

            def masks(slices: NDArray[Any]) -> Tensor:
                rows = [torch.stack([planes[m, int(z)] == region for m, region in classes]) for z in slices]
                return torch.stack(rows).to(self.device).float()

            sides = [(images(slices), masks(slices)) for slices in (support, query)]
            self._replace_by_absent(rng, sides, stack, images, np.arange(low, high), slice_)
        return sides[0], sides[1]

    def _classes(
        self, rng: np.random.Generator, scan: ScanFile, slice_: int, planes: dict[tuple[int, int], Tensor]
    ) -> list[tuple[int, int]]:
        """(way of cutting, region) of every class, all visible in one slice; large regions more often."""
        ways = np.flatnonzero(scan.shown[:, slice_])
        chosen = []
        for way in rng.choice(ways, self.settings.classes):
            area = np.bincount(planes[int(way), slice_].flatten().numpy()).astype(float)
            area[0] = 0
            weights = np.sqrt(area) * (area >= SMALLEST)
            chosen.append((int(way), int(rng.choice(len(area), p=weights / weights.sum()))))
        return chosen

    def _replace_by_absent(
        self,
        rng: np.random.Generator,
        sides: list[tuple[Tensor, Tensor]],
        stack: Any,
        images: Any,
        slices: NDArray[Any],
        slice_: int,
    ) -> None:
        """Put slices from far away in the place of some queries, where none of the regions can be.

        A region that goes on far away may bear another number there, so a slice counts as empty of it only if what
        lies in its place has other grey values.
        """
        far = slices[np.abs(slices - slice_) > 4 * _LINKED]
        if not len(far):
            return
        (support, masks), (query, truth) = sides
        inside = masks[0]
        area = inside.sum((1, 2)).clamp(min=1)

        def grey(image: Tensor) -> Tensor:
            return (image * inside).sum((1, 2)) / area

        here = grey(support[0, 1])
        for i in range(len(query)):
            if rng.random() >= self.settings.anywhere:
                continue
            for other in rng.choice(far, _TRIES):
                there = grey(stack[int(other)].to(self.device).float() / 255)
                if bool(((there - here).abs() > _DIFFERENT).all()):
                    query[i], truth[i] = images(np.array([other]))[0], 0
                    break
