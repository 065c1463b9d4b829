"""Linear read-out of the encoder's features: which structure of the body a place belongs to.

Training names structures with heads that do not travel with the weights. This one is fitted afterwards, on phantoms,
by `benchmarks/weights/anatomy_readout.py`, and belongs to the encoder that it was fitted to.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from napari_cpclnet.errors import WeightsError
from napari_cpclnet.files.atomic import atomic_write

if TYPE_CHECKING:
    from napari_cpclnet.model import CPCLNet, Features

FORMAT = "cpclnet-anatomy-1"
BUNDLED = "anatomy_readout.safetensors"
_TENSORS = ("structures", "weight", "bias")


def encoder_hash(network: CPCLNet) -> str:
    """First twelve hexadecimal digits of the SHA-256 of the encoder's parameters, as a weights file rounds them."""
    digest = hashlib.sha256()
    for name, value in sorted(network.pfe.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().to("cpu", torch.float16).contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def described(features: Features) -> Tensor:
    """Features (B, C + S, H / 2, W / 2) that are read: the grid's, interpolated, and the skip's."""
    grid = F.interpolate(features.grid, scale_factor=2, mode="bilinear", align_corners=False)
    return torch.cat([grid, features.skip], 1).float()


@dataclass(frozen=True, eq=False)
class Readout:
    """Probabilities of structures from features, one cell of two network pixels at a time.

    Parameters
    ----------
    structures : Tensor of int, shape (n,)
        Labels of the phantoms' structures.
    weight : Tensor, shape (n, C + S)
    bias : Tensor, shape (n,)
    encoder : str
        Hash of the encoder it was fitted to.
    """

    structures: Tensor
    weight: Tensor
    bias: Tensor
    encoder: str

    def __call__(self, features: Features) -> Tensor:
        """Probabilities (B, n, H / 2, W / 2)."""
        x = described(features)
        weight, bias = self.weight.to(x.device), self.bias.to(x.device)
        return torch.einsum("nc,bchw->bnhw", weight, x).add_(bias[:, None, None]).softmax(1)

    def fits(self, network: CPCLNet) -> bool:
        """Whether the network has the encoder that this was fitted to."""
        return encoder_hash(network) == self.encoder

    def save(self, path: Path) -> None:
        """Write it, whole or not at all.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        tensors = {name: getattr(self, name).contiguous() for name in _TENSORS}
        with atomic_write(path, "the read-out") as temporary:
            save_file(tensors, temporary, {"format": FORMAT, "encoder": self.encoder})

    @classmethod
    def load(cls, path: Path | None = None) -> Readout:
        """Read one; that of the bundled weights by default.

        Raises
        ------
        WeightsError
            If the file is missing, damaged or something else.
        """
        path = path or Path(str(resources.files("napari_cpclnet") / "weights" / BUNDLED))
        try:
            with safe_open(path, framework="pt") as file:
                text = file.metadata() or {}
                if text.get("format") != FORMAT:
                    raise WeightsError(f"'{path.name}' holds no read-out of CPCLNet's features.")
                return cls(**{name: file.get_tensor(name) for name in _TENSORS}, encoder=text["encoder"])
        except (SafetensorError, OSError, KeyError) as error:
            raise WeightsError(
                f"'{path.name}' is missing or no readable read-out: install the package anew."
            ) from error
