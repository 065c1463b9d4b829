"""Settings of training runs; written beside the weights, so that a run can be repeated."""

from __future__ import annotations

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from napari_cpclnet.episodes.settings import EpisodeSettings, PriorEpisodeSettings
from napari_cpclnet.model.settings import CPCLNetSettings, Precision, PriorDecoderSettings
from napari_cpclnet.preprocessing import PreprocessingSettings


class LossWeights(BaseModel):
    """Weights of the terms of the loss; the segmentation of the query has weight 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    anatomy: float = Field(
        default=0.7, ge=0, description="Naming the structure of every pixel (dropped after training)."
    )
    level: float = Field(default=0.3, ge=0, description="Level of the slice in the body.")
    consistency: float = Field(
        default=0.3, ge=0, description="Descriptors of either side must segment the other."
    )
    align: float = Field(
        default=0.02, ge=0, description="Distance of support and query in CMDA's latent space."
    )
    intra: float = Field(
        default=0.0, ge=0, description="Published term that draws the descriptors to their mean."
    )
    inter: float = Field(
        default=0.0, ge=0, description="Published term that parts the means of object and background."
    )


class SourceWeights(BaseModel):
    """How often a batch comes from each source; only their ratio counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    phantoms: float = Field(default=1.0, ge=0, description="Procedural phantoms; 0 makes none.")
    shapes: float = Field(
        default=0.15, ge=0, description="Random smooth shapes, which teach matching without any anatomy."
    )
    scans: float = Field(
        default=1.0, ge=0, description="Unlabelled scans of a data folder; counts only where one is given."
    )
    labels: float = Field(
        default=1.0, ge=0, description="Labelled scans; counts only where there are some (--labels)."
    )


class TrainingSettings(BaseModel):
    """One training run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=1, ge=0, description="Of the phantoms, the episodes and the initial weights.")
    phantoms: int = Field(default=224, ge=4, description="Number of phantoms, the held-out ones included.")
    held_out: int = Field(default=8, ge=2, description="Phantoms kept for validation.")
    steps: int = Field(
        default=9500,
        ge=1,
        title="Steps",
        description="Optimiser steps of the whole run; each takes seconds on a CPU.",
    )
    anatomy_steps: int = Field(
        default=1500,
        ge=0,
        description="Steps at the start in which the encoder alone learns, by naming structures; they cost a third. "
        "None without phantoms, and none where training begins with weights: there, the warm-up teaches the naming "
        "alone what the encoder knows.",
    )
    warmup: int = Field(default=100, ge=1, description="Steps in which the learning rate rises.")
    decay: float = Field(
        default=0.5, gt=0, le=1, description="Share of the steps, at the end, in which it falls to zero."
    )
    learning_rate: float = Field(default=1.5e-3, gt=0, description="Largest learning rate.")
    weight_decay: float = Field(default=1e-3, ge=0, description="Of AdamW.")
    clip: float = Field(default=1.0, gt=0, description="Largest norm of the gradient.")
    ema: float = Field(default=0.998, ge=0, lt=1, description="Decay of the moving average of the weights.")
    validate_every: int = Field(
        default=500,
        ge=1,
        title="Validate every",
        description="Steps between validations. Each takes a while, and writes picture, weights and checkpoint.",
    )
    validation_batches: int = Field(
        default=6, ge=1, description="Batches of held-out episodes, the same ones every time."
    )
    folds: int | None = Field(
        default=None,
        ge=2,
        description="Folds that the patients of the labelled scans are cut into, one of which is for validation only; "
        "where missing, a tenth of the patients is.",
    )
    fold: int = Field(default=1, ge=1, description="Which one, from 1.")
    fold_seed: int = Field(
        default=0, ge=0, description="Which patients share a fold: the seed of `evaluate --folds`."
    )
    true_level_share: float = Field(
        default=0.75,
        validation_alias=AliasChoices("true_level_share", "line_levels"),
        ge=0,
        le=1,
        description="Share of batches segmented with the true levels of the slices, give or take a little, as a line "
        "through a scan gives them; the network's own estimates in the others.",
    )
    no_level_share: float = Field(
        default=0.1,
        validation_alias=AliasChoices("no_level_share", "unknown_levels"),
        ge=0,
        le=1,
        description="Share of batches segmented without levels, as scans on no line are; others may have none.",
    )
    level_noise: float = Field(
        default=0.04,
        validation_alias=AliasChoices("level_noise", "line_error"),
        ge=0,
        description="Standard deviation of such a level's error.",
    )
    precision: Precision = "auto"
    sources: SourceWeights = SourceWeights()
    loss: LossWeights = LossWeights()
    episodes: EpisodeSettings = EpisodeSettings()
    network: CPCLNetSettings = CPCLNetSettings()
    preprocessing: PreprocessingSettings = PreprocessingSettings(mm_per_pixel=4.0, min_size=96)

    @model_validator(mode="after")
    def _one_pixel_size(self) -> TrainingSettings:
        seen = (self.episodes.size, self.episodes.mm_per_pixel)
        if seen != (self.preprocessing.min_size, self.preprocessing.mm_per_pixel):
            raise ValueError(
                "episodes and preprocessing must agree on the size of the slices and of their pixels"
            )
        return self

    @model_validator(mode="after")
    def _fold_exists(self) -> TrainingSettings:
        if self.fold > (self.folds or 1):
            raise ValueError(f"there is no fold {self.fold} of {self.folds or 1}")
        return self

    def shortened(self, steps: int) -> dict[str, int]:
        """What changes for a run of `steps`: a shorter run keeps the proportions of these settings."""
        share = min(1.0, steps / self.steps)
        begin = {name: max(1, round(getattr(self, name) * share)) for name in ("anatomy_steps", "warmup")}
        return {"steps": steps, **begin}


class AdaptationSettings(BaseModel):
    """How long and how boldly the network is adapted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=30, ge=1, le=10_000, description="Optimiser steps (1 to 10000).")
    learning_rate: float = Field(default=2e-4, gt=0, le=0.1, description="Learning rate of AdamW.")
    same_scanner: float = Field(
        default=0.5, ge=0, le=1, description="Share of steps whose two sides share a scanner."
    )
    seed: int = Field(default=0, ge=0, description="Of the episodes.")


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
