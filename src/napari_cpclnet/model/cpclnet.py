"""CPCLNet: encode, describe the support, segment the query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from napari_cpclnet.model.appearance import AppearanceModel, fit_appearance, log_likelihood_maps
from napari_cpclnet.model.cmda import CMDA, LatentStatistics
from napari_cpclnet.model.crpd import BOUNDARY_IN, FOREGROUND, Prototypes, describe, mask_fractions
from napari_cpclnet.model.decoder import Decoder, summarise
from napari_cpclnet.model.encoder import PFE, Features
from napari_cpclnet.model.ramp import RAMP
from napari_cpclnet.model.settings import CPCLNetSettings


@dataclass(frozen=True)
class Descriptors:
    """Descriptors of a support set; computed once, used for every query.

    Leading dimensions are (classes,) for one support set, or (B, classes) for one per query (:meth:`stack`).

    Attributes
    ----------
    prototypes : Prototypes
    statistics : LatentStatistics or None
        For CMDA; None in a network without it.
    levels : Tensor, shape (..., classes, 2)
        Lowest and highest level in the body of the support slices that show the class; nan where unknown.
    present : Tensor of bool, shape (..., classes)
        Whether any support slice shows the class; the answer is empty where not.
    appearance : AppearanceModel
        What the classes plainly look like, if the query is of the same scan.
    """

    prototypes: Prototypes
    statistics: LatentStatistics | None
    levels: Tensor
    present: Tensor
    appearance: AppearanceModel

    def replaced(self, place: int, other: Descriptors) -> Descriptors:
        """The same support set with another description of one class: that of `other`, a set of that class alone."""

        def put(whole: Any, one: Any) -> Any:
            if whole is None:
                return None
            if isinstance(whole, Tensor):
                whole = whole.clone()
                whole[place] = one[0]
                return whole
            return type(whole)(*(put(getattr(whole, f.name), getattr(one, f.name)) for f in fields(whole)))

        prototypes = Prototypes(
            put(self.prototypes.vectors, other.prototypes.vectors),
            put(self.prototypes.valid, other.prototypes.valid),
            self.prototypes.roles,
        )
        rest = ("statistics", "levels", "present", "appearance")
        return Descriptors(
            prototypes, **{name: put(getattr(self, name), getattr(other, name)) for name in rest}
        )

    @staticmethod
    def stack(parts: Sequence[Descriptors]) -> Descriptors:
        """One support set per query, in the order of the queries."""

        def join(items: Sequence[Any]) -> Any:
            if items[0] is None:
                return None
            if isinstance(items[0], Tensor):
                return torch.stack(list(items))
            kind = type(items[0])
            return kind(*(join([getattr(i, f.name) for i in items]) for f in fields(kind)))

        joined: Descriptors = join(parts)
        return replace(joined, prototypes=replace(joined.prototypes, roles=parts[0].prototypes.roles))


@dataclass(frozen=True)
class Output:
    """Output of the network for queries.

    Attributes
    ----------
    logits : Tensor, shape (B, classes, 2, H, W)
        Background and foreground.
    align : Tensor, scalar
        CMDA's distance of support and query, a term of the training loss; 0 without CMDA.
    """

    logits: Tensor
    align: Tensor


class CPCLNet(nn.Module):
    """Few-shot cross-modal segmentation network.

    Any number of support slices, any number of classes, any slice size that is a multiple of 32. The query is encoded
    once for all classes, the support once for all queries.

    Parameters
    ----------
    settings : CPCLNetSettings, optional

    Examples
    --------
    >>> import torch
    >>> from napari_cpclnet import CPCLNet
    >>> network = CPCLNet().eval()
    >>> network.encode(torch.zeros(1, 3, 96, 96)).grid.shape  # a slice and its two neighbours
    torch.Size([1, 64, 24, 24])
    """

    def __init__(self, settings: CPCLNetSettings | None = None) -> None:
        super().__init__()
        self.settings = s = settings or CPCLNetSettings()
        self.pfe = PFE(s)
        self.cmda = CMDA(s.channels, s.latent_channels) if s.alignment else None
        self.ramp = RAMP(s.channels, s.blocks, s.heads)
        self.decoder = Decoder(s.channels, s.skip_channels, s.heads)
        self.metadata: dict[str, Any] = {}

    def encode(self, images: Tensor, levels: Tensor | None = None) -> Features:
        """Encode slices (B, 3, H, W), intensities in [0, 1]; the channels are the slice before, itself, and after.

        `levels` (B,) are their levels in the body, where something better is known than the encoder's own estimates,
        which the features hold in any case; nan for slices that lie on no such scale.
        """
        features: Features = self.pfe(images, levels)
        return features

    def describe(
        self,
        features: Sequence[Features],
        masks: Sequence[Tensor],
        same_scan: Sequence[Tensor] | None = None,
        known: Sequence[Tensor] | None = None,
    ) -> Descriptors:
        """Describe one support set.

        Parameters
        ----------
        features : sequence of Features
            Encoded support slices, one entry per slice size, `K_i` slices in each.
        masks : sequence of Tensor, shape (classes, K_i, H_i, W_i)
            Masks at the resolution of the images, in [0, 1]; all zero in slices where the class is absent.
        same_scan : sequence of Tensor of bool, shape (K_i,), optional
            Which of the slices are of the very scan that the queries will be of, so that plain values tell.
        known : sequence of Tensor, shape (classes, K_i, H_i, W_i), optional
            Where it is known whether a class is there, in [0, 1]; what is unknown describes nothing. Masks are 0 there.
        """
        cells = [mask_fractions(m) for m in masks]
        sure = None if known is None else [mask_fractions(k) for k in known]
        prototypes = describe([f.grid for f in features], cells, self.settings, sure)
        statistics = None
        if self.cmda is not None:
            tokens = torch.cat([rearrange(f.grid, "k c h w -> (k h w) c") for f in features])
            statistics = self.cmda.statistics(
                tokens,
                torch.cat([rearrange(c, "m k h w -> m (k h w)") for c in cells], 1),
                None if sure is None else torch.cat([rearrange(s, "m k h w -> m (k h w)") for s in sure], 1),
            )
        shows = torch.cat([c.amax((2, 3)) > 0 for c in cells], 1)  # (classes, K)
        level = torch.cat([f.level for f in features]).detach().expand_as(shows)
        placed = shows & level.isfinite()
        lowest = torch.where(placed, level, torch.inf).amin(1)
        highest = torch.where(placed, level, -torch.inf).amax(1)
        levels = torch.where(placed.any(1)[:, None], torch.stack([lowest, highest], 1), torch.nan)
        present = shows.any(1)
        levels = torch.where(present[:, None], levels, 0.0)
        appearance = fit_appearance([f.intensity_features for f in features], masks, same_scan, known)
        return Descriptors(prototypes, statistics, levels, present, appearance)

    def segment(self, query: Features, support: Descriptors) -> Output:
        """Segment encoded queries.

        Parameters
        ----------
        query : Features
            Of `B` slices.
        support : Descriptors
            Of one support set for all queries, or of one per query.
        """
        if support.present.ndim == 1:
            support = Descriptors.stack([support])
        b, classes = len(query), support.present.shape[1]

        def spread(x: Tensor) -> Tensor:
            return x.expand(b, *x.shape[1:]).flatten(0, 1)

        prototypes = support.prototypes
        if self.cmda is not None and support.statistics is not None:
            aligned, align = self.cmda(query.grid, support.statistics)
        else:
            aligned = query.grid[:, None].expand(-1, classes, -1, -1, -1)
            align = query.grid.new_zeros(())
        each = Prototypes(spread(prototypes.vectors), spread(prototypes.valid), prototypes.roles)
        affinity, refined = self.ramp(aligned.flatten(0, 1), each)
        summary = summarise(affinity, each.roles)
        low, high = support.levels.expand(b, -1, -1).unbind(2)
        own = query.level.detach()[:, None]
        relation = torch.stack([own - high, low - own, high - low], 2).clamp(-2, 2).flatten(0, 1)
        relation = torch.where(relation.isnan().any(1, keepdim=True), 0.0, relation)
        known = AppearanceModel(
            support.appearance.tables.expand(b, -1, -1, -1, -1), support.appearance.known.expand(b, -1)
        )
        maps = log_likelihood_maps(query.intensity_features, known).flatten(0, 1)
        logits = self.decoder(summary, relation, refined, query.skip, maps).unflatten(0, (b, classes))
        # A class that no support slice shows is nowhere.
        absent = ~support.present.expand(b, -1)[..., None, None]
        background, foreground = logits.unbind(2)
        foreground = torch.where(absent, background - 20, foreground)
        return Output(torch.stack([background, foreground], 2), align)

    def forward(self, query: Tensor, support: Tensor, masks: Tensor) -> Output:
        """Segment queries (B, 3, H, W) with a support of slices (K, 3, H', W') and masks (classes, K, H', W')."""
        return self.segment(self.encode(query), self.describe([self.encode(support)], [masks]))


def prior_logits(grid: Tensor, prototypes: Prototypes, temperature: float = 0.1) -> Tensor:
    """Answer of the bare descriptors, without alignment, RAMP or decoder; the prototype consistency compares it.

    Parameters
    ----------
    grid : Tensor, shape (B, C, h, w)
    prototypes : Prototypes
        vectors (classes, D, C).

    Returns
    -------
    Tensor, shape (B, classes, h, w)
        Log-odds of the foreground.
    """
    unit = F.normalize(grid.float(), dim=1)
    affinity = torch.einsum("kdc,bchw->bkdhw", prototypes.vectors, unit) / temperature
    affinity = affinity.masked_fill(~prototypes.valid[None, :, :, None, None], -20.0)
    front = (prototypes.roles == FOREGROUND) | (prototypes.roles == BOUNDARY_IN)
    return torch.logsumexp(affinity[:, :, front], 2) - torch.logsumexp(affinity[:, :, ~front], 2)
