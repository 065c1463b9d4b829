"""Settings of phantoms."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class PhantomSettings(BaseModel):
    """Grid and variability of the phantoms."""

    model_config = ConfigDict(frozen=True)

    shape: tuple[int, int, int] = Field(default=(104, 128, 144), description="Voxels (z, y, x).")
    spacing: tuple[float, float, float] = Field(default=(4.0, 3.0, 3.0), description="Millimetres (z, y, x).")
    deformation: float = Field(
        default=1.0,
        description="Strength of the smooth random deformation of the whole body; 0 switches it off.",
    )
