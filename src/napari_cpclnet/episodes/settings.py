"""Settings of the episodes that networks are trained on."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class EpisodeSettings(BaseModel):
    """How episodes are drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(default=96, ge=64, le=512, multiple_of=32, description="Side of the slices, in pixels.")
    mm_per_pixel: float = Field(default=4.0, gt=0, description="Side of a pixel, in mm.")
    episodes: int = Field(default=2, ge=1, description="Support sets in a batch.")
    queries: int = Field(default=4, ge=1, description="Query slices of each support set.")
    classes: int = Field(default=3, ge=1, description="Classes of each episode, sharing one encoding.")
    shots: tuple[int, ...] = Field(
        default=(1, 2, 3, 5), description="Numbers of support slices, drawn at random."
    )
    shot_weights: tuple[float, ...] = Field(
        default=(0.2, 0.2, 0.3, 0.3), description="How often each number is drawn."
    )
    same_patient: float = Field(
        default=0.45, ge=0, le=1, description="Share of episodes whose query is the support's patient."
    )
    own_scan: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="Share of those whose two sides are one scan, and whose support is painted as roughly as a network "
        "does it; the second look at a scan is such an episode.",
    )
    same_scanner: float = Field(
        default=0.35, ge=0, le=1, description="Share of episodes whose two sides share a scanner."
    )
    anywhere: float = Field(
        default=0.3, ge=0, le=1, description="Share of query slices from anywhere in the body."
    )
    masses: float = Field(
        default=0.25, ge=0, le=1, description="Share of patients with one or several tumours somewhere."
    )
    pet_masses: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description="Share of the episodes that ask for tumours whose two sides are PET, of a scanner each.",
    )


class PriorEpisodeSettings(BaseModel):
    """What is drawn for the prior decoder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(default=64, ge=32, le=256, multiple_of=8, description="Side of the stacks, in pixels.")
    slices: int = Field(default=8, ge=3, le=32, description="Slices of a stack.")
    shapes: float = Field(default=0.1, ge=0, le=1, description="Share of episodes of nameless shapes.")
    errors: tuple[float, float] = Field(
        default=(0.8, 0.2), description="Shares of priors of other patients, and of slight bends."
    )
    unknown: float = Field(
        default=0.1, ge=0, le=1, description="Share of stacks whose prior's error is not told."
    )
