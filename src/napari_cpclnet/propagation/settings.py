"""Settings of the propagation of painted slices through their own scan."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

MEND_REACH_MM = 30.0
"""How far from a stroke that mends anything changes on its slice."""

MEND_AROUND_MM = 20.0
"""How far from a mended slice the slices around it change."""


class PropagationSettings(BaseModel):
    """How painted slices are carried to the other slices of their own scan.

    Examples
    --------
    >>> from napari_cpclnet import PropagationSettings
    >>> PropagationSettings(grey_values=False).reach
    1.5
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    grey_values: bool = Field(
        default=True,
        description="Let grey values move the interpolated outlines; off gives the plain interpolation of shapes.",
    )
    working_voxels: int = Field(
        default=400_000,
        ge=10_000,
        le=100_000_000,
        description="Voxels of one class's box that are worked on (10,000 to 100,000,000); larger boxes are worked on "
        "with fewer slices and larger pixels, and the outlines brought back to the scan's own grid.",
    )
    reach: float = Field(
        default=1.5,
        ge=0.0,
        le=5.0,
        description="How far a class may go on beyond its outermost painted slice, in mean distances between painted "
        "slices (0 to 5). A slice that was marked empty ends it before.",
    )
