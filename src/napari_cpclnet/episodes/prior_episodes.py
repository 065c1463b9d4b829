"""Episodes for the prior decoder: a stack of slices of any plane, a class, and a prior that is nearly right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_cpclnet.episodes.appearance import ScannerAppearance, render, sample_appearance
from napari_cpclnet.episodes.prior_classes import Body, DrawnClass, draw_class
from napari_cpclnet.episodes.prior_errors import Mask, SmoothField, spoiled
from napari_cpclnet.episodes.settings import PriorEpisodeSettings
from napari_cpclnet.model.prior_inputs import REACH_MM, plane_distance

ERRORS = ("patients", "bend")
"""How a prior came about: from another patient, or from a mask that is nearly right."""

Floats = NDArray[np.float32]

_ANY = 3
_SMALL_ML = 40.0


@dataclass(frozen=True, eq=False)
class PriorEpisode:
    """A stack of slices with a class, what is known of it, and the truth.

    Attributes
    ----------
    images : Tensor, shape (N, H, W)
    truth : Tensor of bool, shape (N, H, W)
    distance, rivals : Tensor, shape (N, H, W)
        To the outline of the prior, and of those of other classes, in mm.
    error_mm : float or None
        How far the prior is off, roughly, if anybody knows.
    pixel_mm, context_mm : float
    kind, name, error : str
        Of class and prior.
    """

    images: Tensor
    truth: Tensor
    distance: Tensor
    rivals: Tensor
    error_mm: float | None
    pixel_mm: float
    context_mm: float
    kind: str
    name: str
    error: str


class PriorEpisodes:
    """Draws episodes from bodies.

    Parameters
    ----------
    bodies : sequence of Body
    shapes : sequence of Body
        Nameless ones; may be empty.
    settings : PriorEpisodeSettings
    """

    def __init__(
        self, bodies: Sequence[Body], shapes: Sequence[Body], settings: PriorEpisodeSettings
    ) -> None:
        self.bodies, self.shapes = list(bodies), list(shapes)
        self.settings = settings

    def batch(
        self,
        rng: np.random.Generator,
        generator: torch.Generator,
        count: int,
        kind: str | None = None,
        error: str | None = None,
    ) -> list[PriorEpisode]:
        """Draw `count` episodes, all of one kind of class and prior if those are given."""
        drawn = [self._drawn(rng, kind, error) for _ in range(count)]
        labels = torch.stack([d[0] for d in drawn])[:, :, None]
        images = render(labels, [d[1] for d in drawn], generator)[:, :, 0]
        return [replace(one, images=image) for (_, _, one), image in zip(drawn, images, strict=True)]

    def _drawn(
        self, rng: np.random.Generator, kind: str | None, error: str | None
    ) -> tuple[Tensor, ScannerAppearance, PriorEpisode]:
        while True:
            nameless = bool(self.shapes) and kind in (None, "shape") and rng.random() < self.settings.shapes
            pool = self.shapes if nameless or kind == "shape" else self.bodies
            body = pool[int(rng.integers(len(pool)))]
            one = draw_class(rng, body, None if kind == "shape" else kind)
            found = None if one is None else self._episode(rng, body, one, error)
            if found is not None:
                return found

    def _episode(
        self, rng: np.random.Generator, body: Body, one: DrawnClass, error: str | None
    ) -> tuple[Tensor, ScannerAppearance, PriorEpisode] | None:
        s = self.settings
        pixel, context = _resolution(rng, body, one)
        points = _placed(rng, body, one, (s.slices, s.size, s.size), (context, pixel, pixel))
        truth = _inside(torch.from_numpy(one.mask), points, body.spacing)
        if truth.sum() < 20:
            return None
        chosen = error or str(rng.choice(ERRORS, p=np.array(s.errors) / sum(s.errors)))
        distance, others = _carried_over(rng, chosen, points, body, one, truth, pixel)
        if (distance > 0).sum() < 10:
            return None
        labels = _nearest(torch.from_numpy(one.labels), points, body.spacing)
        look = sample_appearance(rng, None if body.anatomy else _ANY)
        look = replace(
            look,
            noise=look.noise * (4 / pixel) ** 0.5,
            view=look.view if rng.random() < 0.05 else (2.0, 2.0),
            # phantoms have voxels of 2 to 3 mm, which must not show
            blur=float(np.hypot(look.blur, 0.35 * 2.5 / pixel)),
        )
        nothing = torch.full(truth.shape, -REACH_MM)
        episode = PriorEpisode(
            images=nothing,
            truth=torch.from_numpy(truth),
            distance=torch.from_numpy(distance),
            rivals=nothing if others is None else torch.from_numpy(others),
            error_mm=self._error(rng, truth, distance, pixel),
            pixel_mm=pixel,
            context_mm=context,
            kind=one.kind if body.anatomy else "shape",
            name=one.name,
            error=chosen,
        )
        return labels, look, episode

    def _error(self, rng: np.random.Generator, truth: Mask, distance: Floats, pixel: float) -> float | None:
        """How far the outline is off on average, about as well as a caller can know."""
        if rng.random() < self.settings.unknown:
            return None
        return max(outline_error(truth, distance, pixel) * float(np.exp(rng.normal(0, 0.35))), 0.3)


def outline_error(truth: Mask, distance: Floats, pixel_mm: float) -> float:
    """Mean distance of a prior's outline from that of the truth within slices, in mm."""
    there = np.abs(distance) < 0.75 * pixel_mm
    if not there.any():
        return REACH_MM / 2
    return float(np.abs(plane_distance(truth, pixel_mm)[there]).mean())


def _resolution(rng: np.random.Generator, body: Body, one: DrawnClass) -> tuple[float, float]:
    """Side of a pixel and distance of slices, in mm: fine for small classes."""
    ml = one.mask.sum() * np.prod(body.spacing) / 1000
    low, high = (1.5, 3.0) if ml < _SMALL_ML else (1.9, 4.4)
    pixel = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    return pixel, float(rng.uniform(2.5, 9.0))


def _placed(
    rng: np.random.Generator,
    body: Body,
    one: DrawnClass,
    shape: tuple[int, int, int],
    steps: tuple[float, float, float],
) -> Tensor:
    """Places (N, H, W, 3), in mm, of the pixels of a stack in a body that is bent a little.

    Its slices are of any plane through a point of the class, mirrored or not, and `steps` apart along each axis.
    """
    voxels = np.flatnonzero(one.mask)
    at = np.array(np.unravel_index(int(voxels[rng.integers(len(voxels))]), one.mask.shape))
    middle = at * np.array(body.spacing) + rng.normal(0, 6, 3)
    slices = int(rng.choice(3, p=[0.56, 0.22, 0.22]))
    others = [axis for axis in range(3) if axis != slices]
    if rng.random() < 0.3:
        others.reverse()
    axes = np.eye(3)[[slices, *others]] * rng.choice([-1.0, 1.0], (3, 1))
    axes, _ = np.linalg.qr((axes + rng.normal(0, 0.08, (3, 3))).T)
    z, y, x = ((np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape, steps, strict=True))
    places = np.stack(np.meshgrid(z, y, x, indexing="ij"), -1) @ axes.T + middle
    straight = torch.from_numpy(places.astype(np.float32))
    strength = float(abs(rng.normal(0, 4)))
    return straight + SmoothField(rng, strength, 60.0, _extent(body)).at(straight)


def _extent(body: Body) -> NDArray[np.float64]:
    """Size of a body in mm."""
    return np.multiply(body.labels.shape, body.spacing)


def _carried_over(
    rng: np.random.Generator,
    error: str,
    points: Tensor,
    body: Body,
    one: DrawnClass,
    truth: Mask,
    pixel: float,
) -> tuple[Floats, Floats | None]:
    """Distances to a prior beside the truth, as a registration would lay it, and to its rivals there."""
    moved = _moved(rng, error, points, truth, _extent(body))
    wrong = _inside(torch.from_numpy(one.mask), moved, body.spacing)
    beside = None if one.rival is None else _inside(torch.from_numpy(one.rival), moved, body.spacing)
    if error == "patients":
        neighbour = _neighbour(rng, body, one, moved, wrong) if beside is None else beside
        wrong = spoiled(rng, wrong, neighbour)
    others = None if beside is None else plane_distance(beside & ~wrong, pixel)
    return plane_distance(wrong, pixel), others


def _moved(
    rng: np.random.Generator,
    error: str,
    points: Tensor,
    truth: Mask,
    extent: NDArray[np.float64],
) -> Tensor:
    """Points that a registration would take for those of the stack."""
    low, high = (2.0, 15.0) if error == "patients" else (0.4, 4.0)
    rms = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    centre = points[torch.from_numpy(truth)].mean(0)
    scale = torch.from_numpy(np.exp(rng.normal(0, 0.01 * rms, 3)).astype(np.float32))
    shift = torch.from_numpy(rng.normal(0, 0.35 * rms, 3).astype(np.float32))
    field = SmoothField(rng, 0.8 * rms, float(rng.uniform(18, 70)), extent)
    return centre + (points - centre) * scale + shift + field.at(points)


def _neighbour(rng: np.random.Generator, body: Body, one: DrawnClass, points: Tensor, mask: Mask) -> Mask:
    """Another structure of the stack."""
    labels = _nearest(torch.from_numpy(one.labels), points, body.spacing).numpy()
    present = np.setdiff1d(np.unique(labels[~mask]), [0])
    if not len(present):
        return np.zeros_like(mask)
    chosen: Mask = (labels == rng.choice(present)) & ~mask
    return chosen


def _inside(mask: Tensor, points: Tensor, spacing: tuple[float, float, float]) -> Mask:
    """Whether points (..., 3) lie inside of a mask, interpolated between its voxels."""
    low, high = _reach(points, spacing, mask.shape)
    part = mask[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    if not part.any():
        return np.zeros(points.shape[:-1], bool)
    offset = torch.tensor(low, dtype=torch.float32)
    size = torch.tensor(part.shape, dtype=torch.float32)
    grid = ((points / torch.tensor(spacing) - offset + 0.5) / size * 2 - 1).flip(-1)
    found = F.grid_sample(part[None, None].float(), grid[None], mode="bilinear", align_corners=False)
    result: Mask = (found[0, 0] > 0.5).view(points.shape[:-1]).numpy()
    return result


def _reach(
    points: Tensor, spacing: tuple[float, float, float], shape: Sequence[int]
) -> tuple[list[int], list[int]]:
    """First and last voxels that points need."""
    flat = points.reshape(-1, 3) / torch.tensor(spacing)
    low = [int(min(max(v - 1, 0), n - 1)) for v, n in zip(flat.min(0).values.tolist(), shape, strict=True)]
    high = [
        int(min(max(v + 3, a + 1), n))
        for v, a, n in zip(flat.max(0).values.tolist(), low, shape, strict=True)
    ]
    return low, high


def _nearest(labels: Tensor, points: Tensor, spacing: tuple[float, float, float]) -> Tensor:
    """Labels at points (..., 3); 0 outside."""
    index = (points / torch.tensor(spacing)).round().long()
    top = torch.tensor(labels.shape)
    there = ((index >= 0) & (index < top)).all(-1)
    z, y, x = torch.minimum(index.clamp(min=0), top - 1).unbind(-1)
    return labels[z, y, x].long() * there
