"""Settings of a segmentation run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from napari_cpclnet.imaging import Plane
from napari_cpclnet.model.settings import Device, Precision

Align = Annotated[
    bool,
    Field(
        title="Search",
        description="Register every scan with the support's scans and carry over what was painted, whatever it is "
        "(some 30 s a scan); off is quicker, and finds only what the network recognises.",
        json_schema_extra={"choices": {"thorough": "Thorough", "quick": "Quick"}},
    ),
]
AdaptSteps = Annotated[
    int,
    Field(
        ge=0,
        le=10_000,
        title="Fine-tune on support",
        description="Train the network on the painted slices for so many steps first (some 0.3 s each on a CPU; 20 to "
        "50 are plenty); 0 does not. Helps between CT scans; harms between MR scans and across modalities.",
    ),
]


class PostprocessingSettings(BaseModel):
    """What is done to the labels of a whole scan. Slices that were painted are never touched.

    Examples
    --------
    >>> from napari_cpclnet import PostprocessingSettings
    >>> PostprocessingSettings(fill_holes=True, minimum_ml=0.5).largest_component
    True
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    largest_component: bool = Field(
        default=True,
        title="Largest piece only",
        description="Keep only the largest connected piece of each class, and pieces that were painted.",
    )
    # off: the fat of the renal sinus is a true hole; filling it costs a perfect CT kidney mask 0.004 to 0.017 Dice
    fill_holes: bool = Field(
        default=False, title="Fill holes", description="Fill holes of each class, slice by slice."
    )
    minimum_ml: float = Field(
        default=0.0,
        ge=0.0,
        le=10_000.0,
        title="Min. component size",
        description="Remove pieces smaller than this, in ml (0 to 10000).",
    )
    closing_mm: float = Field(
        default=0.0,
        ge=0.0,
        le=50.0,
        title="Close gaps",
        description="Close gaps up to twice this, in mm (0 to 50).",
    )
    refine: bool = Field(
        default=False,
        title="Follow edges",
        description="Move boundaries to nearby edges of the image (random walker, slice by slice); slow.",
    )
    refine_band_mm: float = Field(
        default=3.0, ge=0.5, le=20.0, description="How far refinement may move a boundary, in mm (0.5 to 20)."
    )


class SegmentationSettings(BaseModel):
    """How a scan is segmented with a support set.

    Examples
    --------
    >>> from napari_cpclnet import PostprocessingSettings, SegmentationSettings
    >>> settings = SegmentationSettings(plane="coronal", postprocessing=PostprocessingSettings(closing_mm=2.0))
    >>> settings.align, settings.device
    (True, 'auto')
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    plane: Plane = Field(
        default="auto",
        description="Plane in which the slices were painted; native is the first array axis, auto the plane in which "
        "they lie (of a mask painted on all slices: across the thickest axis, else axial).",
    )
    device: Device = "auto"
    precision: Precision = "auto"
    # training weighs pixels of the object four times; 0.6 was best on phantoms (benchmarks/accuracy/decisions.py)
    threshold: float = Field(
        default=0.6, gt=0.0, lt=1.0, description="Probability from which a pixel belongs to a class (0 to 1)."
    )
    batch_size: int = Field(
        default=0, ge=0, le=256, description="Slices encoded at once (1 to 256); 0 chooses."
    )
    self_support: bool = Field(
        default=True,
        validation_alias=AliasChoices("self_support", "second_look"),  # its name in older files
        description="Segment every slice twice, the second time with the scan's own clearest slices as support.",
    )
    align: Align = True
    postprocessing: PostprocessingSettings = Field(
        default=PostprocessingSettings(), description="What is done to the labels of the whole scan."
    )


class RunSettings(SegmentationSettings):
    """How scans are segmented by a command or by the panel: with which weights, after how much fine-tuning, and how.

    Examples
    --------
    >>> from napari_cpclnet import RunSettings
    >>> RunSettings(adapt=30, align=False).weights is None  # those of the package
    True
    """

    weights: Path | None = Field(
        default=None,
        title="Weights",
        description="Weights of the network (.safetensors). Default: those of the package.",
    )
    adapt: AdaptSteps = 0
    scheduler: str | None = Field(
        default=None,
        title="Cluster",
        description="Hand the scans to a dask cluster: local is one of all cores of this machine, tcp://HOST:PORT one "
        "of many. Needs the extra 'cluster'; all machines need the scans at the same place.",
    )

    @property
    def on_this_machine(self) -> Self:
        """The same for the process that hands out work: what machines of a cluster have is for them to say."""
        return (
            self
            if self.scheduler is None
            else self.model_copy(update={"device": "auto", "precision": "auto"})
        )
