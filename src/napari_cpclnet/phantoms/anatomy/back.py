"""What surrounds the bodies of a lumbar spine: arches, sacrum, canal with its contents, ligaments and muscles."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cpclnet.phantoms.anatomy.lumbar import (
    SOFT_BACK,
    Column,
    LumbarSpine,
    Vertebra,
    bodies,
    column,
    hard,
)
from napari_cpclnet.phantoms.canvas import Canvas, Float, Mask, TubeField, ramp
from napari_cpclnet.phantoms.structures import STRUCTURES

_BOTH = (-1, 1)


def paint_spine(c: Canvas, spine: LumbarSpine) -> None:
    """Paint the spine and the muscles behind it."""
    k = column(c, spine)
    if k is None:
        return
    flesh(c, k)
    arches(c, k, spine)
    sacrum(c, k, spine)
    bodies(c, spine)
    canal(c, k, spine)


def _put(c: Canvas, k: Column, mask: Mask, name: str, over: tuple[str, ...]) -> None:
    mask = mask & c.is_any(k.box, *over)
    c.labels[k.box][mask] = STRUCTURES[name]


def _profile(t: Float, knots: list[float] | NDArray[np.float64], values: list[float]) -> Float:
    return np.interp(t, knots, values).astype(np.float32)


def flesh(c: Canvas, k: Column) -> None:
    """Multifidus and erector of the spine, parted and streaked by fat, down to the sacrum."""
    rng = c.rng
    side, behind = np.abs(k.w), k.v - k.front
    knots = [-110.0, -70.0, -25.0, 10.0, 60.0, 150.0, 220.0]
    size = rng.uniform(0.88, 1.1)
    wide = size * _profile(k.t, knots, [6, 20, 34, 38, 36, 30, 24])
    high = size * _profile(k.t, knots, [6, 12, 18, 22, 22, 20, 16])
    rise = _profile(k.t, knots, [16, 20, 24, 28, 28, 26, 22])
    multifidus = (side / wide) ** 2.4 + (np.abs(behind - rise) / high) ** 2.4 < 1 + 0.1 * c.noise(k.box, 25.0)
    fat = ("subcutaneous fat", "visceral fat", "wall muscle")
    c.depth[k.box][multifidus & c.is_any(k.box, *fat)] = 30.0
    _put(c, k, multifidus, "back muscle", fat)
    muscle = c.is_any(k.box, "back muscle") & (behind > 6.0)
    edge = side - 0.5 * wide - 0.55 * (behind - 12.0) - 2.5 * c.noise(k.box, 22.0) - 1.5 * c.noise(k.box, 9.0)
    seam = (np.abs(edge) < rng.uniform(0.5, 1.8) + 0.7 * c.noise(k.box, 18.0)) & (behind > 4.0)
    # fat replaces the muscles from below and from within
    wasted = rng.beta(1.3, 2.2)
    grain = c.noise(k.box, 9.0) + 0.8 * c.noise(k.box, 20.0)
    where = (0.25 + 0.75 * ramp(-k.t, -110.0, 20.0)) * (1.0 - 0.5 * ramp(side, 8.0, 55.0))
    streak = (grain > 2.9 - 3.0 * wasted * where) | (side < 2.0)
    _put(c, k, muscle & (seam | streak), "visceral fat", ("back muscle",))


def arches(c: Canvas, k: Column, spine: LumbarSpine) -> None:
    """Pedicles, laminae, articular, transverse and spinous processes, and the ligaments between them."""
    rng = c.rng
    _put(c, k, _foramina(k) & (k.t > -20), "visceral fat", SOFT_BACK)
    c.depth[k.box][_foramina(k)] = 1e3
    for bone in spine.vertebrae:
        low = _number(bone)
        _roots(c, bone, low)
        _arch(c, bone, low)
    side, behind = np.abs(k.w), k.v - k.front
    free = ("visceral fat", "subcutaneous fat", "back muscle")
    flavum = (np.abs(behind - 20.0 + 0.5 * side) < rng.uniform(1.5, 2.6)) & (side < 12) & (k.t > 0)
    _put(c, k, flavum, "cartilage", free)
    sheet = (side < 1.3) & (behind > 26) & (behind < 52) & (k.t > 2) & (c.noise(k.box, 14.0) > -0.4)
    _put(c, k, sheet, "cartilage", free)


def _number(bone: Vertebra) -> float:
    """Place of a vertebra: 1 is L1, 5 is L5, 0 is T12 and so on upwards."""
    number = float(bone.name[1:])
    return number if bone.name[0] == "L" else number - 12.0


def _foramina(k: Column) -> Mask:
    behind = k.v - k.front
    return (np.abs(k.w) < 23.0) & (behind > -4.0) & (behind < 17.0)


def _tube(
    c: Canvas, bone: Vertebra, points: list[tuple[float, float, float]], radii: ArrayLike, name: str
) -> None:
    way = np.array([bone.point(*point) for point in points])
    field = TubeField(c, way, np.broadcast_to(np.asarray(radii, float), (len(points),)))
    if field.box is not None:
        hard(c, field.box, field.local > 0, name)


def _roots(c: Canvas, bone: Vertebra, low: float) -> None:
    """Nerve roots with their ganglia, in the fat below the pedicles."""
    h, wall = bone.height, 0.5 * bone.depth
    for x in _BOTH:
        way = [(0.0, wall + 7, 9.0 * x), (-0.28 * h, wall + 6, 17.0 * x), (-0.8 * h, wall - 2, 28.0 * x)]
        _tube(c, bone, way, (1.4, 3.2 if low > 0 else 2.4, 1.8), "wall muscle")


def _arch(c: Canvas, bone: Vertebra, low: float) -> None:
    rng = c.rng
    size = bone.width / 46.0
    found = c.near(bone.point(-0.3 * bone.height, 0.5 * bone.depth + 22, 0), (42.0, 48.0, 60.0))
    if found is None:
        return
    box, *_ = found
    s, p, l = (field[box] - np.float32(v) for field, v in zip((c.s, c.p, c.l), bone.centre, strict=True))
    up, back, left = bone.local(s, p, l)
    side, behind, h = np.abs(left), back - 0.5 * bone.depth, bone.height
    thick = np.interp(low, [-3, 0, 1, 3, 4, 5], [3.2, 3.8, 4.0, 4.8, 5.8, 7.5]) * size
    inner = np.interp(low, [-3, 1, 5], [9.5, 11.5, 13.5]) * size**0.5
    tall = 0.27 * h
    pedicle = ((side - inner - thick) / thick) ** 2 + ((up - 0.19 * h) / tall) ** 2 < 1
    pedicle &= (behind > -5.0) & (behind < 14.0)
    slant = behind - 21.0 + 0.5 * side  # roof over the canal
    lamina = (np.abs(slant) < 3.2) & (side < inner + 5.0)
    lamina &= (up < 0.12 * h - 0.25 * side + 2.0) & (up > -0.62 * h - 0.1 * side)
    pars = (
        (np.abs(side - inner - 2.5) < 4.5) & (np.abs(behind - 14.5) < 5.0) & (np.abs(up + 0.1 * h) < 0.42 * h)
    )
    reach = np.interp(low, [-3, 0, 3, 4, 5], [34, 28, 31, 28, 22]) * size * rng.uniform(0.9, 1.1)
    drop = np.interp(low, [-3, -1, 1, 5], [0.75, 0.45, 0.16, 0.22])
    out = behind - 20.0
    middle = up + 0.34 * h + drop * out
    blade = float(np.interp(low, [-3, 0, 1, 4, 5], [5.5, 7.5, 9.5, 9.5, 7.0])) * size
    edge = blade * (0.85 + 0.15 * ramp(out, 6.0, reach))
    spinous = (side < 2.6 + 1.6 * ramp(out, 0.6 * reach, reach)) & (np.abs(middle) < edge) & (out > -1.0)
    spinous &= (out / reach) ** 2 + (0.5 * middle / edge) ** 2 < 1
    hard(c, box, pedicle | lamina | pars | spinous, "vertebra")
    wall = 0.5 * bone.depth
    for x in _BOTH:
        a = x * size
        above = [
            (0.15 * h, wall + 12, 17.5 * a),
            (0.55 * h, wall + 14, 19.0 * a),
            (0.78 * h, wall + 16.5, 18.5 * a),
        ]
        _tube(c, bone, above, np.array((5.0, 5.0, 3.8)) * size, "vertebra")
        below = [(-0.3 * h, wall + 18, 13.0 * a), (-0.78 * h, wall + 20.5, 14.0 * a)]
        _tube(c, bone, below, np.array((5.0, 4.2)) * size, "vertebra")
        far = np.interp(low, [-3, 0, 1, 3, 4, 5], [27, 24, 37, 47, 44, 46]) * size * rng.uniform(0.93, 1.07)
        if low > 0:
            across = [
                (0.12 * h, wall + 9, 19 * a),
                (0.16 * h, wall + 14, 0.6 * far * x),
                (0.2 * h, wall + 16, far * x),
            ]
            _tube(c, bone, across, np.array((5.5, 4.2, 3.4)) * (1.25 if low > 4 else 1.0), "vertebra")
        else:
            across = [(0.12 * h, wall + 10, 15 * a), (0.2 * h, wall + 20, far * x)]
            _tube(c, bone, across, (5.0, 5.0), "vertebra")


def sacrum(c: Canvas, k: Column, spine: LumbarSpine) -> None:
    """Sacrum with its wings and its canal, and the joints beside it."""
    rng = c.rng
    t, v, side = k.t, k.v, np.abs(k.w)
    scale = spine.scale
    knots = np.array([-112.0, -95.0, -72.0, -50.0, -28.0, -8.0, 0.0]) * scale
    half = scale * rng.uniform(0.95, 1.05) * _profile(t, knots, [9, 22, 34, 43, 52, 54, 48])
    body = (side / (0.5 * _profile(t, knots, [16, 24, 31, 37, 44, 49, 49]) * scale)) ** 2.3
    body = body + np.abs(v / np.maximum(k.front, 4.0)) ** 2.3 < 1
    deep = _profile(t, knots, [5, 7, 9, 12, 15, 14, 9]) * scale
    wing = (side < half) & (np.abs(v - 7.0 - 0.12 * side) < deep * (1.0 - 0.35 * (side / half) ** 2))
    roof = (np.abs(v - k.front - 15.0 + 0.22 * side) < 4.0) & (side < 0.5 * half)
    crest = (side < 3.5) & (v > k.front + 14) & (v < k.front + 22 + 4 * np.cos(t / 26.0 * 2 * np.pi))
    facet = ((side - 20.0) / 6.5) ** 2 + ((v - k.front - 16.0) / 6.0) ** 2 + ((t + 1.0) / 10.0) ** 2 < 1
    here = (t < 0.0) & (t > -114.0 * scale)
    bone = (body | wing | roof | crest) & here | facet
    joint = (np.abs(side - half - 1.5) < 1.5) & (t > -75 * scale) & here & (np.abs(v - 9.0) < 22.0)
    hard(c, k.box, bone, "pelvic bone")
    view = c.labels[k.box]
    view[joint & c.is_any(k.box, "pelvic bone")] = STRUCTURES["cartilage"]
    # holes for the roots, and remnants of the discs
    holes = np.abs((t + 29.0 * scale) / (24.0 * scale) - np.round((t + 29.0 * scale) / (24.0 * scale)))
    holes = (holes < 0.17) & (np.abs(side - 0.36 * half - 6.0) < 4.0) & (v > -2.0) & (v < k.front + 8.0)
    view[holes & here & (t < -18 * scale) & (t > -90 * scale) & bone] = STRUCTURES["visceral fat"]
    rest = rng.uniform(0.0, 1.0)
    first = -spine.sacrum[0].height
    disc = (np.abs(t - first) < 1.0 + 1.6 * rest) & body & (side < 17.0) & (np.abs(v) < 0.8 * k.front)
    view[disc & c.is_any(k.box, "pelvic bone")] = STRUCTURES["intervertebral disc"]


def canal(c: Canvas, k: Column, spine: LumbarSpine) -> None:
    """Epidural fat, dural sac with its fluid, cord down to the conus, and cauda equina; roots lie at the back."""
    rng = c.rng
    t, w, behind = k.t, k.w, k.v - k.front
    scale = spine.scale
    end = -rng.uniform(36.0, 66.0) * scale
    knots = [-110.0, -70.0, -30.0, 0.0, 40.0, 170.0, 260.0]
    wide = _profile(t, knots, [4, 7, 11, 12.5, 12.0, 11.5, 9.5])
    room = (w / wide) ** 2 + ((behind - 8.7) / _profile(t, knots, [3, 4, 6, 8.6, 8.6, 8.4, 7.8])) ** 2 < 1
    room &= (t > -105 * scale) & ~c.is_any(k.box, "vertebral body", "intervertebral disc", "disc nucleus")
    hard(c, k.box, room, "visceral fat")
    # narrow behind worn discs, where the ligaments are thick
    tight = np.ones_like(t)
    for bone, disc in zip(spine.vertebrae, spine.discs, strict=True):
        place = spine.along(bone.point(-0.5 * bone.height - 4, 0, 0))
        loss = rng.uniform(0.0, 0.35) * disc.worn + 0.04
        tight = tight - loss * np.exp(-(((t - place) / 8.0) ** 2))
    taper = np.sqrt(np.clip((t - end) / 22.0, 0.0, 1.0))
    across = rng.uniform(0.92, 1.08) * tight * taper * _profile(t, knots, [5, 6, 7.5, 9, 9.6, 9.2, 8.0])
    deep = rng.uniform(0.92, 1.06) * tight * taper * _profile(t, knots, [3, 4, 5.5, 6.6, 7.2, 7.2, 6.6])
    centre = _profile(t, knots, [8.5, 8.5, 8.9, 8.4, 7.6, 7.6, 7.6])
    q = (w / np.maximum(across, 0.3)) ** 2 + ((behind - centre) / np.maximum(deep, 0.3)) ** 2
    sac = (q < 1) & room & (t > end)
    hard(c, k.box, sac, "spinal canal")
    level = spine.vertebrae[4]  # the conus ends between T12 and L2/L3, mostly at L1/L2
    tip = spine.along(level.point(-0.5 * level.height, 0, 0)) + float(np.clip(rng.normal(3, 13), -28, 34))
    _cauda(c, k, sac, tip, end, across, deep, centre)
    thick = _profile(t - tip, [0, 30, 60, 100], [4.4, 4.9, 4.6, 4.2])
    thick = thick * np.sqrt(np.clip((t - tip) / 34.0, 0.0, 1.0))
    lie = centre + 1.4 * ramp(-(t - tip), -60.0, 0.0)
    cord = (w / np.maximum(thick, 0.1)) ** 2 + ((behind - lie) / np.maximum(0.82 * thick, 0.1)) ** 2 < 1
    hard(c, k.box, cord & sac & (t > tip), "spinal cord")


def _cauda(
    c: Canvas, k: Column, sac: Mask, tip: float, end: float, across: Float, deep: Float, centre: Float
) -> None:
    """Roots of the cauda equina: threads from around the conus, that sink to the back and leave at the sides."""
    rng = c.rng
    t, w, behind = k.t, k.w, k.v - k.front
    below = np.clip((tip + 20.0 - t) / 30.0, 0.0, 1.0)
    threads = np.zeros(t.shape, bool)
    reach = max(0.55, 0.3 * min(c.spacing[1:]))
    for _ in range(int(rng.integers(12, 20))):
        aside, down = rng.uniform(-0.8, 0.8), np.sqrt(rng.uniform(0.0, 1.0))
        leave = rng.uniform(end + 12.0, tip - 25.0)
        out = 1.0 + np.clip((leave + 25.0 - t) / 25.0, 0.0, 1.0) * (0.85 / max(abs(aside), 0.2) - 1.0)
        x = across * aside * (0.45 + 0.55 * below) * out
        y = centre + deep * (0.9 * down - 0.15) * np.sqrt(1 - aside**2) * (0.6 + 0.4 * below)
        y = y + 0.3 * np.sin(t / rng.uniform(9, 20) + rng.uniform(0, 6))
        near = (w - x) ** 2 + (behind - y) ** 2 < reach**2 * rng.uniform(1.0, 2.2)
        threads |= near & (t > leave) & (t < tip + 25)
    hard(c, k.box, threads & sac, "cauda equina")
