"""Lumbar spine in detail: the curve it follows, the vertebral bodies and the discs between them.

Every vertebra has a frame of its own (above, behind, left), in which its shape is painted; what runs along the spine
is painted in the coordinates of the curve through all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.phantoms.anatomy.body import Build, spine_line, spine_position
from napari_cpclnet.phantoms.canvas import AnyFloat, Box, Canvas, Float, Mask, curve, ramp
from napari_cpclnet.phantoms.structures import STRUCTURES

Points = NDArray[np.float64]

NAMES = ("L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10", "T9", "T8", "T7", "T6")
_LEAN = (22.0, 7.0, -3.0, -9.0, -13.0, -14.0, -11.5, -8.0, -3.0, 2.0, 7.0, 11.0)
_HEIGHT = (27.0, 27.5, 27.5, 27.0, 26.0, 24.5, 22.5, 21.5, 20.5, 20.0, 19.5, 19.0)
_WIDTH = (50.0, 48.0, 45.5, 43.5, 42.0, 39.0, 36.0, 34.0, 32.0, 31.0, 30.0, 29.0)
_DEPTH = (34.5, 34.5, 34.0, 33.5, 32.0, 31.0, 30.0, 29.0, 28.0, 27.5, 27.0, 26.5)
_WEDGE = (3.5, 1.0, 0.3, -0.3, -1.0, -1.3, -1.3, -1.0, -1.0, -1.0, -1.0, -1.0)
_DISC = (10.5, 11.5, 11.0, 10.0, 8.5, 7.0, 6.0, 5.5, 5.0, 5.0, 4.5, 4.5)
"""Of L5 upwards: lean forwards in degrees; height, width, depth, height in front less that behind, and height of the
disc below, in mm."""
_SACRAL_LEAN = (43.0, 40.0, 24.0, 2.0, -22.0)
_SACRAL_HEIGHT = (30.0, 25.0, 21.0, 18.0, 16.0)

SOFT_BACK = ("subcutaneous fat", "visceral fat", "wall muscle", "back muscle", "psoas")


@dataclass(frozen=True, eq=False)
class Vertebra:
    """One vertebra; mm."""

    name: str
    centre: Points
    axes: Points  # rows: above, behind, left
    height: float
    width: float
    depth: float
    wedge: float  # height in front less that behind
    hollow: tuple[float, float]  # of the upper and the lower endplate
    spurs: float  # length of osteophytes

    def point(self, up: float, back: float, left: float) -> Points:
        """A point of the vertebra in the body, mm."""
        return self.centre + np.array((up, back, left)) @ self.axes

    def local(self, s: Float, p: Float, l: Float) -> tuple[Float, Float, Float]:
        """Coordinates (above, behind, left) of points given relative to the centre."""
        a = self.axes.astype(np.float32)
        up, back, left = (a[i, 0] * s + a[i, 1] * p + a[i, 2] * l for i in range(3))
        return up, back, left

    def ends(self, back: Float, left: Float) -> tuple[Float, Float]:
        """Heights of the upper and the lower endplate, the lower one counted downwards."""
        q = (2 * back / self.depth) ** 2 + (2 * left / self.width) ** 2
        half = 0.5 * self.height - 0.5 * self.wedge * np.clip(back / self.depth, -0.6, 0.6)
        bowl = np.exp(-((q / 0.55) ** 2))
        return half - self.hollow[0] * bowl, half - self.hollow[1] * bowl


@dataclass(frozen=True, eq=False)
class Disc:
    """The disc below a vertebra; mm."""

    worn: float  # 0 healthy .. 1 dark and thin
    bulge: float  # over the edges of the bodies
    hernia: tuple[float, float]  # how far it protrudes into the canal, and where on its left


@dataclass(frozen=True, eq=False)
class LumbarSpine:
    """Vertebrae from L5 upwards, the discs below each of them, and the line through them and the sacrum."""

    vertebrae: tuple[Vertebra, ...]
    discs: tuple[Disc, ...]
    sacrum: tuple[Vertebra, ...]
    scale: float

    @cached_property
    def line(self) -> Points:
        """Rows of the line, bottom first: mm along it from the upper end of the sacrum, its point, its direction."""
        from scipy import ndimage  # a command that starts should not wait for it

        nodes = [bone.point(-0.5 * bone.height, 0, 0) for bone in self.sacrum[::-1]]
        nodes.append(self.sacrum[0].point(0.5 * self.sacrum[0].height, 0, 0))
        for bone in self.vertebrae:
            nodes += [bone.point(-0.5 * bone.height, 0, 0), bone.point(0.5 * bone.height, 0, 0)]
        first, last = nodes[0], nodes[-1]
        nodes = [first + 3 * (first - nodes[1]), *nodes, last + 3 * (last - nodes[-2])]
        way = ndimage.gaussian_filter1d(curve(nodes, 2.0), 4.0, axis=0, mode="nearest")
        along = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1)))
        top = self.sacrum[0].point(0.5 * self.sacrum[0].height, 0, 0)
        along -= along[np.argmin(np.linalg.norm(way - top, axis=1))]
        step = np.gradient(way, axis=0)
        return np.column_stack([along, way, step / np.linalg.norm(step, axis=1, keepdims=True)])

    def along(self, point: Points) -> float:
        """Place on the line nearest to a point, mm above the sacrum."""
        return float(self.line[np.argmin(np.linalg.norm(self.line[:, 1:4] - point, axis=1)), 0])


def random_spine(rng: np.random.Generator, b: Build) -> LumbarSpine:
    """Draw a spine: its curves, its wear, and in a few its fractures."""
    scale = float(np.clip(0.5 * (b.ks - 1.0) + rng.normal(1.0, 0.045), 0.86, 1.14))
    slim = rng.normal(1.0, 0.04)
    slope = np.clip(rng.normal(1.0, 0.2), 0.5, 1.4)
    worn = np.clip(rng.beta(1.2, 1.6), 0, 1)
    side = np.radians(rng.normal(0, 2.2) * (3.0 if rng.random() < 0.12 else 1.0))
    wave, start = rng.uniform(4.5, 8.0), rng.uniform(0, 2 * np.pi)

    def axes(lean: float, level: float) -> Points:
        tilt = side * np.sin(2 * np.pi * level / wave + start)
        turn = -0.6 * side * np.cos(2 * np.pi * level / wave + start)
        return _frame(np.radians(slope * lean + rng.normal(0, 1.0)), tilt, turn)

    bones: list[Vertebra] = []
    discs: list[Disc] = []
    gaps: list[float] = []
    broken = rng.random() < 0.2
    for i, name in enumerate(NAMES):
        tall, wedge = _HEIGHT[i] * scale * rng.normal(1.0, 0.025), _WEDGE[i] * scale + rng.normal(0, 0.5)
        hollow = (float(rng.uniform(0.5, 2.0)), float(rng.uniform(0.8, 2.6)))
        if broken and rng.random() < 0.2:
            if rng.random() < 0.6:
                lost = tall * rng.uniform(0.12, 0.45)
                tall, wedge = tall - 0.5 * lost, wedge - lost
            else:
                hollow = (float(rng.uniform(2.5, 6.0)), float(rng.uniform(2.5, 5.0)))
        # the lowest discs wear first
        wear = float(np.clip(worn * np.interp(i, [0, 2, 6], [1.3, 0.9, 0.6]) + rng.normal(0, 0.2), 0, 1))
        slipped = rng.uniform(2.0, 6.5) if wear > 0.35 and i < 5 and rng.random() < 0.25 else 0.0
        discs.append(
            Disc(wear, float(rng.uniform(0.0, 0.8) + 1.8 * wear), (slipped, float(rng.normal(0, 5))))
        )
        gaps.append(_DISC[i] * scale * rng.normal(1.0, 0.06) * (1.0 - 0.5 * wear**2))
        bones.append(
            Vertebra(
                name,
                np.zeros(3),
                axes(_LEAN[i], i),
                tall,
                _WIDTH[i] * scale * slim,
                _DEPTH[i] * scale * slim,
                wedge,
                hollow,
                float(max(0.0, rng.normal(worn - 0.35, 0.3)) * 6.0),
            )
        )
    base = _frame(np.radians(slope * _SACRAL_LEAN[0]), 0.0, 0.0)
    placed: list[Vertebra] = []
    end = np.zeros(3)
    for bone, gap, below in zip(bones, gaps, [base, *(bone.axes for bone in bones)], strict=False):
        between = below[0] + bone.axes[0]
        end = end + gap * between / np.linalg.norm(between)
        placed.append(replace(bone, centre=end + 0.5 * bone.height * bone.axes[0]))
        end = end + bone.height * bone.axes[0]
    sacral: list[Vertebra] = []
    end = np.zeros(3)
    for i, lean in enumerate(_SACRAL_LEAN):
        frame = base if i == 0 else _frame(np.radians(slope * lean), 0.0, 0.0)
        tall = _SACRAL_HEIGHT[i] * scale
        centre = end - 0.5 * tall * frame[0]
        small = 1.0 - 0.11 * i
        sacral.append(
            Vertebra(f"S{i + 1}", centre, frame, tall, 50 * small, 31 * scale * small, 0.0, (0.0, 0.0), 0.0)
        )
        end = end - tall * frame[0]
    # the iliac crest lies at the lower end of L4
    crest = np.array((rng.normal(14.0, 6.0), 0.0, 0.0)) - placed[1].centre
    crest[1] = spine_position(b, 20.0) - placed[1].centre[1]
    return LumbarSpine(
        tuple(replace(bone, centre=bone.centre + crest) for bone in placed),
        tuple(discs),
        tuple(replace(bone, centre=bone.centre + crest) for bone in sacral),
        scale,
    )


def _frame(lean: float, tilt: float, turn: float) -> Points:
    """Axes (above, behind, left) of a vertebra that leans forwards and to the left, and is turned; radians."""
    up = np.array((np.cos(lean), -np.sin(lean), 0.0))
    back = np.array((np.sin(lean), np.cos(lean), 0.0))
    left = np.array((0.0, 0.0, 1.0))
    up, left = np.cos(tilt) * up + np.sin(tilt) * left, np.cos(tilt) * left - np.sin(tilt) * up
    back, left = np.cos(turn) * back + np.sin(turn) * left, np.cos(turn) * left - np.sin(turn) * back
    return np.stack([up, back, left])


def follow(c: Canvas, b: Build, spine: LumbarSpine) -> tuple[Float, Float, Float]:
    """Coordinates in which a trunk whose spine is straight has this one: its back follows, its belly hardly."""
    line = spine.line
    foot = spine.sacrum[0].point(0.5 * spine.sacrum[0].height, 0, 0)[0]
    s = np.clip(line[:, 1], foot + 8.0, spine.vertebrae[-1].centre[0])
    behind = np.interp(s, line[:, 1], line[:, 2]) - spine_line(b, s)
    # the sacrum and the buttocks stand out behind the loin, and the sacrum lies under the skin
    crest = spine.sacrum[2].point(0.0, 0.5 * spine.sacrum[2].depth + 24.0, 0.0)
    out = float(np.clip(crest[1] - behind[0] - b.depth + 8.0, 12.0, 60.0))
    behind += out * np.clip((foot + 8.0 - line[:, 1]) / max(foot + 8.0 - crest[0], 50.0), 0.0, 1.0)
    aside = np.interp(s, line[:, 1], line[:, 3])
    near = 0.15 + 0.85 * ramp(c.p - spine_line(b, c.s), -110.0, -25.0)
    p = c.p - near * np.interp(c.s, line[:, 1], behind).astype(np.float32)
    l = c.l - near * np.interp(c.s, line[:, 1], aside).astype(np.float32)
    return c.s, np.asarray(p, np.float32), np.asarray(l, np.float32)


@dataclass(frozen=True, eq=False)
class Column:
    """A box of the grid around the spine, in coordinates of the spine's line, mm."""

    box: Box
    t: Float  # along the line, from the upper end of the sacrum
    v: Float  # behind it
    w: Float  # on its left
    front: Float  # `v` of the front of the spinal canal


def column(c: Canvas, spine: LumbarSpine) -> Column | None:
    """Coordinates around the spine; None when it lies outside the grid."""
    box = c.box(spine.vertebrae[3].centre + (0.0, 25.0, 0.0), (320.0, 115.0, 85.0))
    if box is None:
        return None
    s, p, l = c.s[box], c.p[box], c.l[box]
    line = spine.line

    def at(t: AnyFloat, which: int) -> Float:
        return np.interp(t, line[:, 0], line[:, which]).astype(np.float32)

    t = np.interp(s, line[:, 1], line[:, 0]).astype(np.float32)
    for _ in range(5):
        ahead = (s - at(t, 1)) * at(t, 4) + (p - at(t, 2)) * at(t, 5) + (l - at(t, 3)) * at(t, 6)
        t = t + 0.9 * ahead
    ds, dp = at(t, 4), at(t, 5)
    up, back, left = s - at(t, 1), p - at(t, 2), l - at(t, 3)
    level = np.sqrt(ds**2 + dp**2)
    bones = [*spine.sacrum[::-1], *spine.vertebrae]
    front = np.interp(t, [spine.along(k.centre) for k in bones], [0.5 * k.depth for k in bones])
    return Column(box, t, (back * ds - up * dp) / level, left / level, front.astype(np.float32))


def outline(back: Float, left: Float, depth: AnyFloat | float, width: AnyFloat | float) -> Float:
    """1 on the edge of a vertebral body, which is flat and a little hollow behind; less inside."""
    x = 2 * np.abs(left) / width
    y = 2 * back / depth + 0.09 * (back > 0) * np.exp(-((left / 9.0) ** 2))
    front = (x**2.2 + np.abs(y) ** 2.2) ** (1 / 2.2)
    behind = (x**2.2 + np.abs(y) ** 4.0) ** (1 / 2.8)
    return np.asarray(np.where(back < 0, front, np.maximum(behind, np.maximum(x, np.abs(y)))), np.float32)


def hard(c: Canvas, box: Box, mask: Mask, name: str) -> None:
    """Label voxels under `mask` inside the skin as something nothing may displace."""
    mask = mask & ~c.is_any(box, "air", "skin")
    c.labels[box][mask] = STRUCTURES[name]
    c.depth[box][mask] = 1e3


def bodies(c: Canvas, spine: LumbarSpine) -> None:
    """Vertebral bodies and the discs below them."""
    _discs(c, spine)
    for bone in spine.vertebrae:
        found = c.near(bone.centre, (0.8 * bone.height, 0.8 * bone.depth, 0.7 * bone.width))
        if found is None:
            continue
        box, *offsets = found
        up, back, left = bone.local(*offsets)
        top, bottom = bone.ends(back, left)
        high = np.clip(np.where(up > 0, up / np.maximum(top, 3.0), -up / np.maximum(bottom, 3.0)), 0, 1.2)
        waist = 0.91 + 0.09 * high**2
        lips = bone.spurs * ramp(high, 0.55, 1.0) * (0.4 + ramp(-back, -2.0, 10.0)) * 2.0
        q = outline(back, left, bone.depth * (0.5 + 0.5 * waist) + lips, bone.width * waist + lips)
        hard(c, box, (q < 1.0) & (up < top) & (-up < bottom), "vertebral body")


def _discs(c: Canvas, spine: LumbarSpine) -> None:
    rng = c.rng
    for bone, below, disc in zip(
        spine.vertebrae, [spine.sacrum[0], *spine.vertebrae], spine.discs, strict=False
    ):
        low = below.point(0.5 * below.height, 0, 0)
        high = bone.point(-0.5 * bone.height, 0, 0)
        middle = 0.5 * (low + high)
        wide = 0.5 * (bone.width + min(below.width, bone.width + 3.0))
        deep = 0.5 * (bone.depth + min(below.depth, bone.depth + 3.0))
        found = c.near(middle, (24.0, 0.7 * deep + 8.0, 0.7 * wide))
        if found is None:
            continue
        box, s, p, l = found
        frame = bone.axes + below.axes
        frame = frame / np.linalg.norm(frame, axis=1, keepdims=True)
        between = Vertebra("", middle, frame, 0.0, wide, deep, 0.0, (0.0, 0.0), 0.0)
        _, back, left = between.local(s, p, l)
        far = middle - bone.centre
        up, b1, l1 = bone.local(s + np.float32(far[0]), p + np.float32(far[1]), l + np.float32(far[2]))
        over = -up - bone.ends(b1, l1)[1]
        far = middle - below.centre
        up, b2, l2 = below.local(s + np.float32(far[0]), p + np.float32(far[1]), l + np.float32(far[2]))
        under = up - below.ends(b2, l2)[0]
        # tissue of the disc reaches a little into the endplates, where the bodies painted later win
        room = (over > -1.0) & (under > -1.0)
        bump, where = disc.hernia
        out = 2.0 * disc.bulge + 2.0 * bump * (back > 0) * np.exp(-(((left - where) / 6.5) ** 2))
        q = outline(back, left, deep - 1.0 + out, wide - 1.0 + 2.0 * disc.bulge)
        hard(c, box, (q < 1.0) & room, "intervertebral disc")
        if disc.worn > 0.72:
            continue
        size = rng.uniform(0.62, 0.74) * (1.0 - 0.35 * disc.worn)
        q = np.sqrt((2 * (back - 0.04 * deep) / (size * deep)) ** 2 + (2 * left / (size * wide)) ** 2)
        thick = over + under
        core = (q < 1.0) & (np.minimum(over, under) > (0.04 + 0.18 * q**2 + 0.12 * disc.worn) * thick)
        # the dark cleft of an adult's nucleus
        if rng.random() < 0.4:
            core &= ~((np.abs(over - under) < 0.09 * thick) & (thick > 9.0))
        hard(c, box, core & room, "disc nucleus")
