"""PFE: the encoder that support and query share.

A trunk gives features at strides 2 to 16 or 32; a light top-down path brings them to one grid of stride 4, fine enough
for a kidney (the published 8x8 grid shows it in one to four cells), and to a skip of stride 2 for the decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_cpclnet.model.appearance import intensity_features
from napari_cpclnet.model.layers import Residual, resize_like
from napari_cpclnet.model.settings import CPCLNetSettings

IMAGE_CHANNELS = 3
"""Channels of an input slice: the slice before, the slice itself, the slice after."""


@dataclass(frozen=True)
class Features:
    """Encoded slices, batch first.

    Attributes
    ----------
    grid : Tensor, shape (B, C, H / 4, W / 4)
        Features that descriptors are made of and compared with.
    skip : Tensor, shape (B, S, H / 2, W / 2)
        Fine features for the decoder.
    level : Tensor, shape (B,)
        Estimated level of the slice in the body: 0 at the iliac crest, 1 at the dome of the liver. Whoever knows better
        may replace it before the slice is compared with others, and tells the encoder, too; nan stands for a slice that
        lies on no such scale, as that of a limb.
    intensity_features : Tensor, shape (B, INTENSITY_FEATURES, H, W)
        What the slice plainly looks like, for comparison within one scan (:mod:`~napari_cpclnet.model.appearance`).
    """

    grid: Tensor
    skip: Tensor
    level: Tensor
    intensity_features: Tensor

    def __len__(self) -> int:
        return len(self.grid)

    def select(self, index: Tensor | slice | list[int]) -> Features:
        """Features of some of the slices."""
        return Features(*(getattr(self, f.name)[index] for f in fields(self)))

    @staticmethod
    def cat(parts: Sequence[Features]) -> Features:
        """Join features of slices of one size."""
        return Features(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Features)))


class CompactTrunk(nn.Module):
    """Residual trunk for CPUs: strides 2, 4, 8, 16."""

    channels = (24, 48, 96, 160)

    def __init__(self, inputs: int) -> None:
        super().__init__()
        a, b, c, d = self.channels
        self.stem = nn.Conv2d(inputs, a, 5, 2, 2)
        self.stages = nn.ModuleList(
            [
                Residual(a, a),
                Residual(a, b, 2),
                nn.Sequential(Residual(b, c, 2), Residual(c, c)),
                nn.Sequential(Residual(c, d, 2), Residual(d, d), Residual(d, d)),
            ]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, inputs, H, W) -> features of strides 2, 4, 8, 16."""
        x = self.stem(x)
        out = []
        for stage in self.stages:
            x = stage(x)
            out.append(x)
        return out


class EfficientNetTrunk(nn.Module):
    """EfficientNet-B0 of MONAI, as the published system uses it: strides 2, 4, 8, 16, 32."""

    channels = (16, 24, 40, 112, 320)

    def __init__(self, inputs: int) -> None:
        super().__init__()
        from monai.networks.nets.efficientnet import EfficientNetBNFeatures

        self.net = EfficientNetBNFeatures(
            "efficientnet-b0", pretrained=False, in_channels=inputs, norm=("group", {"num_groups": 8})
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, inputs, H, W) -> features of strides 2, 4, 8, 16, 32."""
        return list(self.net(x))


class ResNet50Trunk(nn.Module):
    """ResNet-50 of MONAI, the other encoder that the published configuration names: strides 2, 4, 8, 16, 32."""

    channels = (64, 256, 512, 1024, 2048)

    def __init__(self, inputs: int) -> None:
        super().__init__()
        from monai.networks.nets.resnet import resnet50

        self.net = resnet50(
            spatial_dims=2,
            n_input_channels=inputs,
            conv1_t_stride=2,
            feed_forward=False,
            norm=("group", {"num_groups": 8}),
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, inputs, H, W) -> features of strides 2, 4, 8, 16, 32."""
        net = self.net
        x = net.act(net.bn1(net.conv1(x)))
        out = [x]
        x = net.maxpool(x)
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            x = stage(x)
            out.append(x)
        return out


_TRUNKS: dict[str, type[CompactTrunk] | type[EfficientNetTrunk] | type[ResNet50Trunk]] = {
    "compact": CompactTrunk,
    "efficientnet-b0": EfficientNetTrunk,
    "resnet50": ResNet50Trunk,
}


class LevelModulation(nn.Module):
    """Scales and shifts the top-down path by the slice's level in the body.

    One slice may look like another from elsewhere: a liver full of vessels beside a bright stomach like mesentery and
    gut. Its level, which the whole scan knows better than the slice, tells them apart. Feature-wise modulation as in
    Perez et al., "FiLM", AAAI 2018; it begins as the identity.
    """

    _CENTRES = torch.linspace(-1, 2, 13)
    _WIDTH = 0.25

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = list(widths)
        self.linear = nn.Linear(len(self._CENTRES) + 1, 2 * sum(widths))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, level: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Levels (B,), nan where unknown -> scale and shift (B, C, 1, 1) of every stage."""
        known = level.isfinite()
        centres = self._CENTRES.to(level.device)
        near = torch.exp(-(((level.nan_to_num().clamp(-1, 2)[:, None] - centres) / self._WIDTH) ** 2))
        code = torch.cat([near * known[:, None], known[:, None].to(near.dtype)], 1)
        parts = self.linear(code)[..., None, None].split([2 * w for w in self.widths], 1)
        return [tuple(part.chunk(2, 1)) for part in parts]


class PFE(nn.Module):
    """Shared encoder: trunk, an estimate of the slice's level in the body, and a top-down path that is told a level.

    Two coordinate channels are added to the image (offset from the centre of the crop, in 64 pixels): where something
    lies in the body is worth as much as what it looks like, and the crop is centred on the body.
    """

    def __init__(self, settings: CPCLNetSettings) -> None:
        super().__init__()
        self.trunk = _TRUNKS[settings.encoder](IMAGE_CHANNELS + 2)
        *_, top = widths = self.trunk.channels
        c, s = settings.channels, settings.skip_channels
        # Widths of the top-down path for strides 2, 4 and coarser.
        path = [s, c] + [max(c, 96)] * (len(widths) - 2)
        self.lateral = nn.ModuleList(nn.Conv2d(w, p, 1) for w, p in zip(widths, path, strict=True))
        self.down = nn.ModuleList(
            nn.Identity() if path[i + 1] == path[i] else nn.Conv2d(path[i + 1], path[i], 1)
            for i in range(len(path) - 1)
        )
        self.fuse = nn.ModuleList(Residual(p, p) for p in path[:-1])
        # Normalised features have nearly the same mean in every slice: the level shows in where they lie.
        self.level = nn.Sequential(
            nn.Conv2d(top, 32, 1),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(32 * 16, 64),
            nn.SiLU(),
            nn.Linear(64, 1),
        )
        self.modulation = LevelModulation(path)
        self.embed = nn.Conv2d(c, c, 1)

    def forward(self, images: Tensor, levels: Tensor | None = None) -> Features:
        """Encode slices.

        Parameters
        ----------
        images : Tensor, shape (B, 3, H, W)
            Intensities in [0, 1]; `H` and `W` are multiples of 32.
        levels : Tensor, shape (B,), optional
            Levels in the body, where they are known better than from each slice alone; nan for slices on no such scale.
            The encoder's own estimates where missing. The features' level is its own estimate either way.
        """
        pyramid, level = self._seen(images)
        stages = self.modulation(level.detach() if levels is None else levels)

        def modulated(x: Tensor, stage: int) -> Tensor:
            scale, shift = stages[stage]
            scaled: Tensor = x * (1 + scale.to(x.dtype)) + shift.to(x.dtype)
            return scaled

        x = modulated(self.lateral[-1](pyramid[-1]), -1)
        fused: list[Tensor] = []
        for i in reversed(range(len(pyramid) - 1)):
            x = resize_like(self.down[i](x), pyramid[i]) + self.lateral[i](pyramid[i])
            x = self.fuse[i](modulated(x, i))
            fused.append(x)
        return Features(self.embed(fused[-2]), F.silu(fused[-1]), level, intensity_features(images))

    def _seen(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Features of the trunk, and levels estimated from them."""
        b, _, h, w = images.shape
        if h % 32 or w % 32:
            msg = f"height and width must be multiples of 32, got {h} x {w}"
            raise ValueError(msg)
        y = ((torch.arange(h, device=images.device) - (h - 1) / 2) / 64).to(images.dtype)
        x = ((torch.arange(w, device=images.device) - (w - 1) / 2) / 64).to(images.dtype)
        place = torch.stack(torch.meshgrid(y, x, indexing="ij")).expand(b, -1, -1, -1)
        pyramid: list[Tensor] = self.trunk(torch.cat([images * 4 - 2, place], 1))
        level: Tensor = self.level(pyramid[-1]).squeeze(1).float()
        return pyramid, level
