"""Settings of the networks: what a weights file records, so that they can be built again from the file alone."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

EncoderName = Literal["compact", "efficientnet-b0", "resnet50"]

Device = Annotated[
    str,
    Field(
        title="Device",
        description="Where to compute; auto takes a GPU if there is one.",
        json_schema_extra={
            "choices": {
                "auto": "Automatic",
                "cpu": "CPU",
                "cuda": "NVIDIA GPU (CUDA)",
                "mps": "Apple GPU (MPS)",
            }
        },
    ),
]
"""One of the choices, or one of several GPUs, as ``cuda:1``."""

Precision = Annotated[
    Literal["auto", "fp32", "bf16", "fp16"],
    Field(
        title="Precision",
        description="Number format of the network's large products; auto takes 16 bits on a GPU that computes in them.",
        json_schema_extra={
            "choices": {
                "auto": "Automatic",
                "fp32": "32 bits",
                "bf16": "16 bits (bfloat16)",
                "fp16": "16 bits (half)",
            }
        },
    ),
]


class CPCLNetSettings(BaseModel):
    """Architecture of one :class:`~napari_cpclnet.model.cpclnet.CPCLNet`.

    The published system names two encoders (EfficientNet-B0, ResNet-50), eight affinity heads and 102 descriptors a
    side; the defaults here are the network that gives the most accuracy per second on two CPU cores.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: EncoderName = Field(
        default="compact",
        title="Encoder",
        description="Encoder of a network that begins with random weights: compact (default, made for CPUs), or one of "
        "the published system, efficientnet-b0 and resnet50, which are larger and want a GPU.",
        json_schema_extra={
            "choices": {"compact": "Compact", "efficientnet-b0": "EfficientNet-B0", "resnet50": "ResNet-50"}
        },
    )
    channels: int = Field(
        default=64, ge=16, le=512, multiple_of=8, description="Channels of the feature grid (stride 4)."
    )
    skip_channels: int = Field(
        default=32, ge=8, le=128, multiple_of=8, description="Channels of the fine skip (stride 2)."
    )
    latent_channels: int = Field(default=64, ge=8, le=512, description="Width of CMDA's shared latent space.")
    foreground_descriptors: int = Field(
        default=16, ge=1, le=256, description="Clusters inside the painted mask."
    )
    ring_descriptors: int = Field(
        default=12, ge=1, le=256, description="Clusters in the ring around the painted mask."
    )
    background_descriptors: int = Field(
        default=12, ge=1, le=256, description="Clusters in the rest of the slices."
    )
    cluster_iterations: int = Field(default=4, ge=1, le=20, description="Soft assignments of the clustering.")
    cluster_temperature: float = Field(
        default=0.1, gt=0, le=1, description="Softness of the assignment, in cosine units."
    )
    blocks: int = Field(
        default=2, ge=0, le=12, description="RWKV blocks of RAMP; 0 leaves the plain affinity."
    )
    heads: int = Field(default=4, ge=1, le=16, description="Affinity heads of RAMP.")
    alignment: bool = Field(
        default=False,
        description="Whether CMDA aligns the query with the support, as in the published system; it gives no accuracy.",
    )


class PriorDecoderSettings(BaseModel):
    """Architecture of a :class:`PriorDecoder`, recorded in its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fine: int = Field(default=24, ge=8, le=128, multiple_of=8, description="Channels at full resolution.")
    middle: int = Field(default=40, ge=8, le=256, multiple_of=8, description="Channels at stride 2.")
    coarse: int = Field(default=56, ge=8, le=256, multiple_of=8, description="Channels at strides 4 and 8.")
