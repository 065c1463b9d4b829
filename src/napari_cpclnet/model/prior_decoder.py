"""Prior decoder: a small U-Net that moves a nearly right mask to the edges of the image, whatever the structure.

Ours; nothing of it is in the published material. It knows no names: it sees slices, the distance to the outline of a
prior, and how grey values inside the prior differ from those around it (:mod:`~napari_cpclnet.model.prior_inputs`).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_cpclnet.model.layers import Residual, group_norm, resize_like
from napari_cpclnet.model.prior_inputs import FACTS, MAPS, REACH_MM
from napari_cpclnet.model.settings import PriorDecoderSettings

SCALE_MM = 6.0
"""Millimetres from the prior's outline that make a logit of one."""
_DISTANCE = 4  # channel of the distance to the present outline


class PriorDecoder(nn.Module):
    """Small U-Net that corrects the logit a prior gives.

    Parameters
    ----------
    settings : PriorDecoderSettings, optional

    Attributes
    ----------
    metadata : dict
        What the weights file records.
    """

    metadata: dict[str, Any]

    def __init__(self, settings: PriorDecoderSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or PriorDecoderSettings()
        self.metadata = {}
        a, b, c = self.settings.fine, self.settings.middle, self.settings.coarse
        self.stem = nn.Conv2d(MAPS, a, 3, 1, 1)
        self.facts = nn.Sequential(nn.Linear(FACTS, 32), nn.SiLU(), nn.Linear(32, a + b + c))
        self.down2 = nn.Conv2d(a, b, 3, 2, 1)
        self.left2 = Residual(b, b)
        self.down4 = nn.Conv2d(b, c, 3, 2, 1)
        self.left4 = Residual(c, c)
        self.bottom = nn.Sequential(Residual(c, c, 2), Residual(c, c))
        self.right4 = Residual(c, c)
        self.up2 = nn.Conv2d(c, b, 1)
        self.right2 = Residual(b, b)
        self.up1 = nn.Conv2d(b, a, 1)
        self.head = nn.Sequential(group_norm(a), nn.SiLU(), nn.Conv2d(a, a, 3, 1, 1), nn.SiLU())
        self.correction = nn.Conv2d(a, 1, 1)
        self.trust = nn.Parameter(torch.tensor(1.0))
        # to begin with, the answer is the prior
        assert self.correction.bias is not None
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)

    def forward(self, maps: Tensor, facts: Tensor) -> Tensor:
        """Corrected logits of a prior.

        Parameters
        ----------
        maps : Tensor, shape (B, MAPS, H, W)
            Height and width multiples of 8.
        facts : Tensor, shape (B, FACTS)

        Returns
        -------
        Tensor of float32, shape (B, H, W)
            Logits.
        """
        a, b, c = self.settings.fine, self.settings.middle, self.settings.coarse
        at1, at2, at4 = self.facts(facts)[..., None, None].split((a, b, c), 1)
        x1 = F.silu(self.stem(maps) + at1)
        x2 = self.left2(self.down2(x1) + at2)
        x4 = self.left4(self.down4(x2) + at4)
        x4 = self.right4(x4 + resize_like(self.bottom(x4), x4))
        x2 = self.right2(x2 + resize_like(self.up2(x4), x2))
        x1 = self.head(x1 + resize_like(self.up1(x2), x1))
        prior = maps[:, _DISTANCE].float() * (REACH_MM / SCALE_MM)
        logits: Tensor = self.trust * prior + self.correction(x1).float()[:, 0]
        return logits
