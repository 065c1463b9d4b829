"""Training loss: segmentation of the query, prototype consistency, alignment."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_cpclnet.model.cpclnet import prior_logits
from napari_cpclnet.model.crpd import Prototypes

_OBJECT = 3.0
"""How much more a pixel of the object weighs in the cross-entropy: objects cover a few per cent of a slice."""


def segmentation_loss(
    logits: Tensor, target: Tensor, weight: Tensor | None = None, known: Tensor | None = None
) -> Tensor:
    """Cross-entropy and soft Dice, every query counted, empty ones too.

    Parameters
    ----------
    logits : Tensor, shape (B, classes, 2, H, W)
    target : Tensor, shape (B, classes, H, W)
        Zeros and ones.
    weight : Tensor, shape (B, classes), optional
        Share of each query and class in the mean; 1 where missing.
    known : Tensor, shape (B, classes, H, W), optional
        Where the target is known, in [0, 1]; the rest does not count. 1 where missing.
    """
    margin = logits[:, :, 1] - logits[:, :, 0]
    entropy = F.binary_cross_entropy_with_logits(margin, target, reduction="none")
    entropy = entropy * (1 + _OBJECT * target)
    probability = torch.sigmoid(margin)
    if known is None:
        entropy = entropy.mean((2, 3))
    else:
        entropy = (entropy * known).sum((2, 3)) / known.sum((2, 3)).clamp(min=1)
        probability, target = probability * known, target * known
    # Some 20 pixels of smoothing: an empty query with a handful of false pixels is nearly right.
    smooth = 20.0
    overlap = 2 * (probability * target).sum((2, 3)) + smooth
    dice = 1 - overlap / (probability.sum((2, 3)) + target.sum((2, 3)) + smooth)
    each = 2 * entropy + dice
    if weight is None:
        return each.mean()
    return (each * weight).sum() / weight.sum().clamp(min=1e-6)


def consistency_loss(grid: Tensor, prototypes: Prototypes, masks: Tensor) -> Tensor:
    """Prototype consistency: bare descriptors of one side must segment the other side.

    Parameters
    ----------
    grid : Tensor, shape (B, C, h, w)
        Feature grids of one side.
    prototypes : Prototypes
        Descriptors (classes, D, C) of the other side.
    masks : Tensor, shape (classes, B, h, w)
        Mask fractions of the cells of `grid`.
    """
    logits = prior_logits(grid, prototypes).transpose(0, 1)
    known = (prototypes.vectors.abs().sum((1, 2)) > 0)[:, None, None, None].to(logits.dtype)
    entropy = F.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    # Object and background weigh the same, whatever the object's size.
    share = masks.mean((1, 2, 3), keepdim=True).clamp(0.01, 0.99)
    balance = masks / share + (1 - masks) / (1 - share)
    return (entropy * balance * known).mean() / 2


def intra_inter_loss(prototypes: Prototypes) -> tuple[Tensor, Tensor]:
    """The published intra and inter terms, for the record: both default to weight 0.

    Returns
    -------
    intra : Tensor, scalar
        Mean squared distance of the descriptors to their side's mean. It rewards collapse.
    inter : Tensor, scalar
        1 + cosine of the two sides' means.
    """
    front = (prototypes.roles <= 1)[None, :] & prototypes.valid
    back = (prototypes.roles > 1)[None, :] & prototypes.valid
    means = []
    intra = prototypes.vectors.new_zeros(())
    for side in (front, back):
        share = side[..., None].to(prototypes.vectors.dtype)
        mean = (prototypes.vectors * share).sum(1) / share.sum(1).clamp(min=1)
        distance = ((prototypes.vectors - mean[:, None]).square() * share).sum((1, 2)) / share.sum(
            (1, 2)
        ).clamp(min=1)
        intra = intra + distance.mean()
        means.append(mean)
    inter = (1 + F.cosine_similarity(means[0], means[1], dim=1)).mean()
    return intra, inter
