"""Episodes from labelled scans: slices of a class in one patient's scan, and of the same class in another's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from napari_cpclnet.episodes.episode import EpisodeBatch, random_shots
from napari_cpclnet.episodes.mask_corruption import corrupt_masks
from napari_cpclnet.episodes.prepared_labels import LabelledFile
from napari_cpclnet.episodes.prepared_scans import SMALLEST
from napari_cpclnet.episodes.settings import EpisodeSettings
from napari_cpclnet.episodes.style import Style, random_style, restyle, similar_style
from napari_cpclnet.episodes.warp import warped

_AS_SCANNED = 0.5
"""Share of the sides that keep the look of their scanner, give or take a little."""
_BEYOND = 4
"""Slices beyond a class's own that queries may show: where false positives are born."""

Place = tuple[int, int]
"""A scan, by its number, and a slice of it."""


class LabelledEpisodes:
    """Draws batches of episodes from prepared labelled scans; slices are read when they are needed.

    Support and query show the same class in scans of two patients, or in one scan: in the share of the episodes that
    the settings ask for (``same_patient``), and where no other patient has the class. Where a scan is a single slice,
    a side shows slices of several scans, none of them of a patient of the other side.

    Parameters
    ----------
    scans : sequence of LabelledFile
    settings : EpisodeSettings
    device : torch.device
    part : tuple of float, optional
        First and last slice that may be shown, as shares of a scan.
    as_scanned : float, optional
        Share of the sides that keep the look of their scanner.
    """

    def __init__(
        self,
        scans: Sequence[LabelledFile],
        settings: EpisodeSettings,
        device: torch.device,
        part: tuple[float, float] = (0.0, 1.0),
        as_scanned: float = _AS_SCANNED,
    ) -> None:
        self.settings = settings
        self.device = device
        self._as_scanned = as_scanned
        self._scans = list(scans)
        self._parts = [_slices(len(scan.area), part) for scan in scans]
        shown: dict[str, dict[int, NDArray[np.int64]]] = {}
        for number, (scan, slices) in enumerate(zip(self._scans, self._parts, strict=True)):
            for name, area in zip(scan.names, scan.area.T, strict=True):
                if len(here := slices[area[slices] >= SMALLEST]):
                    shown.setdefault(name, {})[number] = here
        self._of_class = {name: kept for name, found in shown.items() if (kept := self._with_another(found))}

    def _with_another(self, found: dict[int, NDArray[np.int64]]) -> dict[int, NDArray[np.int64]]:
        """Scans whose class is on a second slice, too: of the same scan, or of another one of that plane."""
        planes = [self._scans[number].plane for number in found]
        return {
            number: slices
            for number, slices in found.items()
            if len(slices) > 1 or planes.count(self._scans[number].plane) > 1
        }

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes that episodes ask for."""
        return tuple(sorted(self._of_class))

    def batch(self, rng: np.random.Generator, generator: torch.Generator) -> EpisodeBatch:
        """Draw one batch: `rng` chooses classes, scans, slices and styles, `generator` makes the pixels."""
        s = self.settings
        shots = random_shots(s, rng)
        plans = [self._plan(rng, shots) for _ in range(s.episodes)]
        own = [support[0][0] == query[0][0] and rng.random() < s.own_scan for _, support, query in plans]
        styles = [self._style(rng) for _ in plans]
        others = [
            k if o else similar_style(k, rng) if rng.random() < s.same_scanner else self._style(rng)
            for k, o in zip(styles, own, strict=True)
        ]
        sides = []
        for places, looks in (([p[1] for p in plans], styles), ([p[2] for p in plans], others)):
            read = [self._read(some, classes, rng) for some, (classes, *_) in zip(places, plans, strict=True)]
            shown = [warped(*one, s.size, rng, generator) for one in read]
            images = restyle(torch.stack([x for x, _ in shown]), looks, generator)
            sides.append((images, torch.stack([m for _, m in shown])))
        (support, support_masks), (query, query_masks) = sides
        support_masks = rearrange(support_masks, "e k m h w -> e m k h w").contiguous()
        for i in np.flatnonzero(own):
            support_masks[i] = corrupt_masks(support_masks[i], None, float(rng.uniform(0, 0.3)), generator)
        return EpisodeBatch(
            support, support_masks, query, query_masks, same_scan=torch.tensor(own, device=self.device)
        )

    def _style(self, rng: np.random.Generator) -> Style:
        if rng.random() >= self._as_scanned:
            return random_style(rng)
        curve = np.linspace(0, 1, 8, dtype=np.float32)
        return Style(curve, 0.0, float(np.exp(rng.normal(0, 0.1))), 0.05, 0.3, 0.005)

    def _plan(self, rng: np.random.Generator, shots: int) -> tuple[list[str], list[Place], list[Place]]:
        """Classes, slices of the support, slices of the query."""
        first = str(rng.choice(self.classes))
        found = self._of_class[first]
        support = int(rng.choice(list(found)))
        query = self._query_scan(rng, first, support)
        if query == support:
            pools = _halves(rng, found[support])
            places = [[(support, int(z)) for z in pool] for pool in pools]
        else:
            mine, other = self._scans[support].patient, self._scans[query].patient
            taken = {scan.patient: rng.random() < 0.5 for scan in self._scans} | {mine: True, other: False}
            places = [
                self._places(support, first, {p for p, side in taken.items() if side}),
                self._places(query, first, {p for p, side in taken.items() if not side}),
            ]
        shown = _spread(rng, places[0], shots)
        asked = [self._asked(rng, places[1], first) for _ in range(self.settings.queries)]
        if query == support:  # the slice that was painted is no question
            given = set(shown)
            asked = [place if place not in given else _one_of(rng, places[1]) for place in asked]
        classes = self._classes(rng, first, shown, asked)
        return classes, shown, asked

    def _query_scan(self, rng: np.random.Generator, name: str, support: int) -> int:
        """Scan that the query shows: mostly another patient's, and one that is cut in the same plane."""
        mine, found = self._scans[support], self._of_class[name]
        same = len(found[support]) > 1
        if same and rng.random() < self.settings.same_patient:
            return support
        others = [n for n in found if n != support and self._scans[n].plane == mine.plane]
        apart = [n for n in others if self._scans[n].patient != mine.patient]
        return int(rng.choice(apart or others or [support]))

    def _places(self, scan: int, name: str, patients: set[str]) -> list[Place]:
        """Slices that show a class: those of a scan, and where it has one slice only, those of more such scans."""
        found = self._of_class[name]
        scans = [scan]
        if self._single(scan):
            scans += [
                n for n in found if n != scan and self._single(n) and self._scans[n].patient in patients
            ]
        return [(n, int(z)) for n in scans for z in found[n]]

    def _single(self, scan: int) -> bool:
        """Whether a scan is one slice; such ones have no plane of their own."""
        return len(self._scans[scan].area) == 1

    def _asked(self, rng: np.random.Generator, places: list[Place], name: str) -> Place:
        """A slice that shows the class, lies near one that does, or is any of that scan."""
        scan, slice_ = _one_of(rng, places)
        slices = self._parts[scan]
        if rng.random() < self.settings.anywhere:
            return scan, int(rng.choice(slices))
        near = slice_ + int(rng.integers(-_BEYOND, _BEYOND + 1)) if rng.random() < 0.5 else slice_
        return scan, int(np.clip(near, slices[0], slices[-1]))

    def _classes(
        self, rng: np.random.Generator, first: str, shown: list[Place], asked: list[Place]
    ) -> list[str]:
        """The class that is asked for and others that the support shows, and the queries' labels know."""
        scans = [self._scans[n] for n in {n for n, _ in (*shown, *asked)}]
        seen = [
            name
            for n, z in shown
            for name, area in zip(self._scans[n].names, self._scans[n].area[z], strict=True)
            if area >= SMALLEST
        ]
        rest = [name for name in sorted({*seen} - {first}) if all(scan.knows(name) for scan in scans)]
        extra = min(self.settings.classes - 1, len(rest))
        chosen = (
            [first, *(str(name) for name in rng.choice(rest, extra, replace=False))] if extra else [first]
        )
        return chosen + [first] * (self.settings.classes - len(chosen))

    def _read(
        self, places: list[Place], classes: list[str], rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) and masks (B, classes, H, W); scans of several sizes are put in the middle of one."""
        away, still = float(rng.uniform(4, 12)), rng.random() >= 0.9
        images, masks = [], []
        for number, slice_ in places:
            scan = self._scans[number]
            step = 0 if still else max(1, round(away / scan.context))
            with safe_open(scan.path, framework="pt") as file:
                stack, labels = file.get_slice("images"), file.get_slice("labels")
                planes = [int(np.clip(slice_ + step * k, 0, len(scan.area) - 1)) for k in (-1, 0, 1)]
                images.append(torch.stack([stack[z] for z in planes]))
                values = labels[slice_]
            of_name = {name: value for value, name in enumerate(scan.names, 1)}
            nowhere = torch.zeros_like(values, dtype=torch.bool)
            masks.append(
                torch.stack([values == of_name[name] if name in of_name else nowhere for name in classes])
            )
        size = [max(x.shape[k] for x in images) for k in (-2, -1)]
        return (
            torch.stack([_centred(x, size) for x in images]).to(self.device).float() / 255,
            torch.stack([_centred(m, size) for m in masks]).to(self.device).float(),
        )


def _slices(depth: int, part: tuple[float, float]) -> NDArray[np.int64]:
    low, high = (round(share * depth) for share in part)
    return np.arange(low, high)


def _one_of(rng: np.random.Generator, places: Sequence[Place]) -> Place:
    return places[int(rng.integers(len(places)))]


def _halves(rng: np.random.Generator, slices: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Slices of one scan for the support and for the query, none of them in both, spread over the same range."""
    if len(slices) < 2:
        return slices, slices
    chosen = np.zeros(len(slices), bool)
    chosen[rng.permutation(len(slices))[: (len(slices) + 1) // 2]] = True
    return slices[chosen], slices[~chosen]


def _spread(rng: np.random.Generator, places: list[Place], count: int) -> list[Place]:
    """So many places, one from each part of the list; some twice where it is shorter."""
    place = ((np.arange(count) + rng.uniform(0.1, 0.9, count)) / count * len(places)).astype(int)
    return [places[i] for i in np.minimum(place, len(places) - 1)]


def _centred(array: Tensor, size: Sequence[int]) -> Tensor:
    """Zeros around the last two axes, up to a size."""
    pad = []
    for k in (-1, -2):
        missing = size[k] - array.shape[k]
        pad += [missing // 2, missing - missing // 2]
    return F.pad(array, pad)
