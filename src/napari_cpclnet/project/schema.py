"""Schema of ``project.json``.

Slices are counted from 0 along the sliced array axis, as napari shows them. Of patients nothing is kept but what the
names of files say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, model_validator

from napari_cpclnet.imaging import Geometry, Modality, Plane
from napari_cpclnet.segmentation.settings import AdaptSteps, Align, PostprocessingSettings

FORMAT: Literal["napari-cpclnet project"] = "napari-cpclnet project"
SCHEMA_VERSION = 1

MOST_UNCERTAIN = 200
"""Uncertain slices that a project keeps of a scan; the table in napari shows no more."""

LONGEST_PATH, LONGEST_NAME = 4096, 255
"""Bytes of a path and of one of its parts that file systems take."""

OutputFormat = Literal["nii.gz", "nrrd", "mha", "seg.nrrd", "dcm", "png", "ome.zarr"]


def _known(path: str) -> str:
    """A path that file systems know: others make every look at them an error."""
    if "\0" in path:
        raise ValueError("is no path: it holds a zero byte")
    if len(path.encode("utf-8", "surrogatepass")) > LONGEST_PATH or any(
        len(part.encode("utf-8", "surrogatepass")) > LONGEST_NAME for part in path.split("/")
    ):
        raise ValueError("is no path: it is too long")
    return path


def _inside(path: str) -> str:
    """Files we write lie in the project's folder, whoever wrote the project."""
    if not path or "\\" in path or ".." in path.split("/"):
        raise ValueError("must be a file inside the project's folder")
    if PurePosixPath(path).is_absolute() or PureWindowsPath(path).drive:
        raise ValueError("must be a file inside the project's folder")
    return path


KeptPath = Annotated[str, AfterValidator(_known)]
Inside = Annotated[KeptPath, AfterValidator(_inside)]
Channel = Annotated[int, Field(ge=0, le=255)]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Entry(BaseModel):
    """Base of all entries: unchangeable, and nothing in it that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # most commands open no project


class ScanEntry(Entry):
    """A scan, and how to know it again."""

    id: str = Field(min_length=1, description="By which supports and queries name the scan.")
    name: str = Field(description="Shown to the user.")
    path: KeptPath = Field(
        description="File or folder, relative to the project's folder with / between the parts; absolute only on "
        "another drive."
    )
    series: str | None = Field(default=None, description="Series of a DICOM folder, or phase of a 4-D file.")
    sha256: str = Field(
        description="Of the file; of several files: of their sorted hashes, each followed by a line feed."
    )
    size: int = Field(ge=0, description="Bytes of all files together.")
    geometry: Geometry = Field(description="Grid of the voxels, all in the order (z, y, x), in mm.")
    modality: Modality = "other"
    unit: str = ""
    calibrated: bool = Field(default=True, description="False where the voxel size is a placeholder.")


class ClassEntry(Entry):
    """A label value and what it stands for."""

    value: int = Field(ge=1)
    name: str
    color: tuple[Channel, Channel, Channel] | None = Field(
        default=None, description="Red, green, blue, 0 to 255."
    )
    code: str | None = Field(default=None, description="Name in the bundled terminology.")


class SupportEntry(Entry):
    """What was painted on a scan."""

    scan: str = Field(description="Id of the scan.")
    name: str = Field(default="painted slices", description="Of the layer.")
    mask: Inside = Field(description="Label map on the scan's grid (.seg.nrrd).")
    plane: Plane = "axial"
    slices: tuple[int, ...] | None = Field(
        default=None, description="Painted slices to learn from; null: all of them."
    )
    absent: tuple[int, ...] = Field(default=(), description="Slices on which none of the classes is.")
    partial: tuple[int, ...] = Field(
        default=(),
        description="Painted slices of which only some pixels are painted: what is not painted there is unknown, and "
        "label 255 says that no class is there.",
    )
    absent_elsewhere: dict[Plane, tuple[int, ...]] = Field(
        default={}, description="Such slices of the other planes."
    )
    accepted: tuple[int, ...] = Field(
        default=(), description="Painted slices that were filled between others and accepted, not drawn."
    )
    taken: bool = Field(
        default=True,
        description="False: only shown; nothing is learned from it and its values have own names.",
    )


FOUND_BY = {
    "network": "the network",
    "alignment": "alignment with the support",
    "both": "the network and alignment with the support",
    "none": "nothing",
}
"""By what a class was found, in words."""


class ClassSummaryEntry(Entry):
    """One class of a result."""

    value: int = Field(ge=1)
    ml: Amount = Field(description="Volume with corrections; voxels where the scan has no physical size.")
    confidence: Share = Field(description="Dice to expect; 0 if nothing was found.")
    seems_absent: bool = False
    means: Literal["", "network", "alignment", "both", "none"] = Field(
        default="", description="By what it was found in a scan that was aligned with the support."
    )
    goes_on: bool = Field(
        default=False, description="The network sees it go on beyond the outermost painted slices."
    )


class UncertainSliceEntry(Entry):
    """One class on one slice that is worth a look."""

    index: int = Field(ge=0)
    value: int = Field(ge=1)
    score: Share


class SummaryEntry(Entry):
    """What the table of results says of a scan; read like `napari_cpclnet.segmentation.Summary`."""

    axis: Literal[0, 1, 2] = Field(default=0, description="Array axis along which slices are counted.")
    voxel_ml: Amount | None = Field(
        default=None, description="Of one voxel; null where the scan has no physical size."
    )
    classes: tuple[ClassSummaryEntry, ...] = ()
    uncertain: tuple[UncertainSliceEntry, ...] = Field(
        default=(),
        description="The worst first.",
        validation_alias=AliasChoices("uncertain", "doubtful"),  # its name in older files
    )
    reviewed: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(), description="Uncertain slices that were looked at and accepted."
    )

    @classmethod
    def of(
        cls,
        summary: Any,
        axis: int,
        voxel_ml: float | None,
        ml: Mapping[int, float] | None = None,
        reviewed: Iterable[int] = (),
    ) -> SummaryEntry:
        """Entry of a `Summary`; ``ml``: volumes of classes that are other than it says, ``reviewed``: its slices."""
        volumes = {one.value: one.ml for one in summary.classes} | dict(ml or {})
        return cls.model_validate(
            {
                "axis": axis,
                "voxel_ml": voxel_ml,
                "classes": [
                    {
                        "value": one.value,
                        "ml": max(volumes[one.value], 0.0),
                        "confidence": min(max(one.confidence, 0.0), 1.0),
                        "seems_absent": one.seems_absent,
                        "means": one.means,
                        "goes_on": one.goes_on,
                    }
                    for one in summary.classes
                ],
                "uncertain": [
                    {"index": one.index, "value": one.value, "score": one.score}
                    for one in summary.uncertain[:MOST_UNCERTAIN]
                ],
                "reviewed": sorted(reviewed),
            }
        )

    def measured(self, voxels: Mapping[int, int]) -> SummaryEntry:
        """The same with the volumes of so many voxels of each class."""
        unit = self.voxel_ml or 1.0
        changed = (one.model_copy(update={"ml": voxels[one.value] * unit}) for one in self.classes)
        return self.model_copy(update={"classes": tuple(changed)})


class QueryEntry(Entry):
    """A scan to label, or a file or folder of scans that were never opened."""

    scan: str | None = Field(default=None, description="Id of the scan.")
    path: KeptPath | None = Field(
        default=None, description="File or folder instead, written as that of a scan."
    )
    series: str | None = Field(
        default=None, description="Which series or phase of ``path``, if it is one scan."
    )
    ticked: bool = True
    result: Inside | None = Field(default=None, description="Labels of this scan, if there are any.")
    name: str = Field(default="", description="Of the result's layer, or of the scan at ``path``.")
    checksum: int | None = Field(
        default=None, description="CRC-32 of the labels as the run wrote them, to see corrections."
    )
    corrected: dict[int, str] | None = Field(
        default=None,
        description="Corrected voxels of the result: by slice along its first axis (z) a mask as bits, row by row, "
        "packed by zlib and written in base64.",
    )
    summary: SummaryEntry | None = Field(default=None, description="What the last run found.")
    saved: KeptPath | None = Field(
        default=None, description="Labels of this scan in the output folder, written as the path of a scan."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> QueryEntry:
        if (self.scan is None) == (self.path is None):
            raise ValueError("a query has either a scan or a path")
        return self


class ProjectSettings(Entry):
    """How scans are labelled. Where it is computed belongs to the machine, not to the project."""

    plane: Plane = "axial"
    adapt: AdaptSteps = 0
    align: Align = True
    postprocessing: PostprocessingSettings | None = Field(
        default=None, description="Settings of post-processing; null: what is recommended."
    )
    output: KeptPath | None = Field(
        default=None,
        description="Folder into which results are written, too, written as the path of a scan; null: none.",
    )
    output_format: OutputFormat = Field(default="nii.gz", description="Suffix of the files in there.")


class WeightsEntry(Entry):
    """The weights the results were made with."""

    path: KeptPath | None = Field(
        default=None, description="File, written as that of a scan; null: those of the package."
    )
    hash: str = Field(default="", description="First twelve digits of the file's SHA-256.")


class Project(Entry):
    """Everything of a project but the voxels."""

    format: Literal["napari-cpclnet project"] = FORMAT
    schema_version: Literal[1] = 1
    written_by: str = Field(default="", description="Version of the program.")
    scans: tuple[ScanEntry, ...] = ()
    classes: tuple[ClassEntry, ...] = ()
    supports: tuple[SupportEntry, ...] = ()
    queries: tuple[QueryEntry, ...] = ()
    settings: ProjectSettings = ProjectSettings()
    weights: WeightsEntry = WeightsEntry()

    @model_validator(mode="after")
    def _hangs_together(self) -> Project:
        ids = [scan.id for scan in self.scans]
        if len(set(ids)) < len(ids):
            raise ValueError("two scans have the same id")
        values = [one.value for one in self.classes]
        if len(set(values)) < len(values):
            raise ValueError("two classes have the same value")
        named = {one.scan for one in self.supports} | {one.scan for one in self.queries if one.scan}
        if unknown := sorted(named - set(ids)):
            raise ValueError(f"there is no scan '{unknown[0]}'")
        files = [one.mask for one in self.supports] + [one.result for one in self.queries if one.result]
        if len(set(files)) < len(files):
            raise ValueError("two label maps have the same file")
        return self

    def scan(self, scan_id: str) -> ScanEntry:
        """Scan by its id."""
        return next(scan for scan in self.scans if scan.id == scan_id)

    @property
    def names(self) -> dict[int, str]:
        """Name of each label value."""
        return {one.value: one.name for one in self.classes}

    @property
    def colors(self) -> dict[int, tuple[int, int, int]]:
        """Colour of each label value that has one."""
        return {one.value: one.color for one in self.classes if one.color}
