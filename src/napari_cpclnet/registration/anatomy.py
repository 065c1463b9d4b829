"""What the network takes every place of a trunk for, and the affine start that follows from it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from napari_cpclnet.model.body_level import fit_scan_levels, positions_mm
from napari_cpclnet.preprocessing import ModelGrid, PreprocessingSettings
from napari_cpclnet.preprocessing.body import body_box
from napari_cpclnet.registration.affine import Body, Floats, Start, about, by_bodies
from napari_cpclnet.threads import in_one_thread

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume
    from napari_cpclnet.model import CPCLNet
    from napari_cpclnet.registration.images import ReducedScan
    from napari_cpclnet.registration.readout import Readout

_SLICES_MM = 6.0
_BATCH = 4
_LEAST_SIDES_MM = (120.0, 180.0)
"""Depth and width of the body from which a scan may be one of the trunk."""

_SURE = 0.3
_LEAST_CELLS = 6.0
_NEAR_MM = 80.0
_END_MM = 12.0
_MOST_AT_ENDS = 0.1
_FEWEST_LANDMARKS = 5
_MISFIT_MM = 15.0
_SPREAD_MM = 20.0
_MOST_WEIGHT = 12.0
_UNTYPICAL = 5
"""Structures below this label (air, skin, fat, muscles of the wall) have no place of their own."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Probabilities of structures in a scan of the trunk.

    Parameters
    ----------
    probabilities : Tensor, shape (n, S, H, W)
        On slices, rows and columns of the network's cells.
    affine : ndarray (4, 4)
        From index (slice, row, column) to world.
    structures : Tensor of int, shape (n,)
        Labels of the structures.
    level : tuple of float
        Start and slope of the level in the body by the height in mm, the world's first coordinate.
    """

    probabilities: Tensor
    affine: Floats
    structures: Tensor
    level: tuple[float, float]

    def to(self, device: torch.device) -> Anatomy:
        """The same on a device."""
        return Anatomy(self.probabilities.to(device), self.affine, self.structures, self.level)


def seeing(volume: Volume, network: CPCLNet, readout: Readout) -> Generator[None, None, Anatomy | None]:
    """What the network sees in a scan; yields after every few slices.

    Returns
    -------
    Anatomy or None
        None for anything but a trunk in axial slices: too small a body, or slices whose levels lie on no line.
    """
    device = next(network.parameters()).device
    settings = PreprocessingSettings.model_validate(network.metadata.get("preprocessing", {}))
    grid = ModelGrid.for_volume(volume, "axial", settings)
    box = body_box(volume, volume.geometry.spacing)
    sides = [(box[a][1] - box[a][0]) * volume.geometry.spacing[a] for a in (grid.row_axis, grid.column_axis)]
    if not volume.calibrated or any(s < least for s, least in zip(sides, _LEAST_SIDES_MM, strict=True)):
        return None

    def estimate(indices: Sequence[int], tone: int) -> list[float | None]:
        found: list[float | None] = []
        for first in range(0, len(indices), _BATCH):
            images = grid.images(volume, indices[first : first + _BATCH]).to(device)
            with torch.inference_mode(), in_one_thread():
                found += network.encode(images).level.tolist()
            shown = images[:, 1].flatten(1).any(1).tolist()
            found[first:] = [v if s else None for v, s in zip(found[first:], shown, strict=True)]
        return found

    line = fit_scan_levels(volume, grid, estimate, n_variants=1)
    yield
    if line is None:
        return None
    step = max(1, int(_SLICES_MM / volume.geometry.spacing[grid.axis]))
    indices = list(range(grid.n_slices % step // 2, grid.n_slices, step))
    parts = []
    for first in range(0, len(indices), _BATCH):
        part = indices[first : first + _BATCH]
        levels = torch.from_numpy(line.at(positions_mm(volume, grid, part))).to(device)
        # a search of displacements makes millimetres of a last bit, and convolutions round by the number of threads
        with torch.inference_mode(), in_one_thread():
            parts.append(readout(network.encode(grid.images(volume, part).to(device), levels)))
        yield
    probabilities = torch.cat(parts).transpose(0, 1).clone()
    affine = cells_affine(volume, grid, indices[0], step)
    low, high = (positions_mm(volume, grid, [i])[0] for i in (indices[0], indices[-1]))
    middle = np.array([*((np.array(probabilities.shape[2:]) - 1) / 2), 1.0])
    bottom, top = (float(affine[0] @ [i, *middle]) for i in (0, len(indices) - 1))
    slope = line.slope * (high - low) / (top - bottom) if top != bottom else line.slope
    start = line.start + line.slope * low - slope * bottom
    return Anatomy(probabilities, affine, readout.structures, (start, slope))


def cells_affine(volume: Volume, grid: ModelGrid, first: int, step: int) -> Floats:
    """(4, 4) matrix from (slice, row, column) of cells of two network pixels to world, slices every `step`."""
    native = np.zeros((4, 4))
    native[3, 3] = 1.0
    native[grid.axis, 0], native[grid.axis, 3] = step, first
    for k, axis in enumerate((grid.row_axis, grid.column_axis)):
        place = grid.centre[k] + (0.5 - (grid.size[k] - 1) / 2) * grid.steps[k]
        sign = -1.0 if grid.flips[k + 1] else 1.0
        native[axis, k + 1] = sign * 2 * grid.steps[k]
        native[axis, 3] = grid.shape[axis] - 1 - place if grid.flips[k + 1] else place
    return np.asarray(volume.geometry.affine @ native)


def anatomical_starts(
    query: ReducedScan, support: ReducedScan, query_anatomy: Anatomy, support_anatomy: Anatomy
) -> Iterator[Start]:
    """Affine starts of two trunks: by the levels of their slices, and by where their structures lie."""
    (start, slope), (other_start, other_slope) = query_anatomy.level, support_anatomy.level
    heights = slope / other_slope, (start - other_start) / other_slope
    axes = np.eye(3)
    affine = by_bodies(Body.of(query, axes), Body.of(support, axes), axes, axes, heights)
    yield Start(affine, "levels of the slices")
    by_structures = by_landmarks(landmarks(query_anatomy), landmarks(support_anatomy), affine)
    if by_structures is not None:
        yield Start(by_structures, "places of the structures")


def landmarks(anatomy: Anatomy) -> dict[int, tuple[Floats, float]]:
    """Where the structures lie, in mm, and how many cells they fill; those that reach out of the scan are left out."""
    shape = anatomy.probabilities.shape[1:]
    index = np.indices(shape).reshape(3, -1).T
    # in double precision, so that sums are the same in any number of threads
    world = torch.from_numpy(index @ anatomy.affine[:3, :3].T + anatomy.affine[:3, 3])
    height = world[:, 0]
    at_end = (height < height.min() + _END_MM) | (height > height.max() - _END_MM)
    cell = float(abs(np.linalg.det(anatomy.affine[:3, :3]))) / 8.0**3
    found = {}
    for label, values in zip(anatomy.structures.tolist(), anatomy.probabilities.cpu(), strict=True):
        weight = torch.where(values < _SURE, 0.0, values).flatten().double() * cell
        total = float(weight.sum())
        if label < _UNTYPICAL or total < _LEAST_CELLS or float(weight[at_end].sum()) > _MOST_AT_ENDS * total:
            continue
        centre = (weight[:, None] * world).sum(0) / total
        for _ in range(3):  # away from what was mistaken far off
            near = weight * torch.exp(-(((world - centre).norm(dim=1) / _NEAR_MM) ** 2))
            centre = (near[:, None] * world).sum(0) / near.sum().clamp(min=1e-6)
        found[label] = centre.numpy(), total
    return found


def by_landmarks(
    query: dict[int, tuple[Floats, float]], support: dict[int, tuple[Floats, float]], start: Floats
) -> Floats | None:
    """Scale and shift along each world axis that bring places together, outliers and wild scales held back.

    Parameters
    ----------
    query, support : dict
        Places and sizes of structures.
    start : ndarray (4, 4)
        A first affine map, whose scales those found are drawn to.

    Returns
    -------
    ndarray (4, 4) or None
        None if the scans share fewer than five structures.
    """
    shared = sorted(query.keys() & support.keys())
    if len(shared) < _FEWEST_LANDMARKS:
        return None
    here, there = (np.array([places[k][0] for k in shared]) for places in (query, support))
    weights = np.clip([np.sqrt(min(query[k][1], support[k][1])) for k in shared], 0, _MOST_WEIGHT)
    scales, shifts = np.diag(start)[:3].copy(), np.zeros(3)
    for k in range(3):
        x, y, scale = here[:, k], there[:, k], scales[k]
        shift = float(np.median(y - scale * x))
        for _ in range(10):
            trusted = weights / (1 + ((y - scale * x - shift) / _MISFIT_MM) ** 2)
            hold = trusted.sum() * _SPREAD_MM**2
            middle, other = ((trusted * v).sum() / trusted.sum() for v in (x, y))
            slope = (trusted * (x - middle) * (y - other)).sum() + hold * np.diag(start)[k]
            scale = slope / ((trusted * (x - middle) ** 2).sum() + hold)
            shift = other - scale * middle
        scales[k], shifts[k] = scale, shift
    axes = np.eye(3)
    return about(np.zeros(3), shifts, scales, axes, axes)


def common_features(
    query: Anatomy, support: Anatomy, channels: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Square roots of both scans' probabilities in the few directions in which they vary most, (C, S, H, W) each.

    The square roots' distance is that of the distributions (Hellinger).
    """
    roots = [a.probabilities.float().sqrt().flatten(1) for a in (query, support)]
    drawn = [torch.randint(r.shape[1], (8_000,), generator=generator).to(r.device) for r in roots]
    some = torch.cat([r[:, i] for r, i in zip(roots, drawn, strict=True)], 1)
    middle = some.mean(1, keepdim=True)
    _, vectors = torch.linalg.eigh((some - middle) @ (some - middle).T)
    basis = vectors[:, -channels:].T
    one, two = (
        (basis @ (r - middle)).view(-1, *a.probabilities.shape[1:])
        for r, a in zip(roots, (query, support), strict=True)
    )
    return one, two
