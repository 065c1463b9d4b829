"""PFE: strides, sizes, independence of the batch."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from napari_cpclnet.model import CPCLNetSettings, EncoderName, Features
from napari_cpclnet.model.encoder import PFE


@pytest.mark.parametrize("name", ["compact", "efficientnet-b0", "resnet50"])
@pytest.mark.parametrize("size", [(32, 64), (96, 160)])
@torch.no_grad()
def test_every_encoder_gives_a_grid_at_stride_4_and_a_skip_at_stride_2(
    name: EncoderName, size: tuple[int, int]
) -> None:
    h, w = size
    torch.manual_seed(0)
    encoder = PFE(CPCLNetSettings(encoder=name, channels=16, skip_channels=8)).eval()
    images = torch.rand(2, 3, h, w)
    for i, feature in enumerate(encoder.trunk(torch.rand(1, 5, h, w))):
        assert feature.shape == (1, encoder.trunk.channels[i], h >> (i + 1), w >> (i + 1))
    features = encoder(images)
    assert features.grid.shape == (2, 16, h // 4, w // 4)
    assert features.skip.shape == (2, 8, h // 2, w // 2)
    assert features.level.shape == (2,)
    alone = encoder(images[1:])
    torch.testing.assert_close(alone.grid[0], features.grid[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(alone.level[0], features.level[1], rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def encoder() -> PFE:
    torch.manual_seed(0)
    return PFE(CPCLNetSettings(channels=16, skip_channels=8)).eval()


@pytest.mark.parametrize("size", [(48, 64), (64, 48), (33, 32)])
def test_other_sizes_are_refused(encoder: PFE, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"multiples of 32, got {size[0]} x {size[1]}"):
        encoder(torch.rand(1, 3, *size))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_slices_without_contrast_never_give_nan(encoder: PFE, value: float) -> None:
    images = torch.full((2, 3, 64, 64), value, requires_grad=True)
    features = encoder(images)
    (features.grid.sum() + features.skip.sum() + features.level.sum()).backward()
    assert images.grad is not None
    assert all(x.isfinite().all() for x in (features.grid, features.skip, features.level, images.grad))


@torch.no_grad()
def test_left_and_right_differ_even_where_the_image_is_uniform(encoder: PFE) -> None:
    grid = encoder(torch.full((1, 3, 128, 128), 0.5)).grid
    assert (grid[..., 8:24, 8] - grid[..., 8:24, 23]).abs().mean() > 1e-3


def test_features_can_be_selected_and_joined() -> None:
    features = Features(
        torch.rand(4, 2, 3, 3), torch.rand(4, 1, 6, 6), torch.rand(4), torch.rand(4, 3, 12, 12)
    )
    assert len(features) == 4
    apart = [features.select(slice(0, 1)), features.select([1, 2]), features.select(torch.tensor([3]))]
    assert [len(x) for x in apart] == [1, 2, 1]
    joined = Features.cat(apart)
    assert all(torch.equal(a, b) for a, b in zip(vars(joined).values(), vars(features).values(), strict=True))


@torch.no_grad()
def test_levels_change_nothing_before_training_and_the_features_after(encoder: PFE) -> None:
    images = torch.rand(3, 3, 64, 64)
    levels = torch.tensor([0.2, 0.9, torch.nan])
    own, told = encoder(images), encoder(images, levels)
    for name in ("grid", "skip", "level"):
        torch.testing.assert_close(getattr(own, name), getattr(told, name))
    trained = copy.deepcopy(encoder)
    nn.init.normal_(trained.modulation.linear.weight, std=0.1)
    told = trained(images, levels)
    other = trained(images, levels + 0.3)
    assert not torch.allclose(told.grid[:2], other.grid[:2], atol=1e-3)
    assert not torch.allclose(told.skip[:2], other.skip[:2], atol=1e-3)
    torch.testing.assert_close(told.grid[2], other.grid[2])  # unknown either way
    torch.testing.assert_close(told.level, own.level)  # an estimate of its own
    itself = trained(images)
    torch.testing.assert_close(itself.grid, trained(images, own.level).grid)
    assert itself.grid.isfinite().all() and trained(images, torch.full((3,), 1e9)).grid.isfinite().all()
