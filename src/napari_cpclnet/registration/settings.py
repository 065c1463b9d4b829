"""Settings of the registration of two scans."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from napari_cpclnet.model.settings import Device


class RegistrationSettings(BaseModel):
    """How a query is registered with a support.

    MIND is scaled so that two places taken at random differ by 1; the weights are relative to that.

    Examples
    --------
    >>> from napari_cpclnet import RegistrationSettings
    >>> RegistrationSettings(device="cpu", iterations=20).points
    250000
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Device = "auto"
    step_mm: tuple[float, float] = Field(
        default=(1.0, 5.0),
        description="Finest and coarsest step of the grid that features are compared on, in mm. A control point of the "
        "displacement stands at every second grid point.",
    )
    points: int = Field(
        default=250_000,
        ge=1_000,
        le=10_000_000,
        description="Grid points that a body should have; the step follows from it, within its limits.",
    )
    fine_points: int = Field(
        default=1_000_000,
        ge=1_000,
        le=50_000_000,
        description="The same of the finer grid on which the continuous optimisation ends, which thin structures need; "
        "where it would hardly be finer, that of the search stays.",
    )
    most_points: int = Field(
        default=1_000_000,
        ge=10_000,
        le=50_000_000,
        description="Grid points that no body may exceed: the step of a very large one is longer than its limit.",
    )
    shifts: int = Field(
        default=2,
        ge=0,
        le=20,
        description="How many of all shifts of the whole scan to try besides laying middle over middle, where MIND "
        "decides alone (0 to 20).",
    )
    reach: int = Field(
        default=4,
        ge=1,
        le=6,
        description="How far the discrete search looks in each direction, in double steps (1 to 6), where MIND decides "
        "alone.",
    )
    trunk_reach: tuple[int, int] = Field(
        default=(3, 2),
        description="The same in scans of the trunk, first in steps of four, then in double ones.",
    )
    coupling: tuple[float, ...] = Field(
        default=(0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
        min_length=1,
        description="Weights that couple the discrete search to its smoothed result, one after the other.",
    )
    iterations: int = Field(
        default=80, ge=0, le=1_000, description="Steps of the continuous optimisation (0 to 1000)."
    )
    fine_iterations: int = Field(
        default=60, ge=0, le=1_000, description="Steps of it on the finer grid (0 to 1000)."
    )
    samples: int = Field(
        default=10_000,
        ge=500,
        le=1_000_000,
        description="Grid points that a step of the continuous optimisation looks at.",
    )
    smoothness: float = Field(
        default=0.25,
        ge=0.0,
        le=100.0,
        description="Weight of the differences between neighbouring displacements.",
    )
    learning_rate: float = Field(
        default=0.6,
        gt=0.0,
        le=10.0,
        description="Length of the first step of the continuous optimisation, in grid steps; those after it are ever "
        "shorter.",
    )
    anatomy: float = Field(
        default=1.0,
        ge=0.0,
        le=100.0,
        description="Weight of what the network takes a place for against MIND's 1, in scans of the trunk.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the random grid points.")
