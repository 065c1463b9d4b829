"""Episodes of random smooth shapes: two "patients" of an anatomy that nobody has.

What the network learns from phantoms is human anatomy. These volumes teach it to match what it has never seen, by
shape, place and neighbours: a random map of many structures, twice, each time bent and varied by itself.
After the synthetic tasks of Butoi et al., *UniverSeg*, ICCV 2023, in three dimensions.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_cpclnet.episodes.appearance import ScannerAppearance, sample_appearance
from napari_cpclnet.episodes.episode import EpisodeBatch
from napari_cpclnet.episodes.phantom_episodes import LabelEpisodes
from napari_cpclnet.episodes.settings import EpisodeSettings

MOST = 20
"""Structures of a volume, the outside included."""

_SHAPE = (16, 72, 72)
_THICKNESS = 6.0
_ANY = 3  # the look of no scanner that exists


class ShapeEpisodes:
    """Draws batches of episodes, every one from an anatomy of its own.

    Parameters
    ----------
    settings : EpisodeSettings
    device : torch.device
    """

    def __init__(self, settings: EpisodeSettings, device: torch.device) -> None:
        self.settings = settings
        self.device = device
        side = settings.size * settings.mm_per_pixel / _SHAPE[1]
        self._spacing = (_THICKNESS, side, side)

    def batch(self, rng: np.random.Generator, generator: torch.Generator) -> EpisodeBatch:
        """Draw one batch: `rng` chooses anatomies, slices and looks, `generator` makes the pixels."""
        pairs = [random_pair(rng, generator, self.device) for _ in range(self.settings.episodes)]
        drawn = _Pairs(torch.cat(pairs), self._spacing, self.settings).batch(rng, generator)
        return EpisodeBatch(
            drawn.support, drawn.support_masks, drawn.query, drawn.query_masks, same_scan=drawn.same_scan
        )


class _Pairs(LabelEpisodes):
    """Volumes 2 e and 2 e + 1 are the two patients of episode e."""

    def __init__(
        self, labels: Tensor, spacing: tuple[float, float, float], settings: EpisodeSettings
    ) -> None:
        members = np.eye(MOST, dtype=bool)[1:]  # the outside is no class
        super().__init__(labels, spacing, members, np.ones(len(members)), settings)

    def _patients(self, rng: np.random.Generator) -> tuple[int, int]:
        pair = 2 * int(rng.integers(len(self.labels) // 2))
        return pair, pair if rng.random() < self.settings.same_patient else pair + 1

    def _look(self, rng: np.random.Generator) -> ScannerAppearance:
        return sample_appearance(rng, _ANY)


def random_pair(rng: np.random.Generator, generator: torch.Generator, device: torch.device) -> Tensor:
    """Two patients of a random anatomy.

    Every structure is a smooth random field, and a voxel belongs to the largest; the fields of the two are alike.

    Returns
    -------
    Tensor of uint8, shape (2, Z, Y, X)
        0 is outside of the body.
    """
    count = int(rng.integers(6, MOST))
    alike = float(rng.uniform(0.8, 0.98))
    nodes = (4, *(int(n) for n in rng.integers(4, 8, 2)))

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    common = noise(1, count, *nodes)
    fields = alike * common + (1 - alike**2) ** 0.5 * noise(2, count, *nodes)
    # some structures are large, some small
    fields = fields + 0.6 * noise(1, count, 1, 1, 1)
    # cubic in the plane, where a linear field would show its nodes; along the body, slices are mixed
    plane = F.interpolate(fields.flatten(1, 2), _SHAPE[1:], mode="bicubic", align_corners=True)
    plane = plane.view(2, count, nodes[0], *_SHAPE[1:])
    place = torch.linspace(0, nodes[0] - 1, _SHAPE[0], device=device)
    below = place.floor().clamp(max=nodes[0] - 2).long()
    share = (place - below)[:, None, None]
    volume = torch.lerp(plane[:, :, below], plane[:, :, below + 1], share)
    labels = volume.argmax(1).to(torch.uint8) + 1
    if rng.random() < 0.6:
        labels = labels * _body(rng, device)
    return labels


def _body(rng: np.random.Generator, device: torch.device) -> Tensor:
    """Where two patients (2, 1, Y, X) have tissue: ellipses with a wavy outline; without it, all of the picture."""
    y, x = (torch.linspace(-1, 1, n, device=device) for n in _SHAPE[1:])
    radii = rng.uniform(0.55, 0.95, 2) * np.exp(rng.normal(0, 0.06, (2, 2)))
    depth, phase = rng.normal(0, 0.04, (2, 2)), rng.uniform(0, 2 * np.pi, (2, 2))
    bodies = []
    for (tall, wide), waves, begin in zip(radii, depth, phase, strict=True):
        angle = torch.atan2(y[:, None], x[None, :])
        edge = 1 + sum(a * torch.cos(n * angle + b) for n, a, b in zip((2, 3), waves, begin, strict=True))
        bodies.append((y[:, None] / tall) ** 2 + (x[None, :] / wide) ** 2 < edge**2)
    return torch.stack(bodies)[:, None]
