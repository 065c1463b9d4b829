"""Weights files: safetensors whose metadata says how to build a network and what its weights were made from."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from napari_cpclnet.errors import WeightsError
from napari_cpclnet.files.atomic import atomic_write
from napari_cpclnet.files.bounded import load_json
from napari_cpclnet.model.cpclnet import CPCLNet
from napari_cpclnet.model.prior_decoder import PriorDecoder
from napari_cpclnet.model.prior_inputs import MAPS
from napari_cpclnet.model.settings import CPCLNetSettings, PriorDecoderSettings
from napari_cpclnet.preprocessing import PreprocessingSettings

Network = TypeVar("Network", CPCLNet, PriorDecoder)

FORMAT = "cpclnet-1"
PRIOR_FORMAT = "cpclnet-prior-decoder-1"
HOLDS = {FORMAT: "CPCLNet weights", PRIOR_FORMAT: "weights of the prior decoder"}
BUNDLED = "cpclnet.safetensors"
BUNDLED_PRIOR = "prior_decoder.safetensors"
SUMS = "SHA256SUMS"
"""File beside the bundled weights, as ``sha256sum`` writes it."""
# Those of a trained network are below 10.
LARGEST_WEIGHT = 1e4
LARGEST_PRIOR = 64 * 2**20
"""Bytes of a file of the prior decoder."""


def bundled_weights() -> Path:
    """Path of the weights that come with the package."""
    return _bundled(BUNDLED)


def _bundled(name: str) -> Path:
    return Path(str(resources.files("napari_cpclnet") / "weights" / name))


def weights_hash(path: Path) -> str:
    """First twelve hexadecimal digits of the file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def save_weights(model: CPCLNet | PriorDecoder, path: Path, metadata: dict[str, Any]) -> None:
    """Write a network's weights, whole or not at all.

    Parameters
    ----------
    model : CPCLNet or PriorDecoder
    path : Path
        Ends in ``.safetensors``.
    metadata : dict
        What was trained how: for CPCLNet it must hold ``preprocessing`` (dict of the preprocessing settings); usual
        further keys are ``recipe``, ``seed``, ``steps``, ``sources``, ``versions``. JSON values only.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    # half precision: rounding is far below what training resolves, and the wheel stays small
    tensors = {k: v.detach().to("cpu", torch.float16).contiguous() for k, v in model.state_dict().items()}
    text = {
        "format": FORMAT if isinstance(model, CPCLNet) else PRIOR_FORMAT,
        "architecture": model.settings.model_dump_json(),
        "metadata": json.dumps(metadata, sort_keys=True),
    }
    with atomic_write(path, "the weights") as temporary:
        save_file(tensors, temporary, text)


def read_metadata(path: Path, kind: str = FORMAT) -> dict[str, Any]:
    """Metadata of a weights file of one format: ``architecture`` and everything given to :func:`save_weights`.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, or not one of ours.
    """
    if not path.is_file():
        msg = f"There is no weights file at '{path}'."
        raise WeightsError(msg)
    try:
        with safe_open(path, framework="pt") as file:
            text = file.metadata() or {}
        if text.get("format") != kind:
            msg = (
                f"'{path.name}' holds no {HOLDS[kind]} (format '{text.get('format', 'none')}', not '{kind}')."
            )
            raise WeightsError(msg)
        return {"architecture": load_json(text["architecture"]), **load_json(text["metadata"])}
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        msg = f"'{path.name}' is no readable safetensors weights file: it may be damaged or incomplete."
        raise WeightsError(msg) from error


def check_values(tensors: Mapping[str, Tensor], where: str) -> None:
    """Refuse weights that are no numbers, or larger than any that training leaves: with them a network finds nothing.

    Raises
    ------
    WeightsError
        The sentence begins with `where` and names the tensor.
    """
    for name, tensor in tensors.items():
        if name.endswith("num_batches_tracked") or not tensor.numel():  # counts, not weights
            continue
        size = float(tensor.detach().abs().max())
        if not math.isfinite(size):
            raise WeightsError(f"{where} holds values that are no numbers ({name}); train or fetch it again.")
        if size > LARGEST_WEIGHT:
            raise WeightsError(
                f"{where} holds values out of all bounds ({name}: {size:.3g}); train or fetch it again."
            )
        if name.endswith("running_var") and float(tensor.min()) < 0:
            raise WeightsError(f"{where} holds a negative variance ({name}); train or fetch it again.")


def load_weights(path: Path | None = None, device: str | torch.device = "cpu") -> CPCLNet:
    """Build the network that a weights file describes, in evaluation mode.

    Parameters
    ----------
    path : Path, optional
        The bundled weights where missing.
    device : str or torch.device

    Returns
    -------
    CPCLNet
        With ``metadata`` from the file, plus ``hash``.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, belongs to another network, or holds values that no training leaves.

    Examples
    --------
    >>> from napari_cpclnet import load_weights
    >>> network = load_weights()  # those of the package
    >>> network.settings.encoder
    'compact'
    """
    path = bundled_weights() if path is None else Path(path)
    metadata = read_metadata(path)
    model = _built(lambda: CPCLNet(CPCLNetSettings.model_validate(metadata["architecture"])), path, metadata)
    return model.to(device).eval()


def load_prior_decoder(path: Path | None = None, device: str | torch.device = "cpu") -> PriorDecoder:
    """Build the prior decoder that a weights file describes; everything else as in :func:`load_weights`."""
    path = _bundled(BUNDLED_PRIOR) if path is None else Path(path)
    if path.is_file() and path.stat().st_size > LARGEST_PRIOR:
        raise WeightsError(f"'{path.name}' is too large for {HOLDS[PRIOR_FORMAT]}.")
    metadata = read_metadata(path, PRIOR_FORMAT)
    settings = metadata["architecture"]
    model = _built(lambda: PriorDecoder(PriorDecoderSettings.model_validate(settings)), path, metadata)
    return model.to(device).eval()


def _drop_old_channels(state: dict[str, Tensor]) -> None:
    """Drop the weights of two last input channels that the prior decoder had once: whoever labelled left them zero.

    They were for grey values of painted places, which helped nowhere.
    """
    stem = state.get("stem.weight")
    if stem is not None and stem.dim() == 4 and stem.shape[1] == MAPS + 2:
        state["stem.weight"] = stem[:, :MAPS].contiguous()


def _built(make: Callable[[], Network], path: Path, metadata: dict[str, Any]) -> Network:
    """The network with the file's weights and metadata."""
    try:
        model = make()
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name).float() for name in file.keys()}
        if isinstance(model, PriorDecoder):
            _drop_old_channels(state)
        elif not model.settings.alignment:  # files of before hold a CMDA that nothing used
            state = {name: values for name, values in state.items() if not name.startswith("cmda.")}
        model.load_state_dict(state)
        PreprocessingSettings.model_validate(metadata.get("preprocessing") or {})
    except (ValidationError, RuntimeError, SafetensorError, OSError) as error:
        msg = f"'{path.name}' does not fit this version of CPCLNet; it was made by another version or is damaged."
        raise WeightsError(msg) from error
    check_values(state, f"'{path.name}'")
    model.metadata = {**metadata, "hash": weights_hash(path)}
    return model
