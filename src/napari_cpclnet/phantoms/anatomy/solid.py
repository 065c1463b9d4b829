"""Solid organs of the upper abdomen: liver, gallbladder, spleen, pancreas, kidneys, adrenals, great vessels."""

from __future__ import annotations

import numpy as np

from napari_cpclnet.phantoms.anatomy.body import Build, TrunkFields, spine_position
from napari_cpclnet.phantoms.canvas import Canvas, TubeField, branches, curve, smooth_min
from napari_cpclnet.phantoms.structures import STRUCTURES

KIDNEY_MID = {-1: 82.0, 1: 94.0}
"""Level of the middle of the right and the left kidney, in mm above the iliac crest of a body of usual height."""

KIDNEY_BESIDE = 63.0
"""Distance of their middles from the middle of the body, in mm in a body of usual width."""


def great_vessels(c: Canvas, b: Build) -> None:
    """Aorta, vena cava and their iliac branches, in front of the spine."""
    rng = c.rng
    ks = b.ks
    r_a, r_v = rng.uniform(8.0, 12.5), rng.uniform(8.5, 13.0)
    age = rng.uniform(0, 5)  # an elongated aorta swings to the left

    def at(s: float, gap: float, left: float) -> tuple[float, float, float]:
        return (s, spine_position(b, s) - gap, left)

    split = rng.normal(2, 8)
    aorta = [
        at(b.dome + 95 * ks, 15, 21 * b.kl),
        at(230 * ks, 22, 17),
        at(150 * ks, 27, 7 + age),
        at(80 * ks, 28, 8 + age),
        at(split, 26, 4),
    ]
    cava = [
        (b.dome + 30, -14 * b.kp, -29 * b.kl),
        (b.dome - 22, 0.45 * spine_position(b, 190), -29 * b.kl),
        at(135 * ks, 32, -26),
        at(75 * ks, 27, -22),
        at(split - 14, 22, -15),
    ]
    for points, radius, name in ((aorta, r_a, "aorta"), (cava, r_v, "vena cava")):
        path = curve(points, 12)
        radii = np.linspace(1.12 if name == "aorta" else 1.15, 0.85, len(path)) * radius
        if name == "vena cava":
            radii = radii * rng.uniform(0.85, 1.1, len(path))
        tube = TubeField(c, path, radii, squash=1.0 if name == "aorta" else rng.uniform(1.0, 1.5))
        if tube.box is not None:
            c.paint(tube.box, tube.local, name, hard=True, inside=False)
    for side in (-1, 1):
        for name, radius, back in (("aorta", 5.5, 20), ("vena cava", 6.5, 12)):
            start = at(split, 26, 3 + 4 * side) if name == "aorta" else at(split - 14, 22, -15 + 5 * side)
            path = curve(
                [
                    start,
                    at(split - 45, back, side * 33),
                    (split - 85, 5 + back / 3, side * 58),
                    (-140, -35, side * 72),
                ],
                14,
            )
            tube = TubeField(c, path, np.full(len(path), radius))
            if tube.box is not None:
                c.paint(tube.box, tube.local, name, hard=True, inside=False)


def liver(c: Canvas, b: Build, f: TrunkFields) -> dict[str, tuple[float, float, float]]:
    """Liver under the right dome, cut by its visceral surface; returns the places of hilum and fossa."""
    rng = c.rng
    ks, kl, kp = b.ks, b.kl, b.kp
    tip = rng.normal(30, 22) * ks  # height of the lower edge at the right wall
    if rng.random() < 0.1:
        tip -= rng.uniform(20, 45)  # Riedel's lobe
    rise = rng.uniform(0.60, 0.95)
    tilt = rng.uniform(0.15, 0.65)
    right = -b.width + 25.0
    box = c.box((0.5 * (tip + b.dome), 0, -30), (0.5 * (b.dome - tip) + 45, b.depth + 20, b.width + 10))
    assert box is not None
    s, p, l = c.s[box], c.p[box], c.l[box]
    rough = c.noise(box, 50.0) * 6.0 + c.noise(box, 24.0) * 1.6
    under = (s - tip - rise * ks * np.maximum(l - right, -8.0) - tilt * (p + 35.0 * kp)) / np.sqrt(
        1 + rise**2 + tilt**2
    )
    under = under + 0.0016 * (l - right - 90) ** 2 * (rng.random() - 0.3) * 0.6
    reach = rng.choice([rng.uniform(20, 60), rng.uniform(50, 115)]) * kl  # left lobe: small or long
    depth_left = rng.normal(5, 9) * kp
    slope = rng.uniform(0.2, 0.75)
    left = (depth_left - slope * np.maximum(l + 12.0, 0) + 2.4 * np.maximum(-l - 22.0 * kl, 0) - p) / np.sqrt(
        1 + slope**2
    )
    taper = (reach + 0.5 * (p * -1 - 40 * kp) - l) * 0.7 - 0.12 * np.maximum(s - 180 * ks, 0)
    field = smooth_min(f.cavity[box] - 1.0, f.diaphragm[box] - 1.5, 8.0)
    field = smooth_min(field, (under + rough).astype(np.float32), 14.0)
    field = smooth_min(field, (left + rough).astype(np.float32), 14.0)
    field = smooth_min(field, taper.astype(np.float32), 12.0)
    # fissure of the round ligament from below, between the lobes
    cut = np.abs(l - rng.normal(8, 6) + 0.25 * (p + 50)) + 0.5 * np.maximum(
        s - (135 + rng.normal(0, 10)) * ks, 0
    )
    field = np.where(p < rng.normal(-30, 12) * kp, np.minimum(field, cut - rng.uniform(0.3, 1.6)), field)
    # porta hepatis: fat round the vessels that enter from below
    porta = np.sqrt(((s - 122 * ks) / 1.5) ** 2 + ((p + 4) / 1.0) ** 2 + ((l + 26 * kl) / 1.4) ** 2)
    field = smooth_min(field, (porta - rng.uniform(9, 17)).astype(np.float32), 6.0)
    c.paint(box, np.minimum(field, 16.0) + 8.0 * (field > 0), "liver")  # firm: softer neighbours yield
    hilum = (130.0 * ks, 0.12 * spine_position(b, 130), -34.0 * kl)
    fossa = (tip + rise * ks * (b.width - 25 - 58 * kl) * 0.9, -0.42 * b.depth, -58.0 * kl)
    return {"hilum": hilum, "fossa": fossa, "tip": (tip, 0.0, -b.width)}


def liver_inside(c: Canvas, b: Build, hilum: tuple[float, float, float]) -> None:
    """Portal and hepatic veins as branching tubes, and lesions."""
    rng = c.rng
    ks, kl, kp = b.ks, b.kl, b.kp
    cava = (b.dome - 22 * ks, 0.45 * spine_position(b, 190), -29 * kl)
    h = np.array(hilum)
    big = rng.uniform(0.85, 1.5)
    stems: list[tuple[np.ndarray, np.ndarray, float]] = []
    fork = h + (8, -4, -8)
    stems.append((h, fork - h, 6.0))
    stems.append((fork, np.array((8, 8, -38)), 4.8))
    stems.append((fork, np.array((22, -26, 32)), 4.4))
    for target in ((-45, -5, -52), (-35, -55, -22), (-28, -45, 35)):
        stems.append((np.array(cava), np.array(target) * (ks, kp, kl), 4.8))
    for i, (start, step, radius) in enumerate(stems):
        for begin, end, r0, r1 in branches(rng, start, step.astype(float), radius * big, 0 if i == 0 else 3):
            tube = TubeField(c, [begin, end], [r0, r1])
            if tube.box is not None:
                c.relabel(tube.box, tube.local > 0, "liver", "liver vessel")
    if rng.random() < 0.3:
        for _ in range(int(rng.integers(1, 6))):
            centre = (rng.uniform(70, 195) * ks, rng.uniform(-60, 60) * kp, rng.uniform(-115, 10) * kl)
            made = c.ellipsoid(centre, rng.uniform(4, 22) * rng.uniform(0.7, 1.2, 3), rough=1.5)
            if made is not None:
                c.relabel(made[0], made[1] > 0, ("liver", "liver vessel"), "liver lesion")


def gallbladder(c: Canvas, b: Build, fossa: tuple[float, float, float]) -> None:
    """Pear-shaped, hanging from the lower surface of the liver; absent in some."""
    rng = c.rng
    if rng.random() < 0.15:
        return
    size = rng.uniform(0.55, 1.25)
    neck = np.array(fossa) + (12, 30 * b.kp, 18)
    body = np.array(fossa) + rng.normal(0, 5, 3)
    fundus = body + (-24 * size, -18 * size, -6)
    path = curve([neck, body, fundus], 8)
    n = len(path)
    radii = np.interp(np.linspace(0, 1, n), [0, 0.3, 0.75, 1], [4, 10, 15, 12]) * size
    tube = TubeField(c, path, radii)
    if tube.box is not None:
        c.paint(tube.box, tube.local + 40.0 * (tube.local > 0), "gallbladder")


def spleen(c: Canvas, b: Build, f: TrunkFields) -> None:
    """Crescent along the left posterolateral wall under the diaphragm; absent in few."""
    rng = c.rng
    if rng.random() < 0.03:
        return
    ks = b.ks
    size = float(np.clip(rng.lognormal(-0.04, 0.22), 0.7, 1.75))
    long, wide, thick = (
        63 * size * rng.uniform(0.88, 1.25),
        52 * size**0.8 * rng.uniform(0.85, 1.2),
        44 * size * rng.uniform(0.8, 1.15),
    )
    mid = b.dome - (64 + rng.normal(0, 11)) * ks - 30 * (size - 1)
    turn = float(np.clip(rng.normal(1.25, 0.25), 0.8, 1.8))  # angle from behind
    box = c.box((mid, 0.25 * b.depth, b.width * 0.62), (long + 20, b.depth * 0.95, b.width * 0.62))
    assert box is not None
    s = c.s[box] - mid
    arc = (np.arctan2(c.l[box], c.p[box]) - turn) * 0.82 * (b.width + b.depth) / 2
    lean = rng.uniform(0.1, 0.5)  # along the tenth rib: forwards as it goes down
    u = (s * np.cos(lean) - arc * np.sin(lean)) / long
    v = (s * np.sin(lean) + arc * np.cos(lean)) / wide
    power = rng.uniform(2.0, 2.8)
    q = (np.abs(u) ** power + np.abs(v) ** power) ** (1 / power)
    rim = np.sqrt(np.clip(1.0 - q, 0, 1) + 1e-4)
    rim = rim ** np.float32(rng.uniform(0.5, 1.0)) * (1.0 + 0.18 * c.noise(box, 40.0))
    hilum = np.exp(-((u - 0.05) ** 2 + (v + 0.25) ** 2) / 0.08) * rng.uniform(0, 0.3)
    outer = smooth_min(f.cavity[box] - 1.0, f.diaphragm[box] - 1.5, 6.0)
    inner = thick * rim * (1.0 - hilum) - outer + 1.2 * c.noise(box, 20.0)
    field = smooth_min(
        outer, smooth_min(inner.astype(np.float32), ((1 - q) * wide).astype(np.float32), 6.0), 6.0
    )
    # beside the kidney it never reaches to its inner side; above, to some 2 cm from the middle
    above = np.clip((c.s[box] - (KIDNEY_MID[1] + 50) * ks) / 30, 0, 1)
    field = np.minimum(field, c.l[box] - b.kl * (KIDNEY_BESIDE + 8 - 48 * above))
    c.paint(box, np.minimum(field, 12.0) + 22.0 * (field > 0), "spleen")
    if rng.random() < 0.08:
        made = c.ellipsoid((mid - 20, 0.1 * b.depth, 0.55 * b.width), np.full(3, rng.uniform(4, 8)))
        if made is not None:
            c.paint(made[0], made[1], "spleen")


def kidneys(c: Canvas, b: Build) -> dict[int, tuple[float, float, float]]:
    """Both kidneys beside the psoas, with cortex, pyramids, sinus and cysts; returns their upper poles."""
    rng = c.rng
    ks, kl = b.ks, b.kl
    shared = float(np.clip(rng.normal(1.02, 0.09), 0.87, 1.25))
    level = float(np.clip(rng.normal(2, 17), -32, 42))
    missing = rng.random(2) < 0.02
    poles: dict[int, tuple[float, float, float]] = {}
    for side, name in ((-1, "right"), (1, "left")):
        mid = KIDNEY_MID[side] * ks + level + float(np.clip(rng.normal(0, 10), -18, 18))
        size = shared * rng.normal(1.0, 0.05) * kl**0.4
        centre = np.array(
            (
                mid,
                spine_position(b, mid) + rng.normal(0, 5) - 10,
                side * (KIDNEY_BESIDE * kl + rng.normal(3, 4)),
            )
        )
        long, ap, lat = (
            55 * size * rng.uniform(0.93, 1.1),
            26 * size * rng.uniform(0.9, 1.15),
            30.5 * size * rng.uniform(0.92, 1.1),
        )
        # rows: long axis (upper pole medial and behind), then the flat axis, then towards the outer edge
        turn = rng.normal(0.75, 0.25)  # the hilum looks forwards and inwards
        medial, back = rng.normal(0.24, 0.07), rng.normal(0.16, 0.07)
        axis = np.array((1.0, back, -side * medial))
        outer = np.array((0.0, np.sin(turn), side * np.cos(turn)))
        outer -= axis * (axis @ outer) / (axis @ axis)
        axis, outer = axis / np.linalg.norm(axis), outer / np.linalg.norm(outer)
        rows = np.stack([axis, np.cross(axis, outer), outer])
        poles[side] = tuple(centre + axis * long)
        if missing[0 if side < 0 else 1]:
            continue
        made = c.ellipsoid(centre, (long, ap, lat), rows)
        if made is None:
            continue
        box, depth = made
        d = [c.s[box] - centre[0], c.p[box] - centre[1], c.l[box] - centre[2]]
        u, v, w = (
            rows[i, 0].astype("f4") * d[0] + rows[i, 1].astype("f4") * d[1] + rows[i, 2].astype("f4") * d[2]
            for i in range(3)
        )
        field = depth + 1.3 * c.noise(box, 26.0)
        # sinus: a flattened cave that opens towards the middle of the body
        opening = np.sqrt(
            (u / (long * 0.47)) ** 2 + (v / (ap * 0.40)) ** 2 + ((w + 0.72 * lat) / (lat * 0.85)) ** 2
        )
        wide = rng.uniform(0.65, 1.1)
        sinus = (wide - opening) * 12.0 + 1.5 * c.noise(box, 12.0)
        firm = field + 30.0 * (field > 0)
        body = c.paint(box, np.where(sinus > 0, -1, firm).astype(np.float32), f"{name} kidney cortex")
        c.paint(box, np.where((sinus > 0) & (field > -3), 28.0, -1).astype(np.float32), "renal sinus")
        inner = np.minimum(depth - rng.uniform(6.0, 8.5), 11.0 + sinus)  # between cortex and sinus
        columns = np.cos(u / long * 11.0 + rng.uniform(0, 6)) + 0.8 * np.cos(
            np.arctan2(v, w + 0.3 * lat) * 4 + rng.uniform(0, 6)
        )
        c.relabel(
            box, body & (inner > 0) & (columns > -0.75), f"{name} kidney cortex", f"{name} kidney medulla"
        )
        # perirenal fat keeps other organs at a distance, most of it behind and inwards
        coat = rng.uniform(0.0, 2.0) + 9.0 * b.visceral * (1.0 + 0.5 * np.tanh(d[1] / 20.0))
        around = (field <= 0) & (field > -coat) & c.room[box] & (c.depth[box] < 500)
        around &= c.is_any(box, "liver", "spleen", "visceral fat")
        c.labels[box][around] = STRUCTURES["visceral fat"]
        c.depth[box][around] = 7.0
        dilated = rng.random()
        if dilated < 0.25:
            c.relabel(box, sinus > 12.0 * wide * rng.uniform(0.35, 0.7), "renal sinus", "kidney cyst")
        for _ in range(int(rng.poisson(0.45))):
            spot = centre + axis * long * rng.uniform(-0.9, 0.9) + outer * lat * rng.uniform(-0.3, 1.1)
            cyst = c.ellipsoid(spot, np.full(3, min(4 + rng.exponential(7), 35)), rough=0.6)
            if cyst is not None:
                c.paint(cyst[0], cyst[1] + 40.0 * (cyst[1] > 0), "kidney cyst")
        start = np.array((mid, spine_position(b, mid) - 24, side * 14))
        for vein, name2, r in ((0, "vena cava", 4.0), (1, "aorta", 2.6)):
            path = curve(
                [
                    start + (0, -8 * (1 - vein), 0),
                    (start + centre) / 2 + (0, -9, 0),
                    centre - outer * lat * 0.6,
                ],
                10,
            )
            tube = TubeField(c, path, np.full(len(path), r))
            if tube.box is not None:
                c.paint(tube.box, tube.local + 12.0 * (tube.local > 0), name2)
    return poles


def adrenals(c: Canvas, b: Build, poles: dict[int, tuple[float, float, float]]) -> None:
    """Thin inverted Y above and in front of each kidney."""
    rng = c.rng
    for side, name in ((-1, "right adrenal"), (1, "left adrenal")):
        s, p, l = poles[side]
        top = np.array(
            (s + (4 if side < 0 else -6), p - (17 if side < 0 else 25), l - side * (12 if side < 0 else 7))
        )
        thick = rng.uniform(2.6, 4.0)
        for limb in ((4, 18, -2 * side), (-2, 17, 11 * side)):
            path = np.stack([top, top + np.array((-8, 5, 0)), top + np.array((-24, limb[1], limb[2]))])
            tube = TubeField(c, path, np.full(3, thick))
            if tube.box is not None:
                c.paint(tube.box, tube.local + 60.0 * (tube.local > 0), name)


def pancreas(c: Canvas, b: Build, f: TrunkFields) -> None:
    """Head in the duodenal loop, neck before the mesenteric vein, body over the spine, tail to the spleen."""
    rng = c.rng
    ks, kl = b.ks, b.kl
    low = rng.normal(90, 10) * ks
    front = spine_position(b, low)
    rise = rng.uniform(15, 55) * ks
    points = [
        (low - 16, front - 34, -36 * kl),
        (low + 2, front - 40, -32 * kl),
        (low + 14, front - 56, -4 * kl),
        (low + 18 + 0.4 * rise, front - 58, 20 * kl),
        (low + 14 + 0.8 * rise, front - 38, 50 * kl),
        (low + 12 + rise, front - 14, 82 * kl),
    ]
    pts = np.array(points) + rng.normal(0, 3.5, (6, 3))
    path = curve(pts, 7)
    n = len(path)
    t = np.linspace(0, 1, n)
    radii = np.interp(t, [0, 0.15, 0.35, 0.5, 0.75, 1], [14, 18, 10.5, 12, 12.5, 10]) * rng.uniform(
        0.75, 1.15
    )
    tube = TubeField(c, path, radii)
    if tube.box is not None:
        lobes = 1.6 * c.noise(tube.box, 9.0) + 1.2 * c.noise(tube.box, 20.0)
        field = tube.local + lobes
        c.paint(tube.box, field + 18.0 * (field > 0), "pancreas")
    # splenic and portal veins run behind it
    neck = pts[2] + (0, 12, -4)
    portal = curve([(low - 60, front - 48, 2), neck, (124 * ks, 0.2 * front - 4, -30 * kl)], 10)
    splenic = curve([neck, pts[3] + (3, 11, 0), pts[4] + (4, 11, 0), pts[5] + (4, 6, 12)], 10)
    for way, r in ((portal, rng.uniform(5, 7)), (splenic, rng.uniform(3.2, 4.8))):
        tube = TubeField(c, way, np.full(len(way), r))
        if tube.box is not None:
            c.paint(tube.box, tube.local + 30.0 * (tube.local > 0), "portal vein")
