"""Uptake of FDG in every structure of a random patient, as PET shows it.

What is hot in everybody (brain, urinary tract), in some (heart, gut, marrow, muscle, brown fat) and in tumours. Ranges
are those of SUVbw an hour after injection; `render.TISSUES` has the means.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.phantoms.render import TISSUES
from napari_cpclnet.phantoms.structures import MERGES, STRUCTURES
from napari_cpclnet.phantoms.tissue_table import BLOOD

_SUV = np.array([TISSUES[s].suv if s in TISSUES else 0.0 for s in STRUCTURES])

_BRAIN = MERGES["brain"]
_POOL = (
    *BLOOD, "right ventricle blood", "left atrium blood", "right atrium blood", "neck artery", "neck vein",
)  # fmt: skip
_GAS = ("air", "stomach gas", "bowel gas", "airway", "sinus air", "couch")
_FAT = ("subcutaneous fat", "visceral fat")
_MUSCLE = ("wall muscle", "psoas", "back muscle")
_MARROW = ("vertebra", "vertebral body", "pelvic bone", "shoulder bone", "rib", "skull")
_GUT = (
    ("stomach wall", "stomach content"),
    ("small bowel wall", "small bowel content", "duodenum"),
    ("colon wall", "colon content"),
)
_KIDNEYS = ("right kidney cortex", "right kidney medulla")
_GLANDS = ("right parotid", "right submandibular")


def _one(rng: np.random.Generator, spread: float) -> float:
    """A factor near one, log-normal."""
    return float(np.exp(rng.normal(0, spread)))


def pet_values(rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a patient's uptake.

    Returns
    -------
    array, shape (structures,)
        In [0, 1.2]: SUV as a share of the SUV that is shown white, drawn between 3 and 10.
    """
    suv = _SUV * np.exp(rng.normal(0, 0.12, len(_SUV)))

    def scale(names: tuple[str, ...], factor: float) -> None:
        suv[[STRUCTURES[n] for n in names]] *= factor

    def put(name: str, value: float) -> None:
        suv[STRUCTURES[name]] = value

    def of(name: str) -> float:
        return float(suv[STRUCTURES[name]])

    scale(_BRAIN, _one(rng, 0.35))
    scale(_POOL, _one(rng, 0.2))
    # fasting turns the heart off, in part: from no more than blood to hotter than the brain
    put("heart wall", of("left ventricle blood") * float(np.exp(rng.uniform(-0.1, np.log(9)))))
    put("thin heart wall", max(of("left ventricle blood"), of("heart wall") * float(rng.uniform(0.2, 0.6))))
    put("heart scar", of("heart wall") * float(rng.uniform(0.2, 0.8)))
    scale(("liver", "liver vessel"), _one(rng, 0.22))
    scale(("spleen",), _one(rng, 0.2))
    scale(_FAT, float(rng.uniform(2, 6)) if rng.random() < 0.06 else _one(rng, 0.2))  # brown fat
    scale(_MUSCLE, float(rng.uniform(2, 5)) if rng.random() < 0.08 else _one(rng, 0.2))  # exercise, insulin
    if rng.random() < 0.2:  # marrow stimulated by therapy or infection, and mostly the spleen with it
        scale(_MARROW, float(rng.uniform(1.8, 4)))
        scale(("spleen",), float(rng.uniform(1, 1.8)))
    else:
        scale(_MARROW, _one(rng, 0.2))
    for part in _GUT:
        scale(part, float(rng.uniform(2, 6)) if rng.random() < 0.2 else _one(rng, 0.4))
    scale(_KIDNEYS, _one(rng, 0.35))
    put("renal sinus", float(np.clip(6 * _one(rng, 0.8), 1, 40)))
    put("bladder", float(np.clip(14 * _one(rng, 0.9), 1, 60)))
    scale(("tongue", "oesophagus", "pelvic organ", "breast gland"), _one(rng, 0.25))
    scale(("thyroid",), float(rng.uniform(2, 5)) if rng.random() < 0.1 else _one(rng, 0.3))
    scale(_GLANDS, _one(rng, 0.4))
    scale(("consolidation",), _one(rng, 0.5))
    for name in (*_KIDNEYS, *_GLANDS, "right adrenal"):
        put(name.replace("right", "left"), of(name) * _one(rng, 0.08 if rng.random() < 0.9 else 0.4))
    put("cerebrospinal fluid", of("ventricle") * _one(rng, 0.2))
    # one tumour in fifteen is colder than the liver, some are ten times as hot
    for name in ("mass", "liver lesion"):
        put(name, of("liver") * 2.6 * _one(rng, 0.65))
    put("mass core", of("mass") * float(rng.uniform(0.1, 0.6)))
    for name in _GAS:
        put(name, 0.0 if name == "couch" else abs(float(rng.normal(0, 0.15))))
    return np.asarray(np.clip(suv / rng.uniform(3, 10), 0, 1.2), np.float32)
