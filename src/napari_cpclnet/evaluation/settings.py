"""Settings of an evaluation."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from napari_cpclnet.imaging import Modality, Plane
from napari_cpclnet.model.settings import Device, Precision

ProtocolName = Literal["honest", "legacy", "same-volume"]
PROTOCOLS: tuple[ProtocolName, ...] = get_args(ProtocolName)
BaselineName = Literal["copy", "prototype", "knn", "intensity", "registration", "interpolation", "fill"]
BASELINE_NAMES: tuple[BaselineName, ...] = get_args(BaselineName)

Shots = Annotated[int, Field(ge=1, le=100)]


class EvaluationSettings(BaseModel):
    """What is run against what. Nothing here is ever chosen on a query's truth."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocols: tuple[ProtocolName, ...] = Field(
        default=("honest",),
        min_length=1,
        description="honest (default): support and query of different patients, all slices. legacy: the published "
        "protocol, which reads the organ's first and last slice from the truth. same-volume: the rest of the painted "
        "scan.",
    )
    shots: tuple[Shots, ...] = Field(
        default=(5,),
        min_length=1,
        title="Support slices",
        description="Painted slices per support, for example 1 3 5; several numbers are tried one after another. "
        "Default: 5.",
    )
    supports: int = Field(
        default=1,
        ge=1,
        le=100,
        title="Support scans per query",
        description="Support scans per query and support modality, drawn with the seed.",
    )
    seed: int = Field(default=0, ge=0, description="Which supports each query gets; folds.")
    from_modality: Modality | None = Field(default=None, description="Only supports of this modality.")
    to_modality: Modality | None = Field(default=None, description="Only queries of this modality.")
    baselines: tuple[BaselineName, ...] = Field(
        default=BASELINE_NAMES,
        title="Baselines",
        description="Methods to run beside the network: copy, prototype, knn, intensity, registration, and of the same "
        "scan interpolation and fill.",
    )
    folds: int | None = Field(
        default=None,
        ge=2,
        le=100,
        description="Cross-validation: patients in this many folds, each with weights of its own.",
    )
    tolerance_mm: float = Field(
        default=2.0, gt=0.0, le=100.0, description="Tolerance of the surface Dice, in mm (above 0 to 100)."
    )
    keep_predictions: bool = Field(default=False, description="Also write every predicted label map.")
    plane: Plane = Field(
        default="auto",
        description="Plane of the painted slices; native is the first array axis, auto across the thickest axis, else "
        "axial.",
    )
    align: bool = Field(
        default=True,
        description="Register scans with the support's scans, as the tool does; never in the legacy protocol.",
    )
    device: Device = "auto"
    precision: Precision = "auto"

    @field_validator("protocols", "shots", "baselines")
    @classmethod
    def _once(cls, values: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(dict.fromkeys(values))
