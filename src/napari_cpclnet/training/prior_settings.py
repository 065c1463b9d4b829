"""Settings of a training run of the prior decoder."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from napari_cpclnet.episodes.prior_episodes import PriorEpisodeSettings
from napari_cpclnet.model.prior_decoder import PriorDecoderSettings


class PriorTrainingSettings(BaseModel):
    """What is trained on what, and how long."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=1, ge=0, description="Of phantoms and episodes.")
    phantoms: int = Field(default=64, ge=2, le=10_000, description="Phantoms that are made.")
    held_out: int = Field(
        default=8, ge=1, le=1000, description="Of these, kept for validation: the last ones."
    )
    shapes: int = Field(default=16, ge=0, le=1000, description="Nameless anatomies at a time.")
    steps: int = Field(default=2400, ge=1, le=1_000_000, description="Optimiser steps.")
    episodes: int = Field(default=4, ge=1, le=64, description="Episodes of a step.")
    learning_rate: float = Field(default=2e-3, gt=0, le=0.1, description="Highest learning rate of AdamW.")
    decay: float = Field(
        default=0.6, ge=0, le=1, description="Share of the steps over which the learning rate falls."
    )
    weight_decay: float = Field(default=1e-3, ge=0, le=1, description="Of AdamW.")
    second_pass: float = Field(
        default=0.7, ge=0, le=1, description="Share of the steps that correct their own answer once more."
    )
    harm: float = Field(
        default=2.0, ge=0, le=10, description="Weight of Dice that is lost against the prior."
    )
    average: float = Field(default=0.995, ge=0, lt=1, description="Of the running mean of the weights.")
    validate_every: int = Field(default=400, ge=1, description="Steps between validations.")
    validations: int = Field(
        default=4, ge=1, le=1000, description="Validation episodes of each kind of class and prior."
    )
    shape: tuple[int, int, int] = Field(default=(139, 192, 216), description="Voxels of a phantom.")
    spacing: tuple[float, float, float] = Field(default=(3.0, 2.0, 2.0), description="Of its voxels, in mm.")
    network: PriorDecoderSettings = Field(default=PriorDecoderSettings(), description="Architecture.")
    sampling: PriorEpisodeSettings = Field(default=PriorEpisodeSettings(), description="Of the episodes.")
