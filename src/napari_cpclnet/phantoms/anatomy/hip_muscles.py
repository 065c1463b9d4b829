"""Muscles around the hips: every one an ellipse per axial slice, with planes of fat where two meet."""

from __future__ import annotations

import numpy as np

from napari_cpclnet.phantoms.anatomy.body import Build
from napari_cpclnet.phantoms.anatomy.hip_bones import Rows, column, hard
from napari_cpclnet.phantoms.canvas import HARD, Box, Canvas, Float, ramp
from napari_cpclnet.phantoms.structures import STRUCTURES

_MUSCLES: tuple[tuple[str, Rows], ...] = (
    ("psoas", [(90, 20, 34, 18, 14, 0), (0, 8, 47, 19, 19, 0), (-50, -12, 62, 18, 19, 0),
               (-100, -33, 80, 14, 17, 0), (-128, -37, 90, 11, 15, 0), (-160, -18, 101, 11, 13, 0),
               (-190, 10, 108, 8, 8, 0)]),
    ("wall muscle", [(-2, 14, 96, 30, 5, -35), (-25, 4, 98, 36, 11, -33), (-60, -12, 92, 28, 14, -33),
                     (-95, -30, 98, 14, 19, -20), (-130, -34, 104, 9, 12, 0), (-150, -26, 106, 6, 8, 0)]),
    # gluteus maximus, medius, minimus, and the tensor of the fascia
    ("wall muscle", [(-25, 82, 56, 8, 14, 20), (-60, 88, 72, 13, 44, 22), (-100, 80, 84, 20, 62, 24),
                     (-140, 74, 86, 26, 66, 20), (-175, 66, 92, 24, 56, 16), (-205, 52, 106, 18, 42, 20),
                     (-235, 36, 126, 8, 24, 40), (-250, 28, 134, 4, 10, 50)]),
    ("wall muscle", [(2, 24, 126, 30, 5, -40), (-25, 22, 122, 54, 12, -36), (-60, 12, 126, 56, 17, -32),
                     (-95, 12, 136, 44, 18, -15), (-120, 18, 150, 26, 12, -5), (-138, 16, 156, 14, 6, 0)]),
    ("wall muscle", [(-40, 8, 108, 36, 6, -34), (-70, 0, 110, 38, 10, -30), (-100, -4, 124, 26, 11, -10),
                     (-125, -8, 136, 12, 9, 0)]),
    ("wall muscle", [(-55, -48, 128, 9, 7, 20), (-110, -42, 144, 20, 9, 25), (-170, -32, 154, 24, 8, 20),
                     (-230, -18, 156, 14, 5, 0)]),
    # sartorius
    ("wall muscle", [(-60, -56, 122, 6, 7, 0), (-120, -62, 112, 7, 11, 0), (-180, -62, 94, 8, 13, 0),
                     (-260, -58, 68, 9, 14, 0), (-420, -30, 40, 10, 14, 0)]),
    ("wall muscle", [(-100, -34, 118, 7, 8, 0), (-150, -50, 124, 13, 16, 0), (-220, -54, 120, 16, 21, 0),
                     (-420, -52, 104, 16, 24, 0)]),
    ("wall muscle", [(-150, -4, 150, 16, 8, 0), (-190, -6, 150, 28, 17, 0), (-240, -8, 142, 40, 24, 0),
                     (-420, -8, 118, 42, 32, 0)]),
    ("wall muscle", [(-175, -22, 126, 10, 16, 0), (-230, -26, 118, 16, 26, 0), (-420, -26, 96, 18, 32, 0)]),
    ("wall muscle", [(-140, -48, 46, 5, 16, 0), (-158, -44, 62, 9, 24, -15), (-182, -24, 88, 10, 22, -30),
                     (-205, -4, 108, 6, 10, -30)]),
    # adductors and gracilis
    ("wall muscle", [(-168, -54, 24, 7, 8, 0), (-200, -49, 42, 12, 17, -10), (-260, -36, 66, 17, 22, -20),
                     (-330, -18, 82, 12, 14, 0)]),
    ("wall muscle", [(-172, -40, 28, 8, 9, 0), (-200, -24, 54, 12, 24, -20), (-240, -12, 84, 12, 22, -30),
                     (-270, -4, 100, 6, 8, -30)]),
    ("wall muscle", [(-190, -2, 44, 9, 12, 0), (-215, 4, 60, 16, 28, 0), (-260, 12, 70, 27, 36, 0),
                     (-420, 10, 62, 24, 32, 0)]),
    ("wall muscle", [(-176, -28, 18, 14, 4, 0), (-240, -12, 24, 20, 6, 0), (-420, 6, 28, 16, 8, 0)]),
    # hamstrings
    ("wall muscle", [(-202, 34, 74, 9, 12, 0), (-235, 46, 78, 17, 24, 0), (-280, 50, 82, 21, 32, 0),
                     (-420, 46, 76, 24, 36, 0)]),
    # obturator muscles, gemelli and square muscle, piriform muscle
    ("wall muscle", [(-88, 16, 68, 18, 4, 0), (-115, 10, 61, 32, 8, 0), (-145, 4, 55, 36, 9, 0),
                     (-175, 0, 50, 24, 8, 0), (-192, 2, 46, 12, 4, 0)]),
    ("wall muscle", [(-152, -34, 44, 7, 16, 0), (-172, -14, 62, 14, 27, -30), (-190, 6, 84, 11, 26, -20),
                     (-208, 16, 94, 5, 12, 0)]),
    ("wall muscle", [(-132, 34, 100, 8, 30, 20), (-155, 32, 106, 9, 30, 15), (-190, 28, 102, 11, 28, 5),
                     (-206, 26, 102, 7, 20, 5)]),
    ("wall muscle", [(-72, 46, 40, 8, 22, -30), (-92, 48, 62, 10, 34, 10), (-108, 42, 92, 9, 40, 25),
                     (-118, 26, 128, 6, 20, 25)]),
    # the muscle that erects the spine
    ("back muscle", [(90, 56, 30, 24, 30, 0), (-10, 66, 30, 21, 27, 0), (-50, 78, 24, 12, 18, 0),
                     (-90, 92, 12, 5, 9, 0)]),
)  # fmt: skip


def muscles(c: Canvas, b: Build, core: Float, lumen: Float, wing: Float) -> None:
    """Muscles that part what lies between the bones among them, with planes of fat where two meet."""
    rng = c.rng
    best = np.full(c.shape, -1e3, np.float32)
    second = np.full(c.shape, -1e3, np.float32)
    which = np.zeros(c.shape, np.uint8)
    bulk = rng.uniform(0.0, 4.5) + 2.0 * (b.wall - 1.0)

    def offer(box: Box, depth: Float, name: str) -> None:
        top, below = best[box], second[box]
        wins = depth > top
        np.maximum(below, np.minimum(depth, top), out=below)
        top[wins] = depth[wins]
        which[box][wins] = STRUCTURES[name]

    for name, rows in _MUSCLES:
        made = column(c, rows)
        if made is not None:
            offer(made[0], made[1] + bulk, name)
    # the flat muscles: the wall of the belly, and those on both faces of the iliac wing
    straight = np.interp(c.s, [-150, -120, -40, 60], [14, 26, 34, 38])
    belly = np.where(np.abs(c.l) < straight, 0.8, 1.0) * (
        9.0 + 9.0 * np.exp(-(((np.abs(c.l) - 110) / 45) ** 2))
    )
    belly = np.minimum(core, b.wall * belly - core)
    gap = np.where(np.abs(np.abs(c.l) - straight) < 2.0, -9.0, 0.0) - 9.0 * (np.abs(c.l) < 2.5)
    ahead = np.interp(c.s, [-150, -60, 0, 90], [-40, -40, 40, 55])
    belly = np.where((c.s > -150) & (c.p < ahead), belly + gap * (c.p < -30), -1e3)
    offer(c.whole, belly.astype(np.float32), "wall muscle")
    flat = np.where(wing > 0, 14.0 - wing, 9.0 + wing)
    offer(c.whole, np.where(np.abs(wing) < 40, np.minimum(flat, 3.0), -1e3).astype(np.float32), "wall muscle")
    seam = np.float32(rng.uniform(0.5, 1.6)) + 0.5 * c.noise(c.whole, 25.0)
    flesh = (best > 0) & (best - second > seam) & (core > 0.5) & (c.depth < 0.5 * HARD)
    c.labels[flesh] = which[flesh]
    c.depth[flesh] = HARD
    # what no muscle fills near the surface is of the fat below the skin
    rear = np.interp(c.s, [-200, -158, -125, -90, -50, 0], [52, 60, 80, 76, 62, 60])
    loose = (best <= 0) & (core > 0) & (lumen < -6) & (c.depth < 0.5 * HARD)
    c.labels[loose & ((core < 12) | (c.p > rear) | (c.s < -200))] = STRUCTURES["subcutaneous fat"]
    if rng.random() < 0.25:  # wasted muscle is streaked with fat
        streaks = flesh & (c.noise(c.whole, 8.0) > rng.uniform(1.5, 2.2)) & (c.p > 10)
        c.labels[streaks] = STRUCTURES["visceral fat"]


def pelvic_floor(c: Canvas) -> None:
    """A funnel of thin muscle from the wall of the pelvis to the anal canal."""
    rng = c.rng
    box = c.box((-160, 8, 0), (44, 60, 62))
    if box is None:
        return
    s, p, l = c.s[box], c.p[box], np.abs(c.l[box])
    sag = rng.normal(0, 3)
    inner = np.interp(s - sag, [-200, -186, -172, -160, -148, -136, -128], [12, 15, 22, 29, 37, 48, 56])
    # nearer to the middle at the pubis, and closed behind the rectum
    bent = np.interp(p, [-40, -12, 18, 34, 44, 50], [0.6, 1.0, 1.0, 0.85, 0.5, 0.1])
    inner = inner * (bent + (1 - bent) * ramp(s, -168.0, -140.0))
    slope = np.interp(s, [-190, -160, -135], [1.0, 0.8, 0.6])
    sheet = np.abs(l - inner) * slope < rng.uniform(1.6, 2.6)
    sheet &= (p > -38) & (p < np.interp(s, [-200, -175, -150, -130], [50, 46, 52, 60])) & (s > -198)
    sling = np.abs(np.sqrt((l / 1.0) ** 2 + (p - 26) ** 2) - 17) < 3.0  # behind the bend of the rectum
    sling &= (np.abs(s + 174) < 9) & (p > 26)
    free = c.depth[box] < 0.5 * HARD
    hard(c, box, (sheet | sling) & free, "wall muscle")
