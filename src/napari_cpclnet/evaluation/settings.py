"""Settings of an evaluation."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from napari_cpclnet.imaging import Modality, Plane
from napari_cpclnet.model import Precision

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
        description="honest: other patients, all slices; legacy: the published protocol, which reads the organ's "
        "extent from the truth; same-volume: the rest of the scan that was painted.",
    )
    shots: tuple[Shots, ...] = Field(
        default=(5,), min_length=1, description="Numbers of painted slices to try (1 to 100 each)."
    )
    supports: int = Field(
        default=1, ge=1, le=100, description="Support scans per query and support modality (1 to 100)."
    )
    seed: int = Field(default=0, ge=0, description="Which supports each query gets, and folds (0 or more).")
    from_modality: Modality | None = Field(
        default=None, description="Modality of the support scans; all if none is given."
    )
    to_modality: Modality | None = Field(
        default=None, description="Modality of the query scans; all if none is given."
    )
    baselines: tuple[BaselineName, ...] = Field(
        default=BASELINE_NAMES,
        description="Methods without a trained decoder that are run on the same tasks.",
    )
    folds: int | None = Field(
        default=None, ge=2, le=100, description="Patient-level folds, one weights file each (2 to 100)."
    )
    tolerance_mm: float = Field(
        default=2.0, gt=0.0, le=100.0, description="Tolerance of the surface Dice, in mm (above 0 to 100)."
    )
    keep_predictions: bool = Field(default=False, description="Write every predicted label map.")
    plane: Plane = Field(
        default="auto",
        description="Plane in which the scans are sliced; auto: in which the support was painted, else across its "
        "thickest axis, else axial.",
    )
    align: bool = Field(
        default=True,
        description="Register scans with the support's scans, as the tool does; never in the legacy protocol.",
    )
    device: str = Field(default="auto", description="Computing device: auto, cpu, cuda, cuda:N or mps.")
    precision: Precision = Field(default="auto", description="Numeric precision: auto, fp32, bf16 or fp16.")

    @field_validator("protocols", "shots", "baselines")
    @classmethod
    def _once(cls, values: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(dict.fromkeys(values))
