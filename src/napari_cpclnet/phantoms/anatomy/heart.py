"""The heart, built round the long axis of its left ventricle; the same in trunk, thorax and short axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.phantoms.anatomy.body import Build, spine_position
from napari_cpclnet.phantoms.canvas import (
    AnyFloat,
    Box,
    Canvas,
    Float,
    TubeField,
    curve,
    ramp,
    smooth_min,
)


@dataclass(frozen=True, eq=False)
class Heart:
    """Place and measures of one heart, mm."""

    centre: NDArray[np.float64]
    """Middle of the left ventricle in the body (above, behind, left)."""
    axes: NDArray[np.float64]
    """Rows are directions in the body: to the base of the left ventricle, down in short axis, to its free wall."""
    size: float
    """Relative to a middle-sized adult."""
    radius: float
    """Of the left ventricle's blood in the middle."""
    wall: float
    """Thickness of its myocardium."""
    length: float
    """Of its blood, from apex to mitral valve."""
    right: float
    """Width of the right ventricle relative to a healthy one."""
    atria: float
    """Width of the atria relative to healthy ones."""

    @property
    def outer(self) -> float:
        """Outer radius of the left ventricle."""
        return self.radius + self.wall

    def point(self, along: float, down: float, side: float) -> NDArray[np.float64]:
        """Place in the body: `along` the left ventricle in its lengths, the others in its outer radii."""
        mm = np.array([along * self.length, down * self.outer, side * self.outer])
        return np.asarray(self.centre + mm @ self.axes)


def random_heart(rng: np.random.Generator, b: Build) -> Heart:
    """Draw a heart for a body: any phase of the beat, some thick, wide or with a wide right side."""
    size = float(np.clip(rng.normal(1.07, 0.07), 0.9, 1.25) * (b.kl * b.kp) ** (1 / 3))
    beat = rng.uniform(0, 1) ** 1.5  # 0 filled, 1 emptied
    radius, wall, length = 25.0 - 8.0 * beat, 9.0 + 4.5 * beat, 82.0 - 10.0 * beat
    kind = rng.random()
    if kind < 0.13:  # dilated
        wide = rng.uniform(1.15, 1.5)
        radius, wall, length = 25.0 * wide - 3.0 * beat, wall * 0.9, 82.0 * wide**0.4
    elif kind < 0.28:  # hypertrophic
        radius, wall = radius * 0.92, wall * rng.uniform(1.25, 1.8)
    right = rng.uniform(1.15, 1.45) if rng.random() < 0.15 else rng.normal(0.98, 0.07)
    front = 14.0 - 1.04 * b.depth
    behind = 0.5 * (front + spine_position(b, b.dome + 30.0) - 17.0)
    centre = np.array(
        [
            b.dome - 14.0 + 0.9 * (radius + wall) * size + rng.normal(0, 5),  # it rests on the diaphragm
            behind + rng.normal(-5, 3),
            46.0 * b.kl + rng.normal(0, 4),
        ]
    )
    along = np.array([rng.normal(0.42, 0.12), rng.normal(0.55, 0.07), -0.72])
    along /= np.linalg.norm(along)
    down = along * along[0] - np.array([1.0, 0.0, 0.0])
    down /= np.linalg.norm(down)
    axes = np.stack([along, down, np.cross(along, down)])
    if axes[2, 2] < 0:  # the free wall looks to the left
        axes[2] = -axes[2]
    return Heart(
        centre=centre,
        axes=axes,
        size=size,
        radius=float(radius * size),
        wall=float(wall * size * rng.normal(1.0, 0.06)),
        length=float(length * size * rng.normal(1.0, 0.05)),
        right=float(right),
        atria=float(rng.uniform(1.1, 1.35) if rng.random() < 0.2 else rng.normal(1.0, 0.06)),
    )


def heart(c: Canvas, b: Build, h: Heart) -> None:
    """Paint the chambers in what lung and fat leave free above the diaphragm; vessels and bone stay."""
    rng = c.rng
    middle = h.point(0.2, 0.0, -0.4)
    found = c.near(middle, 105.0 * h.size * max(1.0, h.outer / 36.0))
    if found is None:
        return
    box, s, p, l = found
    free = c.is_any(box, "lung", "visceral fat") & ~c.room[box]
    shift = middle - h.centre
    coordinates = [s + shift[0], p + shift[1], l + shift[2]]
    u, v, w = (
        sum(np.float32(k) * x for k, x in zip(row, coordinates, strict=True))
        + np.float32(1.3) * c.noise(box, 32.0)
        for row in h.axes
    )
    base = 0.5 * h.length
    valve = np.asarray(base - u, np.float32)  # below the plane of the valves
    left, shell = _left_ventricle(c, box, h, u, v, w)
    right = _right_ventricle(h, u, v, w, shell)
    outflow = _tube(
        c,
        box,
        [h.point(0.1, -0.55, -1.25), h.point(0.34, -1.2, -1.05), h.point(0.46, -1.35, -0.95)],
        13.5 * h.size * h.right**0.5,
    )
    right = np.maximum(np.minimum(right, valve + 4.0), np.minimum(outflow, -shell - 1.0))
    atrium_l, atrium_r = _atria(c, box, b, h)
    atrium_l = np.minimum(atrium_l, -valve - 1.5)
    atrium_r = np.minimum(np.minimum(atrium_r, -valve - 3.0), -atrium_l - 3.0)
    shell = np.minimum(shell, valve + 2.0)
    left = np.minimum(left, valve)
    thin = np.maximum(np.maximum(atrium_l, atrium_r) + 2.0, right + rng.uniform(2.8, 4.5))
    whole = np.maximum(np.maximum(shell, thin), np.minimum(right, 1.0))
    coat = rng.uniform(1.0, 4.0) + 5.0 * b.visceral * (0.6 + 0.4 * c.noise(box, 30.0))

    def put(depth: Float, name: str) -> None:
        c.paint(box, np.where(free & (depth > 0), 40.0, -1.0).astype(np.float32), name, inside=False)
        free[depth > 0] = False

    mitral = np.abs(valve - 1.0) < 1.8
    opening = (left + 4.0 > 0) & ((mitral & (np.abs(c.noise(box, 16.0)) > 0.9)) | (valve < -1.0))
    put(left, "left ventricle blood")
    put(np.where(opening, shell, -1.0), "left ventricle blood")
    put(shell, "heart wall")
    put(right, "right ventricle blood")
    put(atrium_l, "left atrium blood")
    put(atrium_r, "right atrium blood")
    put(thin, "thin heart wall")
    groove = smooth_min(-np.maximum(shell, right), -np.maximum(atrium_l, atrium_r), 4.0) * -1.0 + 7.0
    put(np.maximum(whole + coat, np.minimum(groove, whole + 14.0)), "visceral fat")
    if rng.random() < 0.25:
        _scar(c, box, h, u, v, w, left)


def _cup(u: Float, rho: AnyFloat, radius: AnyFloat | float, middle: float, reach: float) -> Float:
    """Depth inside a cup that opens towards the base: a cylinder, below `middle` half an ellipsoid `reach` long."""
    q = np.sqrt((rho / radius) ** 2 + (np.maximum(middle - u, 0.0) / reach) ** 2)
    return np.asarray((1.0 - q) * radius, np.float32)


def _left_ventricle(c: Canvas, box: Box, h: Heart, u: Float, v: Float, w: Float) -> tuple[Float, Float]:
    """Depth inside the blood, and inside blood and myocardium."""
    rng = c.rng
    angle = np.arctan2(v, w)
    middle, reach = 0.12 * h.length, 0.62 * h.length
    narrow = 1.0 - 0.14 * ramp(u, 0.2 * h.length, 0.5 * h.length)
    rho = np.sqrt(v**2 + w**2) + 1e-3
    uneven = 1.0 + 0.12 * c.noise(box, 30.0)
    if rng.random() < 0.12:  # a thick septum
        uneven = uneven + rng.uniform(0.2, 0.6) * ramp(-np.cos(angle), 0.0, 0.9)
    shell = _cup(u, rho, h.radius * narrow + h.wall * uneven, middle, reach + 0.7 * h.wall)
    blood = _cup(u, rho, h.radius * narrow, middle, reach)
    blood = blood + 0.9 * c.noise(box, 9.0) * ramp(-u, -0.3 * h.length, 0.3 * h.length)  # trabeculae
    for where in (rng.normal(-0.85, 0.2), rng.normal(2.2, 0.2)):  # papillary muscles, before and behind
        gap = 0.62 * h.radius
        y, x = gap * np.sin(where), gap * np.cos(where)
        thick = rng.uniform(0.17, 0.26) * h.radius + 1.0
        muscle = thick - np.sqrt((v - y) ** 2 + (w - x) ** 2 + (np.maximum(np.abs(u + 6.0) - 14.0, 0.0)) ** 2)
        blood = np.minimum(blood, -muscle)
    return blood.astype(np.float32), shell


def _right_ventricle(h: Heart, u: Float, v: Float, w: Float, shell: Float) -> Float:
    """Depth inside the crescent of blood before the septum."""
    middle, reach = 0.28 * h.length, 0.70 * h.length
    high, wide = 1.1 * h.outer, 1.0 * h.outer * h.right
    q = np.sqrt(((v - 0.12 * h.outer) / high) ** 2 + ((w + 0.8 * h.outer) / wide) ** 2)
    depth = _cup(u, q * wide, wide, middle, reach)
    return np.asarray(np.minimum(depth, -shell - 0.5), np.float32)


def _tube(c: Canvas, box: Box, points: list[NDArray[np.float64]], radius: float) -> Float:
    path = curve(np.stack(points), 8)
    return TubeField(c, path, np.full(len(path), radius)).depth[box]


def _blob(c: Canvas, box: Box, centre: NDArray[np.float64], radii: NDArray[np.float64]) -> Float:
    out = np.full([part.stop - part.start for part in box], -1e3, np.float32)
    made = c.ellipsoid(centre, radii, rough=1.5)
    if made is not None:
        inner, depth = made
        full = np.full(c.shape, -1e3, np.float32)
        full[inner] = depth
        out = full[box]
    return out


def _atria(c: Canvas, box: Box, b: Build, h: Heart) -> tuple[Float, Float]:
    """Depths inside left and right atrium, both with their auricles, the left with the ends of its veins."""
    rng = c.rng
    mitral = h.point(0.5, 0.0, 0.0)
    k = h.size * h.atria
    room = spine_position(b, float(mitral[0])) - 30.0 - 18.0 * k  # before spine and oesophagus
    centre = mitral + 20.0 * k * h.axes[0]
    centre[1] = min(centre[1], room)
    left = _blob(c, box, centre, np.array([25.0, 19.0, 30.0]) * k)
    left = np.maximum(
        left, _blob(c, box, centre + np.array([14.0, -16.0, 26.0]) * k, np.array([12.0, 9, 12]) * k)
    )
    for up, back, out in ((10, 8, 1), (-8, 10, 1), (12, 6, -1), (-8, 8, -1)):
        start = centre + np.array([0.4 * up, 4, 14.0 * out]) * k
        end = centre + np.array([1.3 * up, back, 46.0 * out]) * k
        left = np.maximum(left, _tube(c, box, [start, end], float(rng.uniform(5.5, 7.5)) * k**0.5))
    tricuspid = h.point(0.5, 0.25, -1.15)
    centre = tricuspid + np.array([6.0, 4.0, -20.0]) * k
    right = _blob(c, box, centre, np.array([29.0, 24.0, 23.0]) * k)
    return left, np.maximum(
        right, _blob(c, box, centre + np.array([24.0, -18, 6]) * k, np.array([14.0, 9, 16]) * k)
    )


def _scar(c: Canvas, box: Box, h: Heart, u: Float, v: Float, w: Float, blood: Float) -> None:
    """An infarct: a sector of myocardium from the inside outwards."""
    rng = c.rng
    turn = np.angle(np.exp(1j * (np.arctan2(v, w) - rng.uniform(-np.pi, np.pi))))
    low = rng.uniform(-0.45, 0.2) * h.length
    sector = (np.abs(turn) < rng.uniform(0.3, 0.9)) & (u > low) & (u < low + rng.uniform(15, 45))
    deep = -blood < h.wall * rng.uniform(0.4, 1.0) + 1.2 * c.noise(box, 12.0)
    c.relabel(box, sector & deep, "heart wall", "heart scar")
