"""Pictures of phantoms as a CT, an MR or a PET scanner would take them, for the demo and the sample data.

Training draws a random appearance for every structure instead; here the values are those of real tissue, so that the
pictures look like scans and go through the same intensity handling as scans.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.phantoms.phantom import Phantom

Floats = NDArray[np.float32]
Finish = Callable[[Floats, tuple[float, float, float], np.random.Generator], NDArray[Any]]
ScanModality = Literal["CT", "MR", "PT"]


class Tissue(NamedTuple):
    """What a structure looks like.

    ``hu``: portal venous CT, in HU. ``t2``: fat-suppressed T2-weighted MR, 1 is fluid. ``suv``: FDG uptake an hour
    after injection, in SUVbw. ``texture``: relative strength of the structure's own pattern, 1 is parenchyma.
    """

    hu: float
    t2: float
    suv: float
    texture: float = 1.0


TISSUES: dict[str, Tissue] = {
    "air": Tissue(-1000, 0.0, 0.0, 0.0),
    "skin": Tissue(10, 0.20, 0.5),
    "subcutaneous fat": Tissue(-105, 0.10, 0.25, 0.7),
    "wall muscle": Tissue(58, 0.22, 0.7),
    "visceral fat": Tissue(-98, 0.11, 0.35, 0.9),
    "liver": Tissue(108, 0.34, 2.3),
    "liver vessel": Tissue(155, 0.46, 1.9, 0.5),
    "liver lesion": Tissue(62, 0.62, 5.0, 1.5),
    "gallbladder": Tissue(10, 1.00, 0.8, 0.3),
    "spleen": Tissue(118, 0.62, 1.9, 0.8),
    "right kidney cortex": Tissue(182, 0.66, 2.8),
    "right kidney medulla": Tissue(150, 0.80, 3.4),
    "left kidney cortex": Tissue(182, 0.66, 2.8),
    "left kidney medulla": Tissue(150, 0.80, 3.4),
    "renal sinus": Tissue(-40, 0.45, 6.0, 1.5),
    "kidney cyst": Tissue(8, 1.00, 0.5, 0.3),
    "right adrenal": Tissue(70, 0.38, 1.6),
    "left adrenal": Tissue(70, 0.38, 1.6),
    "pancreas": Tissue(92, 0.40, 1.6, 1.6),
    "stomach wall": Tissue(82, 0.36, 2.0),
    "stomach content": Tissue(22, 0.80, 0.8, 2.5),
    "stomach gas": Tissue(-900, 0.02, 0.3, 0.3),
    "duodenum": Tissue(58, 0.55, 1.9, 2.0),
    "small bowel wall": Tissue(88, 0.40, 1.8),
    "small bowel content": Tissue(25, 0.82, 1.2, 2.5),
    "colon wall": Tissue(76, 0.36, 2.0),
    "colon content": Tissue(40, 0.32, 1.4, 4.0),
    "bowel gas": Tissue(-880, 0.02, 0.3, 0.3),
    "aorta": Tissue(162, 0.10, 1.7, 0.3),
    "vena cava": Tissue(148, 0.22, 1.7, 0.6),
    "portal vein": Tissue(165, 0.28, 1.7, 0.4),
    "mesenteric vessel": Tissue(148, 0.24, 1.4, 0.6),
    "vertebra": Tissue(190, 0.26, 1.5, 3.0),
    "spinal canal": Tissue(28, 0.92, 1.6, 0.6),
    "psoas": Tissue(62, 0.23, 0.8),
    "back muscle": Tissue(56, 0.23, 0.7, 1.6),
    "rib": Tissue(420, 0.15, 0.9, 5.0),
    "cartilage": Tissue(105, 0.25, 0.6),
    "lung": Tissue(-820, 0.05, 0.4, 3.0),
    "heart wall": Tissue(105, 0.40, 3.5, 1.2),
    "left ventricle blood": Tissue(158, 0.16, 1.8, 0.6),
    "oesophagus": Tissue(55, 0.36, 1.8),
    "pelvic bone": Tissue(290, 0.20, 1.1, 4.0),
    "pelvic organ": Tissue(62, 0.48, 1.6, 1.5),
    "bladder": Tissue(6, 1.00, 14.0, 0.3),
    "free fluid": Tissue(12, 1.00, 0.6, 0.3),
    "couch": Tissue(-180, 0.0, 0.0, 0.5),
    "mass": Tissue(78, 0.60, 6.0, 1.5),
    "mass core": Tissue(20, 0.85, 0.8, 1.0),
    "right ventricle blood": Tissue(152, 0.18, 1.8, 0.6),
    "left atrium blood": Tissue(158, 0.16, 1.8, 0.4),
    "right atrium blood": Tissue(148, 0.20, 1.8, 0.6),
    "thin heart wall": Tissue(105, 0.38, 2.2, 1.2),
    "heart scar": Tissue(95, 0.55, 1.0, 1.2),
    "pulmonary artery": Tissue(155, 0.12, 1.7, 0.3),
    "lung vessel": Tissue(60, 0.20, 1.2, 0.6),
    "airway": Tissue(-980, 0.0, 0.2, 0.3),
    "consolidation": Tissue(45, 0.60, 3.0, 2.5),
    "pleural effusion": Tissue(10, 1.00, 0.6, 0.3),
    "breast gland": Tissue(35, 0.45, 1.0, 2.5),
    "shoulder bone": Tissue(300, 0.18, 1.0, 4.0),
    "brain grey matter": Tissue(42, 0.52, 10.0, 0.7),
    "brain white matter": Tissue(31, 0.38, 4.0, 0.7),
    "cerebellum": Tissue(38, 0.47, 7.0, 1.0),
    "brainstem": Tissue(33, 0.41, 5.0, 0.7),
    "ventricle": Tissue(8, 1.00, 0.6, 0.3),
    "cerebrospinal fluid": Tissue(10, 0.97, 0.9, 0.5),
    "spinal cord": Tissue(38, 0.45, 2.2, 0.5),
    "eye": Tissue(14, 1.00, 1.2, 0.3),
    "skull": Tissue(820, 0.10, 1.0, 4.0),
    "teeth": Tissue(1900, 0.03, 0.6, 4.0),
    "sinus air": Tissue(-930, 0.02, 0.3, 1.0),
    "tongue": Tissue(66, 0.30, 1.7, 1.8),
    "right parotid": Tissue(18, 0.42, 2.0, 2.2),
    "left parotid": Tissue(18, 0.42, 2.0, 2.2),
    "right submandibular": Tissue(72, 0.48, 2.1, 1.2),
    "left submandibular": Tissue(72, 0.48, 2.1, 1.2),
    "thyroid": Tissue(165, 0.50, 1.6, 1.3),
    "neck artery": Tissue(170, 0.06, 1.6, 0.3),
    "neck vein": Tissue(165, 0.25, 1.6, 0.4),
    "thalamus": Tissue(40, 0.47, 10.0, 0.7),
    "caudate": Tissue(43, 0.50, 10.5, 0.6),
    "putamen": Tissue(43, 0.48, 11.0, 0.6),
    "pallidum": Tissue(40, 0.36, 7.5, 0.7),
    "hippocampus": Tissue(41, 0.54, 7.5, 0.8),
    "amygdala": Tissue(41, 0.53, 7.5, 0.7),
    "vertebral body": Tissue(188, 0.27, 1.7, 2.5),
    "intervertebral disc": Tissue(95, 0.14, 0.8, 0.8),
    "disc nucleus": Tissue(78, 0.60, 0.6, 0.8),
    "cauda equina": Tissue(36, 0.42, 1.4, 0.5),
    "prostate transition zone": Tissue(78, 0.42, 2.0, 3.5),
    "prostate peripheral zone": Tissue(66, 0.72, 1.8, 1.5),
    "seminal vesicle": Tissue(42, 0.85, 1.4, 2.0),
    "uterus": Tissue(105, 0.46, 1.9, 1.4),
    "endometrium": Tissue(72, 0.82, 2.2, 0.6),
}

_SPREAD = {"CT": 6.0, "MR": 0.025, "PT": 0.12}
"""How much patients differ in one tissue: HU, fraction of fluid, fraction of the tissue's own uptake."""

_TEXTURE = {"CT": 6.0, "MR": 0.025, "PT": 0.08}
"""Amplitude of parenchyma's own pattern, in the same units as `_SPREAD`."""

_BLUR_MM = {"CT": 0.7, "MR": 0.9, "PT": 2.8}
"""Standard deviation of the scanner's point spread, in mm."""


def render_phantom(phantom: Phantom, modality: ScanModality, rng: np.random.Generator) -> Volume:
    """Take a picture of a phantom.

    Parameters
    ----------
    phantom
        Labels (z, y, x), z to superior, y to posterior, x to the patient's left.
    modality
        ``"CT"`` gives HU (int16), ``"MR"`` fat-suppressed T2 in arbitrary units (int16), ``"PT"`` FDG uptake in
        SUVbw (float32).
    rng
        Source of the patient's own values, texture, coil sensitivity and noise.

    Returns
    -------
    Volume
        On the grid of the phantom.

    Raises
    ------
    KeyError
        If the phantom holds a structure without a known appearance, or the modality is another one.
    """
    values, textures = _tables(phantom.structures, modality, rng)
    pattern = _noise(phantom.labels.shape, phantom.spacing, 2.5, rng)
    pattern += _noise(phantom.labels.shape, phantom.spacing, 7.0, rng)
    field = textures[phantom.labels] * pattern
    field += values[phantom.labels]
    field = _blurred(field, phantom.spacing, _BLUR_MM[modality])
    finish: dict[str, Finish] = {"CT": _as_ct, "MR": _as_mr, "PT": _as_pet}
    array = finish[modality](field, phantom.spacing, rng)
    geometry = Geometry(shape=_triple(array.shape), spacing=phantom.spacing)
    unit = {"CT": "HU", "MR": "", "PT": "SUVbw"}[modality]
    return Volume(array, geometry, modality=modality, unit=unit, name=f"phantom {modality}")


def _tables(
    structures: dict[str, int], modality: ScanModality, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Value and texture amplitude of every label, for one patient."""
    size = max(structures.values()) + 1
    values = np.zeros(size, np.float32)
    textures = np.zeros(size, np.float32)
    column = {"CT": 0, "MR": 1, "PT": 2}[modality]
    for name, label in structures.items():
        tissue = TISSUES[name]
        scale = tissue[column] if modality == "PT" else 1.0
        vary = _SPREAD[modality] * rng.standard_normal() if name not in ("air", "couch") else 0.0
        values[label] = tissue[column] + scale * vary
        textures[label] = tissue.texture * _TEXTURE[modality] * scale
    for organ in ("kidney cortex", "kidney medulla", "parotid", "submandibular"):  # a patient's two are alike
        pair = [structures.get(f"{where} {organ}") for where in ("right", "left")]
        if pair[0] is not None and pair[1] is not None:
            values[pair[1]] = values[pair[0]]
    return values, textures


def _as_ct(field: Floats, spacing: tuple[float, float, float], rng: np.random.Generator) -> NDArray[np.int16]:
    noise = 14.0 * _noise(field.shape, spacing, 1.0, rng)
    # Beam hardening and scatter: a faint shading across the patient.
    shading = 5.0 * _noise(field.shape, spacing, 60.0, rng)
    result: NDArray[np.int16] = np.clip(np.rint(field + noise + shading), -1024, 3071).astype(np.int16)
    return result


def _as_mr(field: Floats, spacing: tuple[float, float, float], rng: np.random.Generator) -> NDArray[np.int16]:
    coil = np.exp(0.16 * _noise(field.shape, spacing, 70.0, rng))
    signal = np.clip(field, 0.0, None) * coil
    level = 0.02
    real = signal + level * rng.standard_normal(field.shape, np.float32)
    imaginary = level * rng.standard_normal(field.shape, np.float32)
    magnitude = np.hypot(real, imaginary)  # Rician, as scanners save it
    scale = rng.uniform(600.0, 1400.0)  # MR has no unit: every scanner has its own
    result: NDArray[np.int16] = np.clip(np.rint(magnitude * scale), 0, 32767).astype(np.int16)
    return result


def _as_pet(field: Floats, spacing: tuple[float, float, float], rng: np.random.Generator) -> Floats:
    counts = np.clip(field, 0.0, None)
    noise = 0.16 * np.sqrt(counts + 0.02) * _noise(field.shape, spacing, 2.2, rng)
    dose = rng.uniform(0.85, 1.15)  # weight and injected activity are never known exactly
    result: Floats = (np.clip(counts + noise, 0.0, None) * dose).astype(np.float32)
    return result


def _noise(
    shape: tuple[int, ...], spacing: tuple[float, float, float], sigma_mm: float, rng: np.random.Generator
) -> Floats:
    """Gaussian noise correlated over ``sigma_mm``, mean 0 and standard deviation 1."""
    # A field smoother than the grid is drawn on a coarser one: it is the same and takes a fraction of the time.
    steps = [max(1, int(sigma_mm / (2.0 * mm))) for mm in spacing]
    coarse = tuple(-(-n // step) for n, step in zip(shape, steps, strict=True))
    field = rng.standard_normal(coarse, np.float32)
    sigmas = [sigma_mm / (mm * step) for mm, step in zip(spacing, steps, strict=True)]
    field = ndimage.gaussian_filter(field, sigmas, mode="wrap")
    if max(steps) > 1:
        zoom = [n / c for n, c in zip(shape, coarse, strict=True)]
        field = ndimage.zoom(field, zoom, order=1, mode="nearest", grid_mode=True)
    result: Floats = (field - field.mean()) / max(float(field.std()), 1e-6)
    return result


def _blurred(field: Floats, spacing: tuple[float, float, float], sigma_mm: float) -> Floats:
    result: Floats = ndimage.gaussian_filter(field, [sigma_mm / mm for mm in spacing], mode="nearest")
    return result


def _triple(shape: tuple[int, ...]) -> tuple[int, int, int]:
    z, y, x = shape
    return (z, y, x)
