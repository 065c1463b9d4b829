"""Classes that anybody might paint on a phantom: organs, parts and unions of them, regions without an edge, lesions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_cpclnet.episodes.classes import FREQUENCY, NAMES, membership
from napari_cpclnet.episodes.masses import CORE, MASS, random_masses
from napari_cpclnet.phantoms.structures import STRUCTURES

Mask = NDArray[np.bool_]
Box = tuple[slice, slice, slice]

KINDS = {
    "named": 0.27,
    "structure": 0.13,
    "piece": 0.12,
    "part": 0.18,
    "union": 0.12,
    "region": 0.12,
    "lesion": 0.06,
}
"""Kinds of classes and how often each is drawn from a phantom of a body."""

_SMALLEST = 60
"""Voxels of a structure that can be a class, at 12 cubic mm."""
_OWN_HAND = 0.35
"""Share of the classes whose outline is not quite that of the structure."""
_OUTSIDE = ("air", "couch", "skin")
_MEMBERS = membership()


@dataclass(frozen=True, eq=False)
class Body:
    """A phantom, and where its structures lie.

    Parameters
    ----------
    labels : ndarray of uint8, shape (Z, Y, X)
    spacing : tuple of float
        In mm.
    anatomy : bool
        Whether labels are those of `STRUCTURES`; else they are nameless shapes.
    """

    labels: NDArray[np.uint8]
    spacing: tuple[float, float, float]
    anatomy: bool = True

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Voxels of every label."""
        return np.bincount(self.labels.ravel(), minlength=len(STRUCTURES))

    @cached_property
    def boxes(self) -> list[Box | None]:
        """Bounding box of every label."""
        found = ndimage.find_objects(self.labels.astype(np.int32) + 1, max_label=len(STRUCTURES))
        return list(found)

    def box(self, labels: NDArray[np.int64], margin_mm: float) -> Box:
        """Bounding box of some labels, with a margin."""
        boxes = [box for label in labels if (box := self.boxes[int(label)]) is not None]
        return _grown(_joined(boxes), margin_mm, self.spacing, self.labels.shape)


@dataclass(frozen=True, eq=False)
class DrawnClass:
    """A class on the grid of a phantom.

    Attributes
    ----------
    labels : ndarray of uint8, shape (Z, Y, X)
        Of the phantom, with the lesions that were grown for the class.
    mask : ndarray of bool
    rival : ndarray of bool, or None
        What is painted as other classes beside it.
    kind, name : str
    """

    labels: NDArray[np.uint8]
    mask: Mask
    rival: Mask | None
    kind: str
    name: str


def draw_class(rng: np.random.Generator, body: Body, kind: str | None = None) -> DrawnClass | None:
    """Draw a class on a phantom; None if this try found none.

    Parameters
    ----------
    rng : numpy.random.Generator
    body : Body
    kind : str, optional
        One of `KINDS`; drawn by their frequencies where missing. Shapes have structures and parts of them alone.
    """
    if kind is None:
        kind = str(rng.choice(list(KINDS), p=np.array(list(KINDS.values())) / sum(KINDS.values())))
    if not body.anatomy:
        kind = "part" if rng.random() < 0.25 else "structure"
    found = _of_kind(rng, body, kind)
    return _in_a_hand_of_its_own(rng, body, found) if found and rng.random() < _OWN_HAND else found


def _of_kind(rng: np.random.Generator, body: Body, kind: str) -> DrawnClass | None:
    makers: dict[str, Callable[[np.random.Generator, Body], DrawnClass | None]] = {
        "named": _named,
        "structure": _structure,
        "piece": _piece,
        "part": _part,
        "union": _union,
        "region": _region,
        "lesion": _lesion,
    }
    return makers[kind](rng, body)


def _named(rng: np.random.Generator, body: Body) -> DrawnClass | None:
    row = _target(rng, body)
    if row is None:
        return None
    mine = _MEMBERS[row]
    return _class(rng, body, mine, "named", NAMES[row])


def _structure(rng: np.random.Generator, body: Body) -> DrawnClass | None:
    enough = body.counts >= _smallest(body)
    enough[0] = False
    if body.anatomy:
        enough[[STRUCTURES[name] for name in _OUTSIDE]] = False
    if not enough.any():
        return None
    label = int(rng.choice(np.flatnonzero(enough)))
    name = list(STRUCTURES)[label] if body.anatomy else "shape"
    return _class(rng, body, np.arange(len(STRUCTURES)) == label, "structure", name)


def _piece(rng: np.random.Generator, body: Body) -> DrawnClass | None:
    """One connected piece of a class, as one vertebra, one rib or one of several lesions."""
    row = _target(rng, body, even=True)
    if row is None:
        return None
    box = body.box(np.flatnonzero(_MEMBERS[row]), 0)
    mask = _MEMBERS[row][body.labels[box]]
    touching = NAMES[row] in ("vertebrae", "vertebral bodies")  # by arches, or across thin discs
    if touching:
        mask = ndimage.binary_erosion(mask, iterations=2)
    pieces, count = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    good = np.flatnonzero(sizes >= _smallest(body))
    if not len(good):
        return None
    chosen = pieces == int(rng.choice(good))
    if touching:
        chosen = ndimage.binary_dilation(chosen, iterations=2) & _MEMBERS[row][body.labels[box]]
    whole = np.zeros(body.labels.shape, bool)
    whole[box] = chosen
    rival = np.zeros(body.labels.shape, bool)
    rival[box] = _MEMBERS[row][body.labels[box]] & ~chosen
    keep = rng.random() < 0.5 and bool(rival.any())
    return DrawnClass(body.labels, whole, rival if keep else None, "piece", NAMES[row])


def _part(rng: np.random.Generator, body: Body) -> DrawnClass | None:
    """A part of a structure, cut by planes or a shell; at times with the rest of it as a rival."""
    if body.anatomy:
        row = _target(rng, body, compact=True)
        mine, name = (None, "") if row is None else (_MEMBERS[row], NAMES[row])
    else:
        one = _structure(rng, body)
        mine = None if one is None else np.bincount(one.labels[one.mask], minlength=len(STRUCTURES)) > 0
        name = "shape"
    if mine is None:
        return None
    box = body.box(np.flatnonzero(mine), 0)
    mask = mine[body.labels[box]]
    place = [
        ((np.arange(s.start, s.stop) * mm).reshape([-1 if k == axis else 1 for k in range(3)]))
        for axis, (s, mm) in enumerate(zip(box, body.spacing, strict=True))
    ]
    inside = np.argwhere(mask) * np.array(body.spacing) + [
        s.start * mm for s, mm in zip(box, body.spacing, strict=True)
    ]
    if len(inside) < _smallest(body):
        return None
    middle, spread = np.median(inside, 0), inside.std(0) + 1

    def along(normal: NDArray[np.float64]) -> NDArray[np.float64]:
        parts = [(p - m) / s * n for p, m, s, n in zip(place, middle, spread, normal, strict=True)]
        return np.asarray(parts[0] + parts[1] + parts[2])

    draw = rng.random()
    if draw < 0.5:
        cut = along(_normal(rng)) > rng.uniform(-0.5, 0.5)
    elif draw < 0.65:
        cut = (along(_normal(rng)) > rng.uniform(-0.4, 0.3)) & (along(_normal(rng)) > rng.uniform(-0.4, 0.3))
    elif draw < 0.8:
        low = rng.uniform(-1.2, 0.2)
        side = along(_normal(rng))
        cut = (side > low) & (side < low + rng.uniform(0.8, 1.4))
    elif draw < 0.9:  # the core, deeper than so many mm
        depth = ndimage.distance_transform_edt(mask, body.spacing)
        cut = depth > rng.uniform(0.25, 0.6) * depth.max()
    else:
        radius = np.sqrt(sum(((p - m) / s) ** 2 for p, m, s in zip(place, middle, spread, strict=True)))
        cut = radius < rng.uniform(0.9, 1.5)
    if rng.random() < 0.35:
        cut = ~cut
    chosen, rest = (np.zeros(body.labels.shape, bool) for _ in range(2))
    chosen[box], rest[box] = mask & cut, mask & ~cut
    if chosen.sum() < _smallest(body):
        return None
    keep = rng.random() < 0.5 and bool(rest.any())
    return DrawnClass(body.labels, chosen, rest if keep else None, "part", f"part of {name}")


def _union(rng: np.random.Generator, body: Body) -> DrawnClass | None:
    """Two or three classes painted as one."""
    rows: list[int] = []
    for _ in range(int(rng.integers(2, 4))):
        row = _target(rng, body)
        if row is not None and row not in rows:
            rows.append(row)
    if len(rows) < 2:
        return None
    return _class(rng, body, np.asarray(_MEMBERS[rows].any(0)), "union", "+".join(NAMES[row] for row in rows))


def _region(rng: np.random.Generator, body: Body) -> DrawnClass | None:
    """An ellipsoid somewhere in the body, which no edge bounds."""
    row = _target(rng, body, compact=True)
    if row is None:
        return None
    at = body.boxes[int(np.flatnonzero(_MEMBERS[row] & (body.counts > 0))[0])]
    if at is None:
        return None
    low = np.array([s.start for s in at]) * body.spacing
    high = np.array([s.stop for s in at]) * body.spacing
    centre = low + (high - low) * rng.uniform(0, 1, 3) + rng.normal(0, 10, 3)
    radii = rng.uniform(8, 45) * np.exp(rng.normal(0, 0.25, 3))
    box = _box_around(centre, radii, body)
    if box is None:
        return None
    far = sum(
        ((((np.arange(s.start, s.stop) * mm) - c) / r) ** 2).reshape(
            [-1 if k == axis else 1 for k in range(3)]
        )
        for axis, (s, mm, c, r) in enumerate(zip(box, body.spacing, centre, radii, strict=True))
    )
    body_there = ~np.isin(body.labels[box], [STRUCTURES[name] for name in _OUTSIDE])
    mask = np.zeros(body.labels.shape, bool)
    mask[box] = (far < 1) & body_there
    if mask.sum() < _smallest(body):
        return None
    return DrawnClass(body.labels, mask, None, "region", f"region at {NAMES[row]}")


def _lesion(rng: np.random.Generator, body: Body) -> DrawnClass | None:
    labels = torch.from_numpy(body.labels)
    masses = random_masses(rng, labels)
    if masses is None:
        return None
    grown: Tensor = masses.grow(labels, np.arange(len(labels)), body.spacing)
    after = grown.numpy()
    mask = (after == MASS) | (after == CORE)
    if rng.random() < 0.15:
        mask = after == (CORE if (after == CORE).any() else MASS)
    if mask.sum() < 20:
        return None
    return DrawnClass(after, mask, None, "lesion", "lesion")


def _in_a_hand_of_its_own(rng: np.random.Generator, body: Body, one: DrawnClass) -> DrawnClass:
    """The class as somebody paints it who rounds corners, or stays inside or outside of the edge."""
    low, high = (
        [
            int(pick(np.flatnonzero(one.mask.any(tuple(a for a in range(3) if a != axis)))))
            for axis in range(3)
        ]
        for pick in (np.min, np.max)
    )
    tight: Box = (slice(low[0], high[0] + 1), slice(low[1], high[1] + 1), slice(low[2], high[2] + 1))
    box = _grown(tight, 6.0, body.spacing, one.mask.shape)
    width = float(rng.uniform(1.0, 3.0))
    smooth = ndimage.gaussian_filter(one.mask[box].astype(np.float32), [width / mm for mm in body.spacing])
    painted = smooth > rng.uniform(0.3, 0.7)
    share = painted.sum() / one.mask.sum()
    if not 0.6 < share < 1.6:  # thin structures vanish
        return one
    mask = np.zeros_like(one.mask)
    mask[box] = painted
    rival = None if one.rival is None else one.rival & ~mask
    return replace(one, mask=mask, rival=rival)


def _class(rng: np.random.Generator, body: Body, mine: Mask, kind: str, name: str) -> DrawnClass | None:
    """Class of some labels; half of the time others near it are painted, too."""
    if body.counts[mine].sum() < _smallest(body):
        return None
    mask = mine[body.labels]
    rival = None
    if rng.random() < 0.5:
        box = body.box(np.flatnonzero(mine & (body.counts > 0)), 25)
        near = np.bincount(body.labels[box].ravel(), minlength=len(STRUCTURES)) >= _smallest(body)
        others = np.zeros(len(STRUCTURES), bool)
        if body.anatomy:
            rows = [
                r for r in range(len(NAMES)) if near[_MEMBERS[r]].any() and not (_MEMBERS[r] & mine).any()
            ]
            for row in rng.permutation(rows)[: int(rng.integers(1, 8))]:
                others |= _MEMBERS[row]
        else:
            others = near & ~mine & (rng.random(len(near)) < 0.5)
            others[0] = False
        rival = others[body.labels] if others.any() else None
    return DrawnClass(body.labels, mask, rival, kind, name)


def _target(rng: np.random.Generator, body: Body, even: bool = False, compact: bool = False) -> int | None:
    """A class that the phantom shows; `even`: all alike, `compact`: none that is everywhere."""
    voxels = _MEMBERS @ body.counts
    good = voxels >= _smallest(body)
    if compact:
        good &= voxels < 0.05 * body.labels.size
    rows = np.flatnonzero(good)
    if not len(rows):
        return None
    weight = np.ones(len(rows)) if even else FREQUENCY[rows] ** 0.7
    return int(rng.choice(rows, p=weight / weight.sum()))


def _smallest(body: Body) -> float:
    return float(_SMALLEST * 12 / np.prod(body.spacing))


def _normal(rng: np.random.Generator) -> NDArray[np.float64]:
    normal: NDArray[np.float64] = np.zeros(3)
    if rng.random() < 0.5:
        normal[rng.integers(3)] = rng.choice([-1, 1])
        return normal
    normal = rng.normal(size=3)
    return normal / np.linalg.norm(normal)


def _joined(boxes: list[Box]) -> Box:
    low, high = (
        [pick(getattr(box[axis], end) for box in boxes) for axis in range(3)]
        for pick, end in ((min, "start"), (max, "stop"))
    )
    return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])


def _grown(box: Box, margin_mm: float, spacing: tuple[float, float, float], shape: tuple[int, ...]) -> Box:
    parts = []
    for part, mm, n in zip(box, spacing, shape, strict=True):
        margin = int(np.ceil(margin_mm / mm))
        parts.append(slice(max(0, part.start - margin), min(n, part.stop + margin)))
    return parts[0], parts[1], parts[2]


def _box_around(centre: NDArray[np.float64], radii: NDArray[np.float64], body: Body) -> Box | None:
    parts = []
    for c, r, mm, n in zip(centre, radii, body.spacing, body.labels.shape, strict=True):
        part = slice(max(0, int((c - r) / mm)), min(n, int((c + r) / mm) + 2))
        if part.stop <= part.start:
            return None
        parts.append(part)
    return parts[0], parts[1], parts[2]
