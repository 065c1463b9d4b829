"""Preprocessing settings: from a scan to the network's input. They travel with the weights."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class PreprocessingSettings(BaseModel):
    """How intensities and pixels of a scan become the network's input.

    Weights are trained for one set of values, so these are stored beside them and are no choice at
    prediction time.

    Examples
    --------
    >>> from napari_cpclnet import PreprocessingSettings
    >>> PreprocessingSettings(mm_per_pixel=4.0, min_size=96).ct_window
    (-125.0, 275.0)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mm_per_pixel: float = Field(
        default=3.0, ge=0.25, le=10.0, description="Side of a network pixel, in mm (0.25 to 10)."
    )
    context_mm: float = Field(
        default=8.0,
        ge=0.0,
        le=50.0,
        description="Distance to the neighbour slices shown beside a slice, in mm (0 to 50).",
    )
    min_size: int = Field(
        default=128,
        ge=32,
        le=512,
        multiple_of=32,
        description="Shortest side of the network's image, in pixels (32 to 512); what the weights were trained with.",
    )
    max_size: int = Field(
        default=512,
        ge=128,
        le=2048,
        multiple_of=32,
        description="Longest side of the network's image, in pixels (128 to 2048).",
    )
    ct_window: tuple[float, float] = Field(
        default=(-125.0, 275.0), description="CT numbers shown as black and white, in HU (low < high)."
    )
    mr_percentiles: tuple[float, float] = Field(
        default=(0.5, 99.5),
        description="Percentiles shown as black (of all voxels) and white (of all but background), 0 to 100, "
        "for MR and for images of unknown unit.",
    )
    suv_max: float = Field(
        default=10.0, gt=0.0, le=100.0, description="PET uptake shown as white, in SUVbw (above 0 to 100)."
    )

    @model_validator(mode="after")
    def _ordered(self) -> PreprocessingSettings:
        if self.ct_window[0] >= self.ct_window[1]:
            raise ValueError("ct_window: the low value must be below the high value")
        low, high = self.mr_percentiles
        if not 0.0 <= low < high <= 100.0:
            raise ValueError("mr_percentiles: need 0 <= low < high <= 100")
        return self
