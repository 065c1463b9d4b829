"""The weights file of the prior decoder: safetensors, as those of the network."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from napari_cpclnet.errors import WeightsError
from napari_cpclnet.files.atomic import atomic_write
from napari_cpclnet.files.bounded import load_json
from napari_cpclnet.model.prior_decoder import PriorDecoder
from napari_cpclnet.model.settings import PriorDecoderSettings
from napari_cpclnet.model.weights import weights_hash

PRIOR_FORMAT = "cpclnet-prior-decoder-1"
BUNDLED_PRIOR = "prior_decoder.safetensors"
_LARGEST = 64 * 2**20


def bundled_prior_weights() -> Path:
    """Path of the prior decoder's weights that come with the package."""
    return Path(str(resources.files("napari_cpclnet") / "weights" / BUNDLED_PRIOR))


def save_prior_decoder(model: PriorDecoder, path: Path, metadata: dict[str, Any]) -> None:
    """Write the decoder's weights in half precision, whole or not at all.

    Parameters
    ----------
    model : PriorDecoder
    path : Path
        Ends in ``.safetensors``.
    metadata : dict
        How it was trained; JSON values only.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    tensors = {k: v.detach().to("cpu", torch.float16).contiguous() for k, v in model.state_dict().items()}
    text = {
        "format": PRIOR_FORMAT,
        "architecture": model.settings.model_dump_json(),
        "metadata": json.dumps(metadata, sort_keys=True),
    }
    with atomic_write(path, "the weights") as temporary:
        save_file(tensors, temporary, text)


def load_prior_decoder(path: Path | None = None, device: str | torch.device = "cpu") -> PriorDecoder:
    """Build the prior decoder that a weights file describes, in evaluation mode.

    Parameters
    ----------
    path : Path, optional
        The bundled weights where missing.
    device : str or torch.device

    Returns
    -------
    PriorDecoder
        With ``metadata`` from the file, plus ``hash``.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, or belongs to another network.
    """
    path = bundled_prior_weights() if path is None else Path(path)
    if not path.is_file():
        raise WeightsError(f"There is no weights file at '{path}'.")
    if path.stat().st_size > _LARGEST:
        raise WeightsError(f"'{path.name}' is too large for weights of the prior decoder.")
    try:
        with safe_open(path, framework="pt") as file:
            text = file.metadata() or {}
            if text.get("format") != PRIOR_FORMAT:
                found = text.get("format", "none")
                msg = f"'{path.name}' holds no weights of the prior decoder (format '{found}', not '{PRIOR_FORMAT}')."
                raise WeightsError(msg)
            settings = PriorDecoderSettings.model_validate_json(text["architecture"])
            metadata: dict[str, Any] = {"architecture": settings.model_dump(), **load_json(text["metadata"])}
            state = {name: file.get_tensor(name).float() for name in file.keys()}
        if not all(bool(torch.isfinite(value).all()) for value in state.values()):
            raise WeightsError(f"'{path.name}' holds weights that are no numbers; train again.")
        model = PriorDecoder(settings)
        model.load_state_dict(state)
    except (
        ValidationError,
        RuntimeError,
        SafetensorError,
        OSError,
        KeyError,
        ValueError,
        TypeError,
    ) as error:
        msg = f"'{path.name}' does not fit this version of CPCLNet; it was made by another version or is damaged."
        raise WeightsError(msg) from error
    model.metadata = {**metadata, "hash": weights_hash(path)}
    return model.to(device).eval()
