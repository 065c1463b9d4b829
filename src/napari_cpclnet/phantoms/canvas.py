"""A label volume on which anatomy is painted with implicit functions, in millimetres of the body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cpclnet.phantoms.structures import STRUCTURES

Float = NDArray[np.float32]
AnyFloat = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Box = tuple[slice, slice, slice]
HARD = 1e3  # depth given to structures that nothing soft may displace (bone, great vessels)
EMPTY = -1e3


def smooth_min(a: Float, b: Float, k: float) -> Float:
    """Minimum of two depths (mm) whose crease is rounded over about `k` mm."""
    h = np.maximum(k - np.abs(a - b), 0.0) / k
    return np.asarray(np.minimum(a, b) - h * h * (k * 0.25), dtype=np.float32)


def smooth_max(a: Float, b: Float, k: float) -> Float:
    """Maximum of two depths (mm), rounded over about `k` mm."""
    return -smooth_min(-a, -b, k)


def ramp(x: AnyFloat, low: float, high: float) -> Float:
    """Smooth step from 0 at `low` to 1 at `high`."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=np.float32)


def _basis(n: int, step: float, offset: float) -> Float:
    """Cubic B-spline weights (n samples, m nodes) of nodes one unit apart, samples `step` apart."""
    u = offset + np.arange(n) * step
    base = np.floor(u).astype(int)
    t = u - base
    weights = np.stack(
        [(1 - t) ** 3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6, (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6, t**3 / 6]
    )
    matrix = np.zeros((n, int(base[-1]) + 4), np.float32)
    for i in range(4):
        matrix[np.arange(n), base + i] = weights[i]
    return matrix


class Canvas:
    """Labels, the body coordinates of every voxel, and the depth of what has been painted there.

    `s` (mm above the iliac crest), `p` (mm behind the body axis) and `l` (mm left of it) are the coordinates
    of each voxel in the undeformed body: painting in them makes the whole body deformed at once.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape, spacing : tuple
        Of the grid, (z, y, x).
    crest : tuple of float
        Where in the grid the body's origin lies, mm.
    bend : float
        Strength of the deformation.
    axes : ndarray, shape (3, 3), optional
        Rows are the directions (above, behind, left) of the grid's z, y and x in the body; upright where missing.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        shape: tuple[int, int, int],
        spacing: tuple[float, float, float],
        crest: tuple[float, float, float],
        bend: float,
        axes: NDArray[np.float64] | None = None,
    ) -> None:
        self.rng = rng
        self.shape = shape
        self.spacing = spacing
        self.labels = np.zeros(shape, np.uint8)
        self.depth = np.full(shape, EMPTY, np.float32)
        self.whole: Box = (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
        self._turn = np.eye(3) if axes is None else axes
        self.flat = [
            (np.arange(n, dtype=np.float32) * h - c) for n, h, c in zip(shape, spacing, crest, strict=True)
        ]
        lines = self.flat[0][:, None, None], self.flat[1][None, :, None], self.flat[2][None, None, :]
        straight = [
            sum(np.float32(k) * line for k, line in zip(part, lines, strict=True) if k)
            for part in self._turn.T
        ]
        moves = [
            bend * 4.0 * self.noise(self.whole, 80.0) + 1.0 * self.noise(self.whole, 30.0) for _ in range(3)
        ]
        phase = rng.uniform(0, 6.28)
        moves[2] += (bend * rng.normal(0, 3.0) * np.sin(straight[0] / 90.0 + phase)).astype(np.float32)
        self._moves = moves
        self._steps = 2  # the deformation is gentle: two steps of its fixed-point inverse are enough
        self.s: Float = straight[0] + moves[0]
        self.p: Float = straight[1] + moves[1]
        self.l: Float = straight[2] + moves[2]
        self.gravity: Float = np.broadcast_to(straight[1], shape)
        self.room: Mask = np.ones(shape, bool)

    def carry(self, s: Float, p: Float, l: Float) -> None:
        """Take other body coordinates of the voxels: a body that is turned, bent or of another size."""
        self.s, self.p, self.l = s, p, l
        axes = np.ix_(*self.flat)
        self._moves = [field - axis for field, axis in zip((s, p, l), axes, strict=True)]
        self._steps = 8

    def noise(self, box: Box, wavelength: float) -> Float:
        """Smooth Gaussian noise of about unit variance over `box`, nodes `wavelength` mm apart."""
        parts = []
        for cut, spacing in zip(box, self.spacing, strict=True):
            parts.append(_basis(cut.stop - cut.start, spacing / wavelength, float(self.rng.uniform(0, 1))))
        nodes = self.rng.standard_normal([part.shape[1] for part in parts]).astype(np.float32)
        out = np.tensordot(nodes, parts[2], axes=(2, 1))
        out = np.moveaxis(np.tensordot(out, parts[1], axes=(1, 1)), 2, 1)
        out = np.tensordot(parts[0], out, axes=(1, 0))
        return np.ascontiguousarray(out * 3.0, dtype=np.float32)

    def box(self, centre: ArrayLike, radius: ArrayLike) -> Box | None:
        """Slices around a body point; None when it lies outside the grid."""
        point = np.asarray(centre, float)
        reach = np.abs(self._turn) @ np.broadcast_to(np.asarray(radius, float), (3,))
        origin = np.array([axis[0] for axis in self.flat])
        voxel = self._turn @ point
        for _ in range(self._steps):
            index = np.clip((voxel - origin) / self.spacing, 0, np.array(self.shape) - 1).astype(int)
            voxel = self._turn @ (point - np.array([move[tuple(index)] for move in self._moves]))
        margin = 4.0 + 0.15 * reach.max()
        low = np.floor((voxel - reach - margin - origin) / self.spacing).astype(int)
        high = np.ceil((voxel + reach + margin - origin) / self.spacing).astype(int) + 1
        low, high = np.maximum(low, 0), np.minimum(high, self.shape)
        if np.any(high - low < 1):
            return None
        return (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))

    def voxels(self, points: NDArray[np.float64]) -> tuple[NDArray[np.intp], Mask]:
        """Nearest voxels (N, 3) of points (N, 3) of the undeformed body, and which of them lie in the grid."""
        origin = np.array([axis[0] for axis in self.flat])
        index = np.round((points @ self._turn.T - origin) / self.spacing).astype(np.intp)
        inside: Mask = np.all((index >= 0) & (index < self.shape), axis=1)
        return index, inside

    def near(self, centre: ArrayLike, radius: ArrayLike) -> tuple[Box, Float, Float, Float] | None:
        """A box and the coordinates relative to its centre (above, behind, left), mm."""
        box = self.box(centre, radius)
        if box is None:
            return None
        s, p, l = (float(v) for v in np.asarray(centre, float))
        return box, self.s[box] - s, self.p[box] - p, self.l[box] - l

    def paint(self, box: Box, depth: Float, name: str, *, hard: bool = False, inside: bool = True) -> Mask:
        """Label voxels where `depth` is positive and deeper than what lies there; return the mask."""
        mask = (depth > 0) & (depth > self.depth[box])
        if inside:
            mask &= self.room[box]
        self.labels[box][mask] = STRUCTURES[name]
        self.depth[box][mask] = HARD if hard else depth[mask]
        return mask

    def relabel(self, box: Box, mask: Mask, old: str | Sequence[str], new: str) -> None:
        """Change voxels of structure(s) `old` under `mask` to `new`."""
        names = [old] if isinstance(old, str) else list(old)
        view = self.labels[box]
        found = view == STRUCTURES[names[0]]
        for name in names[1:]:
            found |= view == STRUCTURES[name]
        view[found & mask] = STRUCTURES[new]

    def is_any(self, box: Box, *names: str) -> Mask:
        """Where the label is one of `names`."""
        table = np.zeros(256, bool)
        for name in names:
            table[STRUCTURES[name]] = True
        return table[self.labels[box]]

    def ellipsoid(
        self, centre: ArrayLike, radii: ArrayLike, axes: NDArray[np.float64] | None = None, rough: float = 0.0
    ) -> tuple[Box, Float] | None:
        """Approximate depth (mm) inside an ellipsoid; rows of `axes` are its principal directions."""
        r = np.asarray(radii, float)
        reach: ArrayLike = r if axes is None else np.sqrt(((axes * r[:, None]) ** 2).sum(0))
        found = self.near(centre, reach)
        if found is None:
            return None
        box, s, p, l = found
        if axes is None:
            u, v, w = s, p, l
        else:
            a = axes.astype(np.float32)
            u, v, w = (a[i, 0] * s + a[i, 1] * p + a[i, 2] * l for i in range(3))
        q = np.sqrt((u / r[0]) ** 2 + (v / r[1]) ** 2 + (w / r[2]) ** 2)
        depth = (1.0 - q) * float(r.min()) * 0.5 + (1.0 - q) * float(np.median(r)) * 0.5
        if rough > 0:
            depth = depth + rough * self.noise(box, 2.0 * float(r.min()))
        return box, depth.astype(np.float32)


class TubeField:
    """Depth (mm) inside a chain of tapered capsules, and the position along it.

    Attributes
    ----------
    box : Box or None
        Where the chain passes; None if it misses the grid.
    local, along : ndarray
        In `box`: the depth, and the number of the capsule plus the share of its length.
    """

    def __init__(self, canvas: Canvas, points: ArrayLike, radii: ArrayLike, squash: float = 1.0) -> None:
        pts = np.asarray(points, float)
        rad = np.asarray(radii, float)
        self._shape = canvas.shape
        halves = [(pts[i + 1] - pts[i]) / 2 for i in range(len(pts) - 1)]
        boxes = [canvas.box(pts[i] + d, np.abs(d) + max(rad[i], rad[i + 1])) for i, d in enumerate(halves)]
        reached = [box for box in boxes if box is not None]
        low = [min((box[k].start for box in reached), default=0) for k in range(3)]
        high = [max((box[k].stop for box in reached), default=0) for k in range(3)]
        self.box: Box | None = None
        if reached:
            self.box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
        size = [b - a for a, b in zip(low, high, strict=True)]
        self.local: Float = np.full(size, EMPTY, np.float32)
        self.along: Float = np.zeros(size, np.float32)
        for i, (d, box) in enumerate(zip(halves, boxes, strict=True)):
            if box is None:
                continue
            s, p, l = (
                field[box] - np.float32(k)
                for field, k in zip((canvas.s, canvas.p, canvas.l), pts[i] + d, strict=True)
            )
            n = max(float(d @ d), 1e-6)
            t = np.clip(
                (s * np.float32(d[0]) + p * np.float32(d[1]) + l * np.float32(d[2])) / np.float32(n), -1, 1
            )
            gap = (s - t * np.float32(d[0])) ** 2
            gap += ((p - t * np.float32(d[1])) * np.float32(squash)) ** 2
            gap += (l - t * np.float32(d[2])) ** 2
            t = 0.5 * t + 0.5
            depth = np.float32(rad[i]) + t * np.float32(rad[i + 1] - rad[i]) - np.sqrt(gap)
            here = tuple(slice(part.start - a, part.stop - a) for part, a in zip(box, low, strict=True))
            view = self.local[here]
            better = depth > view
            view[better] = depth[better]
            self.along[here][better] = t[better] + i

    @property
    def depth(self) -> Float:
        """Depth in the whole grid."""
        full = np.full(self._shape, EMPTY, np.float32)
        if self.box is not None:
            full[self.box] = self.local
        return full


def curve(points: ArrayLike, step: float) -> NDArray[np.float64]:
    """Catmull-Rom curve through control rows (any columns; the first three are mm), about `step` mm apart."""
    p = np.asarray(points, float)
    ext = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    rows = []
    for i in range(1, len(ext) - 2):
        n = max(1, int(np.linalg.norm(ext[i + 1, :3] - ext[i, :3]) / step))
        t = (np.arange(n) / n)[:, None]
        a, b, c, d = ext[i - 1], ext[i], ext[i + 1], ext[i + 2]
        rows.append(
            0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        )
    rows.append(p[-1:])
    return np.vstack(rows)


Branch = tuple[NDArray[np.float64], NDArray[np.float64], float, float]


def branches(
    rng: np.random.Generator,
    start: NDArray[np.float64],
    step: NDArray[np.float64],
    radius: float,
    orders: int,
) -> list[Branch]:
    """A vessel that forks `orders` times, as straight parts: begin, end, and the radius at both, mm."""
    end = start + step * rng.uniform(0.85, 1.15, 3)
    parts = [(start, end, radius, radius * 0.8)]
    if orders == 0 or radius < 1.4:
        return parts
    length = float(np.linalg.norm(step))
    for _ in range(2):
        turn = step / length + rng.normal(0, 0.65, 3)
        turn *= max(length * 0.75, 15.0) / np.linalg.norm(turn)
        parts += branches(rng, end, turn, radius * rng.uniform(0.6, 0.8), orders - 1)
    return parts


def rotation(rng: np.random.Generator, tilt: Sequence[float], spread: float = 0.0) -> NDArray[np.float64]:
    """Rotation (3, 3) by angles about the s, p and l axes, with a random spread (radians)."""
    out = np.eye(3)
    for axis, angle in enumerate(tilt):
        angle = angle + rng.normal(0, spread) if spread else angle
        c, s = np.cos(angle), np.sin(angle)
        i, j = [k for k in range(3) if k != axis]
        turn = np.eye(3)
        turn[i, i], turn[i, j], turn[j, i], turn[j, j] = c, -s, s, c
        out = turn @ out
    return out
