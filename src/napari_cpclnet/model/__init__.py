"""The network: one module of the paper per file."""

from napari_cpclnet.model.cpclnet import CPCLNet, Descriptors, Output
from napari_cpclnet.model.device import Precision, choose_device, choose_precision, unused_gpu
from napari_cpclnet.model.encoder import Features
from napari_cpclnet.model.prior_decoder import PriorDecoder, PriorDecoderSettings
from napari_cpclnet.model.prior_weights import load_prior_decoder, save_prior_decoder
from napari_cpclnet.model.settings import CPCLNetSettings, EncoderName
from napari_cpclnet.model.weights import (
    bundled_weights,
    load_weights,
    read_metadata,
    save_weights,
    weights_hash,
)
from napari_cpclnet.threads import share_cores

__all__ = [
    "CPCLNet",
    "CPCLNetSettings",
    "Descriptors",
    "EncoderName",
    "Features",
    "Output",
    "Precision",
    "PriorDecoder",
    "PriorDecoderSettings",
    "bundled_weights",
    "choose_device",
    "choose_precision",
    "load_prior_decoder",
    "load_weights",
    "read_metadata",
    "save_prior_decoder",
    "save_weights",
    "unused_gpu",
    "weights_hash",
]

share_cores()
