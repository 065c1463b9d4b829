"""Random appearance of phantom slices: what makes every training episode a cross-modal one.

Each side of an episode (support, query) draws its own scanner: CT of any contrast phase, MR of several weightings,
PET, or no scanner that exists (a random value per structure, as in SynthSeg). Then texture, bias field, blur, noise, a
random tone curve, and the intensity handling that real scans get. All on torch, on the device of the labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from napari_cpclnet.episodes.appearance_pet import pet_values
from napari_cpclnet.phantoms.render import TISSUES
from napari_cpclnet.phantoms.structures import STRUCTURES
from napari_cpclnet.phantoms.tissue_table import (
    BLOOD,
    CONTENTS,
    ENHANCING,
    FAT_INDEX,
    NATIVE_HU,
    STRANDED,
    T1,
    TIED,
)

COUNT = len(STRUCTURES)
_INDEX = STRUCTURES
Table = NDArray[np.float32]

PET = 2
"""The kind of look that shows FDG; 0 is CT, 1 MR, 3 no scanner that exists."""


@dataclass(frozen=True)
class ScannerAppearance:
    """One scanner's view of one patient.

    Attributes
    ----------
    values, textures, strands : array, shape (structures,)
        Mean intensity in [0, 1], amplitude of the texture, and contrast of fine vessels or septa of every structure.
    strand_width : float
        Of these, in the unit of the smooth field whose zeros they follow.
    blur, noise, bias, gain, gamma : float
        Standard deviation of the blur in pixels, of the noise, of the log bias field, of the log gain from slice to
        slice (an MR fades towards the ends of its coil); exponent of the tone curve.
    mixing : float
        Share of a random tone curve in the picture, which need not rise, so that contrasts turn around; 0 is none.
    view : tuple of float
        Half height and half width of the field of view, in half slice sides; nothing is seen outside.
    """

    values: Table
    textures: Table
    strands: Table
    strand_width: float
    blur: float
    noise: float
    bias: float
    gain: float
    gamma: float
    mixing: float
    view: tuple[float, float]


def _column(name: str) -> Table:
    return np.array([getattr(TISSUES[s], name) if s in TISSUES else 0.0 for s in STRUCTURES], np.float32)


def _tissue_tables() -> dict[str, Table]:
    hu = _column("hu")
    t2 = _column("t2")
    t1 = np.array([T1[s] for s in STRUCTURES], np.float32)
    native = hu.copy()
    for name, value in NATIVE_HU.items():
        native[_INDEX[name]] = value
    for name, (ct, mr) in {"bladder": (8, 1.0), "free fluid": (10, 0.95)}.items():
        hu[_INDEX[name]] = native[_INDEX[name]] = ct
        t2[_INDEX[name]] = mr
    return {"hu": hu, "native": native, "t2": t2, "t1": t1}


_TABLES = _tissue_tables()
_LUMPY = np.maximum(
    np.array([TISSUES[s].texture if s in TISSUES else 1.0 for s in STRUCTURES], np.float32), 0.0
)


def _ct(rng: np.random.Generator) -> Table:
    phase = np.clip(rng.normal(0.8, 0.5), 0, 1.6) * np.clip(rng.normal(1, 0.35, 8), 0.2, 2.0)
    hu = _TABLES["native"].copy()
    for name, value in STRUCTURES.items():
        strength = phase[ENHANCING[name]] if name in ENHANCING else min(float(phase.mean()), 1.3)
        hu[value] += strength * (_TABLES["hu"][value] - _TABLES["native"][value])
    hu += rng.normal(0, 10, COUNT)
    if rng.random() < 0.2:  # fatty liver
        hu[_INDEX["liver"]] -= rng.uniform(20, 60)
    if rng.random() < 0.5:  # oral contrast, which seldom fills all of the gut
        contrast = rng.uniform(90, 500)
        for name in CONTENTS:
            if rng.random() < 0.75:
                hu[_INDEX[name]] = contrast * rng.uniform(0.7, 1.2)
    low, high = -125 + rng.normal(0, 25), 275 + rng.normal(0, 40)
    return np.asarray(np.clip((hu - low) / (high - low), 0, 1), np.float32)


def _mr(rng: np.random.Generator) -> Table:
    kind = rng.random()
    if kind < 0.65:
        values = _TABLES["t2"] * np.exp(rng.normal(0.05, 0.25))
        fat = rng.random()
        if fat < 0.3:  # without fat suppression
            values[FAT_INDEX] = rng.uniform(0.6, 1.0)
        elif fat < 0.5:
            values[FAT_INDEX] = rng.uniform(0.1, 0.4)
        if rng.random() < 0.6:  # long echo: the liver nearly as dark as muscle, spleen and kidneys bright
            values[_INDEX["liver"]] *= rng.uniform(0.4, 1.0)
            for names in (("spleen",), ("right kidney cortex", "right kidney medulla")):
                values[[_INDEX[n] for n in names]] *= rng.uniform(0.9, 1.5)
        if rng.random() < 0.2:  # fluid-attenuated: the fluid around and in the brain is dark
            values[[_INDEX["ventricle"], _INDEX["cerebrospinal fluid"]]] *= rng.uniform(0.05, 0.3)
        iron = rng.random() < 0.45
        if rng.random() < 0.4:  # slow blood is as bright as water
            values[[_INDEX["liver vessel"], _INDEX["portal vein"]]] = rng.uniform(0.5, 1.0)
    else:
        values = _TABLES["t1"].copy()
        if rng.random() < 0.4:  # fat-suppressed
            values[FAT_INDEX] = rng.uniform(0.05, 0.3)
        if rng.random() < 0.4:  # with contrast agent
            for name in ENHANCING:
                values[_INDEX[name]] += rng.uniform(0.2, 0.6)
        iron = rng.random() < 0.12
    if iron:  # liver, and mostly spleen, darker than muscle, at times as dark as lung
        values[_INDEX["liver"]] = rng.uniform(0.02, 0.18)
        if rng.random() < 0.7:
            values[_INDEX["spleen"]] = rng.uniform(0.02, 0.2)
        if rng.random() < 0.6:
            values[[_INDEX["liver vessel"], _INDEX["portal vein"]]] = rng.uniform(0.2, 0.9)
    if rng.random() < 0.5:
        values[_INDEX["mass"]] = rng.uniform(0.2, 1.0)
    values = values * np.exp(rng.normal(0, 0.22, COUNT)) + rng.normal(0, 0.02, COUNT)
    for name in BLOOD:
        if rng.random() < 0.3:  # flow: dark or bright
            values[_INDEX[name]] = rng.uniform(0, 1)
    fluid = rng.uniform(0.6, 1.3) if kind < 0.65 and rng.random() < 0.35 else None
    if rng.random() < 0.2:  # cine, and with contrast agent: all blood is bright
        values[[_INDEX[name] for name in BLOOD]] = rng.uniform(0.6, 1.2) * rng.uniform(0.9, 1.1, len(BLOOD))
    for name in CONTENTS:
        if fluid is not None and rng.random() < 0.8:  # stomach and gut as bright as the brightest
            values[_INDEX[name]] = fluid * rng.uniform(0.8, 1.2)
        elif rng.random() < 0.5:
            values[_INDEX[name]] = rng.uniform(0, 1)
    # what is white is set by the brightest voxels of the scan, which may be much brighter than organs
    values = values * np.exp(rng.normal(-0.1, 0.2))
    if kind < 0.65 and rng.random() < 0.15:  # a spleen as white as water
        values[_INDEX["spleen"]] = rng.uniform(0.7, 1.3)
    return np.asarray(np.clip(values, 0, 1.3), np.float32)


def _any(rng: np.random.Generator) -> Table:
    values = rng.uniform(0, 1, COUNT)
    if rng.random() < 0.7:
        values[: _INDEX["skin"]] = 0.0
        values[_INDEX["lung"]] = abs(rng.normal(0, 0.08))
    else:
        values[_INDEX["air"]] = rng.uniform(0, 0.3)
    if rng.random() < 0.5:  # upper organs of nearly one intensity: shape and place must do
        base, spread = rng.uniform(0.3, 0.8), rng.uniform(0.02, 0.1)
        for name in ("liver", "spleen", "stomach content", "pancreas", "wall muscle", "right kidney cortex"):
            values[_INDEX[name]] = base + rng.normal(0, spread)
    return values.astype(np.float32)


def sample_appearance(rng: np.random.Generator, kind: int | None = None) -> ScannerAppearance:
    """Draw a scanner and a patient's values in it."""
    if kind is None:
        kind = int(rng.choice(4, p=[0.30, 0.38, 0.05, 0.27]))
    values = (_ct, _mr, pet_values, _any)[kind](rng)
    for follower, leader in TIED if kind != PET else ():
        if kind != 0 or follower.startswith("left "):
            loose = 0.03 if rng.random() < 0.85 else 0.15
            values[_INDEX[follower]] = values[_INDEX[leader]] + rng.normal(0, loose)
    if kind == 3 and rng.random() < 0.15:
        values = values.max() - values
    if kind != PET and rng.random() < 0.2:
        _gut_like_an_organ(values, rng)
    strands = _strands(rng, kind)
    measured = (0, PET)  # in units that are the same all over the body
    amount = (0.012, 0.03, 0.06, 0.04)[kind] * np.exp(rng.normal(0, 0.5))
    textures = np.clip(amount * _LUMPY * np.exp(rng.normal(0, 0.5, COUNT)), 0, 0.2)
    if rng.random() < 0.35:  # no two loops of gut hold the same
        textures[[_INDEX[n] for n in CONTENTS]] = rng.uniform(0.1, 0.35) * rng.uniform(0.5, 1, len(CONTENTS))
    if kind == PET:  # a cold organ has no pattern, however lumpy it is
        textures = textures * np.clip(2 * values, 0.05, 1)
    return ScannerAppearance(
        values=values.astype(np.float32),
        textures=textures.astype(np.float32),
        strands=strands,
        strand_width=float(rng.uniform(0.1, 0.28)),
        blur=float((0.45, 0.5, 0.95, 0.6)[kind] * np.exp(rng.normal(0, 0.35))),
        noise=float((0.02, 0.025, 0.04, 0.03)[kind] * np.exp(rng.normal(0, 0.7))),
        bias=float(0.03 if kind in measured else abs(rng.normal(0, 0.22))),
        gain=float(0.0 if kind in measured else abs(rng.normal(0, 0.2 if rng.random() < 0.5 else 0.9))),
        gamma=float(np.exp(rng.normal(0, 0.15 if kind == 0 else 0.25))),
        mixing=float(rng.uniform(0.2, 1.0)) if rng.random() < (0.1, 0.2, 0.1, 0.3)[kind] else 0.0,
        view=_view(rng),
    )


def _gut_like_an_organ(values: Table, rng: np.random.Generator) -> None:
    """Give some of the gut the brightness of an organ: then only place, shape and texture tell them apart."""
    organ = ("liver", "spleen", "right kidney cortex", "right kidney medulla")[rng.integers(4)]
    for name in CONTENTS:
        if rng.random() < 0.6:
            values[_INDEX[name]] = values[_INDEX[organ]] + rng.normal(0, 0.05)


def _strands(rng: np.random.Generator, kind: int) -> Table:
    """Contrast of fine vessels and septa; a PET shows none, and an MR those of the liver best of all."""
    strands = np.zeros(COUNT, np.float32)
    if kind == PET:
        return strands
    for name, share in STRANDED.items():
        liver_in_mr = kind == 1 and name == "liver"
        if rng.random() < (0.65 if liver_in_mr else share):
            contrast = rng.uniform(0.05, 0.3)
            if name in ("liver", "lung"):
                contrast = rng.uniform(0.1, 0.7 if liver_in_mr else 0.5)
            darker = rng.random() < (0.25 if name != "lung" else 0.0)
            strands[_INDEX[name]] = -0.5 * contrast if darker else contrast
    return strands


def same_scanner(look: ScannerAppearance, rng: np.random.Generator) -> ScannerAppearance:
    """Another patient in nearly the same scanner."""
    values = look.values + rng.normal(0, 0.03, COUNT)
    return ScannerAppearance(
        values.astype(np.float32), look.textures, look.strands, look.strand_width, look.blur,
        look.noise * float(np.exp(rng.normal(0, 0.2))), look.bias, look.gain,
        look.gamma * float(np.exp(rng.normal(0, 0.05))), 0.0, _view(rng),
    )  # fmt: skip


def _view(rng: np.random.Generator) -> tuple[float, float]:
    """Field of view; a third of the scans cut the body at the sides or at front and back, a few to a small window."""
    if rng.random() < 0.06:
        return float(rng.uniform(0.3, 0.6)), float(rng.uniform(0.3, 0.6))
    tall = float(rng.uniform(0.6, 1.0)) if rng.random() < 0.15 else 2.0
    wide = float(rng.uniform(0.6, 1.0)) if rng.random() < 0.35 else 2.0
    return tall, wide


def smooth_field(
    size: int, shape: tuple[int, ...], generator: torch.Generator, device: torch.device
) -> Tensor:
    """Smooth noise (B, P, H, W), of standard deviation near one, from a coarse grid of `size` x `size`."""
    b, p, h, w = shape
    coarse = torch.randn(b, p, size, size, generator=generator, device=device)
    return F.interpolate(coarse, size=(h, w), mode="bicubic", align_corners=True)


def gaussian_blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of images (B, P, H, W) with one standard deviation (B,) in pixels each."""
    b, p = images.shape[:2]
    offset = torch.arange(-4, 5, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (offset[None] / sigma[:, None].clamp(min=0.15)) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(p, 0)
    flat = rearrange(images, "b p h w -> 1 (b p) h w")
    flat = F.conv2d(flat, kernel[:, None, None, :], padding=(0, 4), groups=b * p)
    flat = F.conv2d(flat, kernel[:, None, :, None], padding=(4, 0), groups=b * p)
    return rearrange(flat, "1 (b p) h w -> b p h w", b=b)


def render(labels: Tensor, looks: list[ScannerAppearance], generator: torch.Generator) -> Tensor:
    """Take pictures of label slices.

    Parameters
    ----------
    labels : Tensor of int64, shape (S, B, P, H, W)
        `S` sides (one look each), `B` slices of a side, `P` planes of a slice (before, itself, after).
    looks : list of Look, length S
    generator : torch.Generator
        On the device of the labels.

    Returns
    -------
    Tensor, shape (S, B, P, H, W)
        Intensities in [0, 1].
    """
    s, b, p, h, w = labels.shape
    device = labels.device

    def per_side(values: list[float]) -> Tensor:
        return torch.tensor(values, device=device)

    flat = labels.reshape(s, -1)
    tables = torch.tensor(
        np.stack([np.stack([k.values, k.textures, k.strands]) for k in looks]), device=device
    )
    shape = (s * b, p, h, w)
    image, texture, strand = (tables[:, i].gather(1, flat).view(shape) for i in range(3))
    lumps = 0.6 * smooth_field(max(8, h // 4), shape, generator, device) + 0.5 * smooth_field(
        max(4, h // 10), shape, generator, device
    )
    grain = torch.randn(shape, generator=generator, device=device)
    image = image + texture * (lumps + 0.5 * grain)
    if any(k.strands.any() for k in looks):  # thin curves: where a smooth field crosses zero
        width = per_side([k.strand_width for k in looks]).repeat_interleave(b)[:, None, None, None]
        field = smooth_field(max(6, h // 7), shape, generator, device)
        image = image + strand * torch.exp(-((field / width) ** 2))
    image = gaussian_blur(image, per_side([k.blur for k in looks]).repeat_interleave(b))
    bias = (
        smooth_field(4, (s, 1, h, w), generator, device)
        * per_side([k.bias for k in looks])[:, None, None, None]
    )
    gain = torch.randn((s, b, 1, 1, 1), generator=generator, device=device)
    gain = torch.exp(-(gain * per_side([k.gain for k in looks])[:, None, None, None, None]).abs()).clamp(
        min=0.1
    )
    image = (image.view(s, b, p, h, w) * torch.exp(bias)[:, None] * gain).clamp(min=0)
    noise = per_side([k.noise for k in looks])[:, None, None, None, None]
    image = image + noise * (0.3 + 0.7 * gain) * torch.randn(image.shape, generator=generator, device=device)
    gamma = per_side([k.gamma for k in looks])[:, None, None, None, None]
    image = image.clamp(0, 1.5).pow(gamma).clamp(0, 1)
    for side, look in enumerate(looks):
        if look.mixing:
            image[side] = torch.lerp(image[side], _random_curve(image[side], generator), look.mixing)
    return image * field_of_view(looks, h, w, device)


def _random_curve(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images through one random tone curve that need not rise; black stays black, as air does in every scanner."""
    knots = torch.rand(8, generator=generator, device=images.device)
    knots[0] = 0.0
    place = images * (len(knots) - 1)
    below = place.floor().clamp(max=len(knots) - 2)
    left = below.long()
    return torch.lerp(knots[left], knots[left + 1], place - below)


def field_of_view(looks: list[ScannerAppearance], h: int, w: int, device: torch.device) -> Tensor:
    """One inside each look's field of view, zero outside; shape (S, 1, 1, H, W)."""
    y = torch.linspace(-1, 1, h, device=device).abs()[:, None]
    x = torch.linspace(-1, 1, w, device=device).abs()[None]
    return torch.stack([(y <= k.view[0]) & (x <= k.view[1]) for k in looks])[:, None, None].float()
