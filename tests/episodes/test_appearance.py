"""Random scanners: reproducible, in range, different from one another, true to the labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_cpclnet.episodes.appearance import (
    COUNT,
    PET,
    ScannerAppearance,
    render,
    same_scanner,
    sample_appearance,
)
from napari_cpclnet.episodes.appearance_pet import pet_values
from napari_cpclnet.phantoms.structures import STRUCTURES
from napari_cpclnet.phantoms.tissue_table import CONTENTS

FAULTLESS = ScannerAppearance(
    values=np.linspace(0, 1, COUNT, dtype=np.float32),
    textures=np.zeros(COUNT, np.float32),
    strands=np.zeros(COUNT, np.float32),
    strand_width=0.14,
    blur=0.0,
    noise=0.0,
    bias=0.0,
    gain=0.0,
    gamma=1.0,
    mixing=0.0,
    view=(2.0, 2.0),
)


def plain(values: np.ndarray | None = None, **changes: float) -> ScannerAppearance:
    """A scanner without any fault."""
    return replace(FAULTLESS, values=FAULTLESS.values if values is None else values, **changes)


def labels(sides: int = 1, slices: int = 2, size: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    blocks = torch.randint(COUNT, (sides, slices, 3, 4, 4), generator=generator)
    return blocks.repeat_interleave(size // 4, 3).repeat_interleave(size // 4, 4)


def shoot(
    look: ScannerAppearance | list[ScannerAppearance], slices: torch.Tensor | None = None, seed: int = 0
) -> torch.Tensor:
    looks = look if isinstance(look, list) else [look]
    slices = labels(len(looks)) if slices is None else slices
    return render(slices, looks, torch.Generator().manual_seed(seed))


def test_a_faultless_scanner_shows_the_value_of_every_structure() -> None:
    look = plain()
    image = shoot(look)
    assert image.shape == (1, 2, 3, 32, 32) and image.dtype == torch.float32
    torch.testing.assert_close(image, torch.from_numpy(look.values)[labels()], rtol=0, atol=1e-5)


def test_each_side_has_its_own_scanner() -> None:
    dark, bright = plain(np.full(COUNT, 0.2, np.float32)), plain(np.full(COUNT, 0.9, np.float32))
    image = shoot([dark, bright])
    torch.testing.assert_close(image[0], torch.full_like(image[0], 0.2))
    torch.testing.assert_close(image[1], torch.full_like(image[1], 0.9))


def test_gamma_is_an_exponent() -> None:
    torch.testing.assert_close(shoot(plain(gamma=2.0)), shoot(plain()).square(), rtol=0, atol=1e-5)


def test_noise_has_the_standard_deviation_it_claims() -> None:
    image = shoot(plain(np.full(COUNT, 0.5, np.float32), noise=0.05), labels(size=64))
    assert float(image.std()) == pytest.approx(0.05, rel=0.05)
    assert float(image.mean()) == pytest.approx(0.5, abs=0.01)


def test_blur_keeps_the_mean_and_softens_edges() -> None:
    sharp, soft = (shoot(plain(blur=b), labels(size=64))[..., 8:-8, 8:-8] for b in (0.0, 1.5))
    assert soft.diff(dim=-1).abs().max() < 0.5 * sharp.diff(dim=-1).abs().max()
    assert float(soft.mean()) == pytest.approx(float(sharp.mean()), abs=0.02)


def test_bias_is_smooth_and_shared_by_the_slices_of_a_side() -> None:
    image = shoot(plain(np.full(COUNT, 0.5, np.float32), bias=0.2), labels(size=64))
    assert image.std() > 0.02
    assert image.diff(dim=-1).abs().max() < 0.05
    torch.testing.assert_close(image[0, 0], image[0, 1])


def test_gain_dims_whole_slices() -> None:
    image = shoot(plain(np.full(COUNT, 0.5, np.float32), gain=0.3), labels(slices=8))[0]
    means = image.mean((1, 2, 3))
    torch.testing.assert_close(image, means[:, None, None, None].expand_as(image))
    assert means.std() > 0.02 and means.max() <= 0.5 + 1e-6


def test_nothing_is_seen_outside_the_field_of_view() -> None:
    image = shoot(replace(plain(np.full(COUNT, 0.5, np.float32)), view=(2.0, 0.5)), labels(size=64))
    assert not image[..., :16].any() and not image[..., 48:].any()
    assert (image[..., 17:47] > 0.49).all()


def test_texture_is_drawn_on_the_structures_that_have_one() -> None:
    rough = np.zeros(COUNT, np.float32)
    rough[STRUCTURES["liver"]] = 0.1
    look = replace(plain(np.full(COUNT, 0.5, np.float32)), textures=rough)
    slices = labels(size=64)
    slices[..., :32] = STRUCTURES["liver"]
    slices[..., 32:] = STRUCTURES["lung"]
    image = shoot(look, slices)
    assert image[..., :28].std() > 0.02
    torch.testing.assert_close(image[..., 36:], torch.full_like(image[..., 36:], 0.5))


def test_the_same_generators_give_the_same_scanner_and_picture() -> None:
    one, two, other = (sample_appearance(np.random.default_rng(s)) for s in (7, 7, 8))
    np.testing.assert_array_equal(one.values, two.values)
    assert not np.array_equal(one.values, other.values)
    assert torch.equal(shoot(one, seed=1), shoot(two, seed=1))
    assert not torch.equal(shoot(one, seed=1), shoot(one, seed=2))


def test_every_random_scanner_gives_a_usable_picture() -> None:
    rng = np.random.default_rng(0)
    contrasts = []
    for _ in range(80):
        look = sample_appearance(rng)
        assert look.values.shape == look.textures.shape == (COUNT,)
        assert look.values.dtype == look.textures.dtype == np.float32
        assert np.isfinite(look.values).all() and (look.textures >= 0).all()
        assert look.blur > 0 and look.noise > 0 and look.bias >= 0 and look.gamma > 0
        image = shoot(look)
        assert image.isfinite().all() and image.min() >= 0 and image.max() <= 1
        contrasts.append(float(image.std()))
    assert np.mean(np.array(contrasts) > 0.05) > 0.85


def test_both_kidneys_look_alike_in_most_scanners() -> None:
    """Side must be told from the place, not from the brightness."""
    rng = np.random.default_rng(0)
    left, right = STRUCTURES["left kidney cortex"], STRUCTURES["right kidney cortex"]
    gaps = [abs(float(v[left] - v[right])) for v in (sample_appearance(rng).values for _ in range(100))]
    assert np.mean(np.array(gaps) < 0.1) > 0.75


def test_the_liver_is_brighter_here_and_darker_there_than_the_spleen() -> None:
    rng = np.random.default_rng(0)
    liver, spleen = STRUCTURES["liver"], STRUCTURES["spleen"]
    brighter = [bool(v[liver] > v[spleen]) for v in (sample_appearance(rng).values for _ in range(100))]
    assert 0.2 < np.mean(brighter) < 0.8


def test_another_patient_in_the_same_scanner_looks_similar_but_not_equal() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        look = sample_appearance(rng)
        near, far = same_scanner(look, rng), sample_appearance(rng)
        gap, usual = (float(np.abs(k.values - look.values).mean()) for k in (near, far))
        assert 0 < gap < 0.06 < usual
        assert near.blur == look.blur and near.values.dtype == np.float32


def uptakes(count: int = 300) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([pet_values(rng) for _ in range(count)])


def test_uptake_in_pet_lies_in_range_and_is_the_seeds() -> None:
    values = uptakes()
    assert values.dtype == np.float32 and values.shape == (300, COUNT)
    assert values.min() >= 0 and values.max() <= 1.2
    np.testing.assert_array_equal(values, uptakes())
    assert (values.std(0)[[STRUCTURES[s] for s in ("liver", "mass", "bladder", "colon wall")]] > 0.05).all()


def test_brain_and_bladder_are_hot_in_pet_and_fat_and_lung_are_cold() -> None:
    values = uptakes(2000)  # some shares lie near their limits

    def hotter(one: str, other: str) -> float:
        return float(np.mean(values[:, STRUCTURES[one]] >= values[:, STRUCTURES[other]]))

    assert hotter("brain grey matter", "liver") > 0.97
    assert hotter("bladder", "liver") > 0.9 and hotter("renal sinus", "right kidney cortex") > 0.7
    for cold in ("visceral fat", "lung", "wall muscle", "bowel gas"):
        assert hotter("liver", cold) > 0.85
    assert 0.3 < hotter("heart wall", "brain white matter") < 0.8  # from cold to very hot
    assert 0.02 < hotter("vertebra", "liver") < 0.33


def test_tumours_in_pet_are_mostly_but_not_always_hotter_than_the_liver_and_their_cores_cold() -> None:
    values = uptakes()
    mass, core, liver = (values[:, STRUCTURES[s]] for s in ("mass", "mass core", "liver"))
    assert 0.85 < np.mean(mass > liver) < 0.99
    assert (core < mass)[mass < 1.2].all()  # where neither is cut off
    ratio = np.log(mass / liver)[mass < 1.2]
    assert ratio.std() > 0.4


def test_nothing_fades_from_slice_to_slice_in_pet() -> None:
    rng = np.random.default_rng(0)
    looks = [sample_appearance(rng, PET) for _ in range(20)]
    assert all(k.gain == 0 and k.bias < 0.1 and not k.strands.any() for k in looks)


def test_gut_is_at_times_as_bright_as_an_organ() -> None:
    """More often than two values drawn apart would agree."""
    organs = [STRUCTURES[n] for n in ("liver", "spleen", "right kidney cortex", "right kidney medulla")]
    gut = [STRUCTURES[n] for n in CONTENTS]

    def agree(look: ScannerAppearance) -> bool:
        apart = np.abs(look.values[gut][:, None] - look.values[organs])
        return bool((apart < 0.06).sum(0).max() >= 3)

    rng = np.random.default_rng(0)
    looks = [sample_appearance(rng, 3) for _ in range(600)]
    share = np.mean([agree(look) for look in looks])
    # the same looks, with the organs of one and the gut of the next
    mixed = [replace(one, values=one.values.copy()) for one in looks]
    for look, other in zip(mixed, looks[1:] + looks[:1], strict=True):
        look.values[gut] = other.values[gut]
    chance = np.mean([agree(look) for look in mixed])
    assert share > 1.5 * chance, (share, chance)
