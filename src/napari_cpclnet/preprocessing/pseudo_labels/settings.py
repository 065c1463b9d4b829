"""Settings of pseudo-labels."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from napari_cpclnet.imaging import Plane

Method = Literal["slic", "felzenszwalb"]
METHODS: tuple[Method, ...] = get_args(Method)
MOST_SCALES = 9

Side = Annotated[float, Field(ge=2.0, le=200.0)]


class PseudoLabelSettings(BaseModel):
    """How a slice is cut into regions that serve as classes where nobody painted.

    Lengths are in mm; a picture without a physical size counts as one body wide, as it does for the network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: tuple[Method, ...] = Field(
        default=METHODS, min_length=1, description="Superpixel methods: slic, felzenszwalb."
    )
    scales_mm: tuple[Side, ...] = Field(
        default=(15.0, 25.0, 40.0),
        min_length=1,
        max_length=MOST_SCALES,
        description="Side of a square as large as a typical region, in mm (2 to 200 each), at most nine, finest first.",
    )
    plane: Plane = Field(default="axial", description="Plane in which the scans are sliced.")
    working_mm: float = Field(
        default=1.5,
        ge=0.25,
        le=10.0,
        description="Finer pixels are averaged in blocks up to this side, in mm (0.25 to 10).",
    )
    smoothing_mm: float = Field(
        default=1.5,
        ge=0.0,
        le=10.0,
        description="Gaussian blur before superpixels are sought, in mm (0 to 10).",
    )
    compactness: float = Field(
        default=0.1,
        gt=0.0,
        le=10.0,
        description="SLIC: weight of nearness against likeness of grey values in [0, 1] (above 0 to 10).",
    )
    merge_distance: float = Field(
        default=0.05,
        ge=0.0,
        le=1.0,
        description="Neighbours up to this far apart in grey value and texture, on the scale from black to white, are "
        "merged (0 to 1); regions larger than the scale need to be more alike.",
    )
    texture_weight: float = Field(
        default=1.0,
        ge=0.0,
        le=10.0,
        description="What a difference of texture counts against one of grey value (0 to 10).",
    )
    minimum_mm2: float = Field(
        default=100.0,
        ge=0.0,
        le=100_000.0,
        description="Smaller regions are joined to the most similar neighbour, or dropped without one, in mm^2 (0 to "
        "100000).",
    )
    maximum_share: float = Field(
        default=0.35,
        gt=0.0,
        le=1.0,
        description="Regions that cover a larger share of the body in the slice are dropped (above 0 to 1).",
    )
    maximum_border: float = Field(
        default=0.25,
        ge=0.0,
        le=1.0,
        description="Regions of which a larger share of the outline is the border of the picture are dropped (0 to 1).",
    )
    link_overlap: float = Field(
        default=0.5,
        gt=0.0,
        le=1.0,
        description="Overlap (Dice) from which regions of neighbouring slices are one region (above 0 to 1).",
    )

    @field_validator("methods", "scales_mm")
    @classmethod
    def _once(cls, values: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(dict.fromkeys(values))
