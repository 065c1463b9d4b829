"""Stomach, duodenum, small bowel and colon with their contents, and the mesenteric vessels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.phantoms.anatomy.body import Build, TrunkFields, spine_position
from napari_cpclnet.phantoms.canvas import Canvas, TubeField, curve
from napari_cpclnet.phantoms.structures import STRUCTURES


def stomach(c: Canvas, b: Build) -> NDArray[np.float64]:
    """Fundus behind under the left dome, body, antrum, pylorus; returns the place of the pylorus."""
    rng = c.rng
    ks, kl, kp = b.ks, b.kl, b.kp
    full = rng.choice([rng.uniform(0.6, 0.85), rng.uniform(0.8, 1.15), rng.uniform(1.05, 1.35)])
    low = rng.normal(92, 20) * ks
    points = np.array(
        [
            (b.dome - 38, 18 * kp, 50 * kl),
            (b.dome - 56, -4 * kp, 56 * kl),
            (b.dome - 84 * ks, -32 * kp, 56 * kl),
            (0.55 * low + 62 * ks, -46 * kp, 45 * kl),
            (low, -52 * kp, 14 * kl),
            (low + 12 * ks, -38 * kp, -14 * kl),
            (low + 16 * ks, -24 * kp, -32 * kl),
        ]
    )
    points[:-1] += rng.normal(0, 6, (6, 3))
    path = curve(points, 9)
    t = np.linspace(0, 1, len(path))
    radii = np.interp(t, [0, 0.15, 0.4, 0.6, 0.8, 0.93, 1], [32, 40, 36, 29, 22, 14, 8])
    radii = np.where(t < 0.9, radii * full, radii) * rng.uniform(0.92, 1.06)
    tube = TubeField(c, path, radii)
    if tube.box is None:
        return np.asarray(points[-1])
    field = tube.local + (2.0 + 1.5 * full) * c.noise(tube.box, 30.0)
    mask = c.paint(tube.box, np.minimum(field, 12.0) + 6.0 * (field > 0), "stomach wall")
    wall = rng.uniform(3.0, 5.5) + 1.2 * c.noise(tube.box, 14.0)
    hollow = mask & (field > wall) & c.room[tube.box]
    y = c.gravity[tube.box]
    span = y[hollow]
    c.relabel(tube.box, hollow, "stomach wall", "stomach content")
    if span.size:
        level = np.quantile(
            span, rng.choice([0.0, rng.uniform(0.05, 0.5), rng.uniform(0.3, 0.95)], p=[0.2, 0.5, 0.3])
        )
        c.relabel(tube.box, hollow & (y < level), "stomach content", "stomach gas")
        food = c.noise(tube.box, 10.0) > rng.uniform(0.8, 2.5)
        c.relabel(tube.box, hollow & food, "stomach content", "stomach wall")
    return np.asarray(points[-1])


def duodenum(c: Canvas, b: Build, pylorus: NDArray[np.float64]) -> None:
    """C-loop round the head of the pancreas, then across between aorta and mesenteric artery."""
    rng = c.rng
    ks, kl = b.ks, b.kl
    low = rng.normal(52, 10) * ks
    front = spine_position(b, low)
    points = np.array(
        [
            pylorus,
            (pylorus[0] + 4, pylorus[1] + 10, -46 * kl),
            (0.5 * (pylorus[0] + low) + 8, front - 16, -52 * kl),
            (low + 6, front - 20, -48 * kl),
            (low, front - 40, -24 * kl),
            (low + 4, front - 48, 4),
            (low + 16, front - 44, 30 * kl),
            (low + 36, front - 50, 34 * kl),
        ]
    )
    points[1:] += rng.normal(0, 3, (7, 3))
    path = curve(points, 7)
    radii = rng.uniform(9.5, 14.5) * (1 + 0.15 * np.sin(np.arange(len(path)) * rng.uniform(0.5, 1.2)))
    radii[0] = 8
    tube = TubeField(c, path, radii)
    if tube.box is None:
        return
    field = tube.local + 1.0 * c.noise(tube.box, 12.0)
    mask = c.paint(tube.box, field + 6.0 * (field > 0), "duodenum")
    fill = rng.random()
    hollow = mask & (field > 3.5)
    if fill < 0.6:
        c.relabel(tube.box, hollow, "duodenum", "small bowel content")
    if fill < 0.15:
        c.relabel(tube.box, hollow & (c.noise(tube.box, 25.0) > 0.7), "small bowel content", "bowel gas")


def colon(c: Canvas, b: Build, f: TrunkFields) -> None:
    """Ascending, transverse, descending and sigmoid colon with haustra, stool and gas."""
    rng = c.rng
    ks, kl, kp = b.ks, b.kl, b.kp
    w = b.width
    flex_r = rng.normal(72, 16) * ks
    flex_l = rng.normal(158, 18) * ks
    sag = rng.normal(48, 28) * ks  # lowest point of the transverse colon
    behind = spine_position(b, 60)
    front = -b.depth + 34 * kp
    points = np.array(
        [
            (-48, -22 * kp, -(w - 58)),
            (-20, -4 * kp, -(w - 44)),
            (20, behind - 20, -(w - 42)),
            (flex_r - 16, behind - 16, -(w - 44)),
            (flex_r + 4, -8 * kp, -(w - 52)),
            (flex_r - 2, front + 22, -62 * kl),
            (sag + 10, front + 6, -28 * kl),
            (sag, front + 2, 8 * kl),
            (0.6 * sag + 0.4 * flex_l, front + 8, 52 * kl),
            (flex_l - 22, -0.3 * b.depth, w - 50),
            (flex_l, 6 * kp, w - 42),
            (flex_l - 42, behind - 12, w - 38),
            (40 * ks, behind - 12, w - 38),
            (-10, behind - 24, w - 42),
            (-48, -6 * kp, w - 56),
            (-78, 6 * kp, 52 * kl),
            (-70 + rng.normal(0, 14), -12 * kp, 10 + rng.normal(0, 25)),
            (-84, 40 * kp, -8 * kl),
            (-106, behind + 22, 0),
            (-150, behind + 24, 0),
        ]
    )
    points[:-2] += rng.normal(0, 6, (len(points) - 2, 3))
    path = curve(points, 9)
    n = len(path)
    t = np.arange(n)
    wide = np.interp(np.linspace(0, 1, n), [0, 0.12, 0.35, 0.55, 0.7, 0.85, 1], [24, 23, 19, 19, 15, 13, 17])
    loose = np.exp(np.interp(t, np.linspace(0, n, 9), rng.normal(0, 0.22, 9)))
    radii = (
        wide
        * loose
        * (1 + rng.uniform(0.05, 0.16) * np.sin(t * rng.uniform(1.6, 2.6)))
        * rng.uniform(0.8, 1.12)
    )
    tube = TubeField(c, path, radii)
    if tube.box is None:
        return
    field = tube.local + 1.6 * c.noise(tube.box, 18.0)
    mask = c.paint(tube.box, np.minimum(field, 9.0) + 1.0 * (field > 0), "colon wall")
    hollow = mask & (field > rng.uniform(2.4, 4.0)) & (c.depth[tube.box] < 500)
    c.relabel(tube.box, hollow, "colon wall", "colon content")
    # gas collects in front: every few centimetres of colon has a level of its own
    node = np.clip(tube.along.astype(int), 0, n - 1)
    share = np.clip(
        np.interp(t, np.linspace(0, n, 12), rng.normal(-0.15, 0.75, 12))
        + np.where((t > 0.3 * n) & (t < 0.55 * n), 0.45, 0),
        -1,
        1,
    )
    level = path[:, 1] + radii * share
    gas = c.p[tube.box] < level[node].astype(np.float32)
    lumps = c.noise(tube.box, 9.0) > 1.0
    c.relabel(tube.box, hollow & (gas | (lumps & (rng.random() < 0.6))), "colon content", "bowel gas")


def _loop_path(c: Canvas, b: Build, f: TrunkFields, step: float) -> NDArray[np.float64]:
    """Points of a jittered lattice in the free part of the cavity, ordered as one winding path."""
    rng = c.rng
    top = rng.normal(165, 12) * b.ks
    s = np.arange(-118, top, step)
    p = np.arange(-b.depth + 14, 0.55 * b.depth, step)
    l = np.arange(-0.78 * b.width, 0.8 * b.width, step)
    grid = np.stack(np.meshgrid(s, p, l, indexing="ij"), -1).reshape(-1, 3)
    grid = grid + rng.uniform(-0.36, 0.36, grid.shape) * step
    index, ok = c.voxels(grid)
    grid, at = grid[ok], tuple(index[ok].T)
    free = (c.labels[at] == STRUCTURES["visceral fat"]) & c.room[at] & (f.cavity[at] > 0.3 * step)
    behind = np.array([spine_position(b, v) for v in grid[:, 0]])
    free &= (grid[:, 0] < 0.62 * b.dome) | (grid[:, 2] > -10)
    free &= grid[:, 1] < behind - 24 + np.where(grid[:, 0] < -30, 60, 0)  # not in the retroperitoneum
    grid = grid[free]
    if len(grid) < 3:
        return np.zeros((0, 3))
    left = np.ones(len(grid), bool)
    here = int(np.argmin(np.abs(grid - (80, -20, 30)).sum(1)))
    order = [here]
    left[here] = False
    heading = np.zeros(3)
    for _ in range(len(grid) - 1):
        move = grid - grid[here]
        far = np.linalg.norm(move, axis=1)
        score = far - 0.35 * (move @ heading) + rng.uniform(0, 0.5 * step, len(grid))
        score[~left] = 1e9
        here_next = int(np.argmin(score))
        heading = move[here_next] / (far[here_next] + 1e-6)
        here = here_next
        left[here] = False
        order.append(here)
    return np.asarray(grid[order])


def small_bowel(c: Canvas, b: Build, f: TrunkFields) -> None:
    """Loops of jejunum and ileum that fill what is left of the cavity, more loosely where fat abounds."""
    rng = c.rng
    step = rng.uniform(21.0, 32.0) * (1 + 0.15 * b.visceral)
    path = _loop_path(c, b, f, step)
    if len(path) < 3:
        return
    n = len(path)
    bulk = 0.55 - 0.12 * b.visceral
    radii = (
        step
        * bulk
        * np.exp(rng.normal(0, 0.13, n))
        * np.exp(np.interp(np.arange(n), np.linspace(0, n, 9), rng.normal(0, 0.13, 9)))
    )
    jumps = np.linalg.norm(np.diff(path, axis=0), axis=1) > 1.9 * step
    depth = np.full(c.shape, -1e3, np.float32)
    along = np.zeros(c.shape, np.int32)
    start = 0
    for stop in [*(np.flatnonzero(jumps) + 1), n]:
        if stop - start >= 2:
            bend = path[start:stop]
            tube = TubeField(c, bend, radii[start:stop], squash=rng.uniform(0.9, 1.2))
            if tube.box is not None:
                better = tube.local > depth[tube.box]
                depth[tube.box][better] = tube.local[better]
                along[tube.box][better] = tube.along[better].astype(np.int32) + start
        start = stop
    field = depth + 1.2 * c.noise(c.whole, 14.0)
    mask = c.paint(c.whole, np.minimum(field, f.cavity - 1.0), "small bowel wall")
    thick = rng.uniform(2.2, 3.8)
    state = np.interp(np.arange(n), np.linspace(0, n, 14), rng.normal(0, 1, 14))  # collapsed .. distended
    empty = rng.uniform(-1.2, 0.6)
    hollow = mask & (field > thick) & (state > empty)[along]
    hollow &= c.noise(c.whole, 8.0) < 1.6  # folds
    c.relabel(c.whole, hollow, "small bowel wall", "small bowel content")
    gassy = (rng.random(n) < rng.uniform(0.0, 0.18))[along]
    height = (path[:, 1] - radii * rng.uniform(-0.4, 0.5, n)).astype(np.float32)[along]
    c.relabel(c.whole, hollow & gassy & (c.p < height), "small bowel content", "bowel gas")


def mesentery(c: Canvas, b: Build) -> None:
    """Superior mesenteric artery and a fan of small vessels in the fat before the spine."""
    rng = c.rng
    ks = b.ks
    root = np.array((112 * ks, spine_position(b, 110) - 38, 4))
    stem = np.array((30 * ks, spine_position(b, 30) - 56, 0))
    fans = [(root, stem, 3.4), (root + (12, 0, 0), root + (18, -16, -12), 3.0)]
    for _ in range(int(rng.integers(14, 34))):
        start = root + (stem - root) * rng.uniform(0.2, 1.0)
        end = start + (rng.uniform(-80, 15), rng.uniform(-50, 20) * b.kp, rng.normal(0, 60))
        fans.append((start, end, rng.uniform(1.2, 2.4)))
    for start, end, radius in fans:
        middle = (start + end) / 2 + rng.normal(0, 8, 3)
        path = curve(np.stack([start, middle, end]), 14)
        tube = TubeField(c, path, np.full(len(path), radius))
        if tube.box is not None:
            c.relabel(tube.box, tube.local > 0, "visceral fat", "mesenteric vessel")
