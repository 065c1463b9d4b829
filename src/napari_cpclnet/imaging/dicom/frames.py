"""The frames of DICOM images: one per classic file, many per enhanced one, each with its place and its scale."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.dicom.deflated import ALWAYS_ALLOWED, MOST_SHRUNK
from napari_cpclnet.imaging.dicom.headers import (
    clean,
    count,
    nested,
    number,
    numbers,
    real,
    sequence,
    text,
    texts,
    value_of,
)

# Values by keyword or number, as `dicom_headers.plain` gives them.
Header = dict[str | int, Any]

# What tells the phases of a series apart, in the order in which a reader of scans would name them: the group of
# an enhanced frame in which it stands, and how to say it. The last ones only serve where nothing better does.
TRAITS: dict[str, tuple[str, str]] = {
    "ImageType": ("", "image type {}"),
    "FrameType": ("*", "image type {}"),
    "ComplexImageComponent": ("*", "{} image"),
    "MetaboliteMapDescription": ("MRMetaboliteMapSequence", "map of {}"),
    "ConvolutionKernel": ("CTReconstructionSequence", "kernel {}"),
    "EchoTime": ("", "echo time {} ms"),
    "EffectiveEchoTime": ("MREchoSequence", "echo time {} ms"),
    "InversionTime": ("", "inversion time {} ms"),
    "DiffusionBValue": ("MRDiffusionSequence", "b-value {} s/mm2"),
    "TemporalPositionIdentifier": ("", "time point {}"),
    "TemporalPositionIndex": ("FrameContentSequence", "time point {}"),
    "NominalPercentageOfCardiacPhase": ("CardiacSynchronizationSequence", "cardiac phase {} %"),
    "NominalPercentageOfRespiratoryPhase": ("RespiratorySynchronizationSequence", "respiratory phase {} %"),
    "TriggerTime": ("", "trigger time {} ms"),
    "NominalCardiacTriggerDelayTime": ("CardiacSynchronizationSequence", "trigger time {} ms"),
    "FrameReferenceTime": ("", "frame time {} ms"),
    "StackID": ("FrameContentSequence", "stack {}"),
    "KVP": ("", "{} kV"),
    "SliceThickness": ("", "slices of {} mm"),
    "SeriesNumber": ("", "series number {}"),
    "AcquisitionNumber": ("", "acquisition {}"),
    "ContrastBolusAgent": ("", "contrast agent {}"),
    "SeriesTime": ("", "series of {}"),
    "AcquisitionTime": ("", "acquired at {}"),
    "FrameAcquisitionNumber": ("FrameContentSequence", "acquisition {}"),
}
_FRAME_TYPES = ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence")
_KEPT = """
    PatientName PatientID PatientBirthDate
    SOPClassUID SOPInstanceUID SeriesInstanceUID Modality SeriesDescription SeriesDate
    AcquisitionDate StudyDate InstanceNumber Rows Columns SamplesPerPixel PhotometricInterpretation
    FrameOfReferenceUID NumberOfFrames BitsAllocated BitsStored PixelRepresentation PixelSpacing
    SpacingBetweenSlices ImagePositionPatient ImageOrientationPatient RescaleSlope RescaleIntercept
    RescaleType PixelPaddingValue PixelPaddingRangeLimit SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence
"""
# NumberOfImagesInMosaic of Siemens and of United Imaging, each below the name of its maker.
MOSAIC_TAGS = (0x0019100A, 0x00651050)
_MAKERS = (0x00190010, 0x00650010)
KEYWORDS: tuple[str | int, ...] = (*TRAITS, *_KEPT.split(), *_MAKERS, *MOSAIC_TAGS)
# No scanner makes larger pictures; a damaged size must not ask for any amount of memory.
MOST_PIXELS = 1 << 28
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
# Of these the values mean something, however they are to be shown; of an X-ray picture only its looks count.
MEASURED = ("CT", "MR", "PT", "NM")
_LOCALISER_TYPES = ("LOCALIZER", "SCOUT", "TOPOGRAM")


@dataclass(frozen=True, slots=True)
class Frame:
    """One slice: a classic DICOM file, or one frame of a multi-frame file.

    Parameters
    ----------
    path, index, n_frames
        File, number of the frame in it, and how many frames it has.
    uid, number
        SOPInstanceUID, and where the scanner counts the frame.
    size
        Rows and columns.
    position, orientation
        ImagePositionPatient and ImageOrientationPatient; None if missing or damaged.
    pixel
        PixelSpacing (between rows, between columns) in mm; None if missing.
    thickness
        Distance to the next slice as the header says, or the thickness of the slice; None if missing.
    slope, intercept
        Rescale of the stored values; None if missing.
    image_type
        Values of ImageType.
    traits
        What may tell it from frames at the same position, by keyword of `TRAITS`.
    reference
        FrameOfReferenceUID, in whose coordinates the position is; empty if missing.
    syntax
        TransferSyntaxUID; empty if missing.
    mirror
        Sum of the least and the greatest stored value where bright and dark are swapped (MONOCHROME1); else None.
    rescale_type
        RescaleType, in capitals; empty if missing.
    lowest
        Least value that its pixels can hold, rescaled.
    padding
        Least and greatest stored value that mean that nothing was measured there; None if there is none.
    refusal
        Why its pixels cannot be used, as the rest of a sentence; empty if they can.
    """

    path: Path
    index: int
    n_frames: int
    uid: str
    number: float
    size: tuple[int, int]
    position: tuple[float, float, float] | None
    orientation: tuple[float, float, float, float, float, float] | None
    pixel: tuple[float, float] | None
    thickness: float | None
    slope: float | None
    intercept: float | None
    image_type: tuple[str, ...]
    traits: dict[str, str]
    reference: str = ""
    syntax: str = ""
    mirror: float | None = None
    rescale_type: str = ""
    lowest: float = 0.0
    padding: tuple[float, float] | None = None
    refusal: str = ""

    @property
    def is_localiser(self) -> bool:
        """Whether the scanner marked it as an overview for planning."""
        return any(value.upper() in _LOCALISER_TYPES for value in self.image_type)


def frames_of(path: Path, header: Header) -> list[Frame]:
    """Frames of an image file.

    A file whose frames cannot be told from its header is one frame with a refusal.
    """
    n_frames = max(1, count(header, "NumberOfFrames"))
    items = sequence(header, "PerFrameFunctionalGroupsSequence")
    refusal = _refusal(path, header, n_frames, len(items))
    if refusal or not items:
        return [_frame(path, header, header, 0, n_frames, refusal)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd values are the scanner's business
        shared = [nested(item) for item in sequence(header, "SharedFunctionalGroupsSequence")]
        header = header | {"SharedFunctionalGroupsSequence": shared}
        return [_frame(path, header, nested(item), index, n_frames, "") for index, item in enumerate(items)]


def _refusal(path: Path, header: Header, n_frames: int, described: int) -> str:
    colours = count(header, "SamplesPerPixel") > 1
    if colours or text(header, "PhotometricInterpretation") not in ("", "MONOCHROME1", "MONOCHROME2"):
        return "holds colours, not grey values; choose the original series."
    if count(header, "Rows") * count(header, "Columns") > MOST_PIXELS or not count(header, "Columns"):
        size = f"{count(header, 'Rows')} x {count(header, 'Columns')}"
        return f"says it has slices of {size} pixels, which is damage; export it again."
    if described and described != n_frames:
        return f"says it has {n_frames} frames, but describes {described}; export it again."
    if n_tiles := _tiles(header):
        return (
            f"is a mosaic: its picture holds {n_tiles} slices side by side, whose places it does not say; convert it "
            "with dcm2niix, or export it as an enhanced image."
        )
    if n_frames > 1 and not described:
        return (
            f"is a multi-frame DICOM file of {n_frames} frames that do not say where they lie; "
            "export it as single slices or as an enhanced image."
        )
    return _too_small(path, header, n_frames)


def _tiles(header: Header) -> str:
    """How many slices a picture holds side by side, as scanners store series of brains; empty if it is one slice."""
    for tag in MOSAIC_TAGS:
        value = value_of(header, tag)
        number = int.from_bytes(value[:4], "little") if isinstance(value, bytes) else real({"": value}, "")
        if number is not None and number > 1:
            return f"{number:g}"
    words = {word.upper() for word in texts(header, "ImageType")}
    return "several" if words & {"MOSAIC", "VFRAME"} else ""


def _too_small(path: Path, header: Header, n_frames: int) -> str:
    """Whether the file is smaller than the pixels its header promises; damage must not ask for memory."""
    try:
        size = path.stat().st_size
    except OSError as error:
        return f"cannot be opened ({error.strerror})."
    shape = (n_frames, count(header, "Rows"), count(header, "Columns"))
    n_bytes = math.prod(shape) * max(1, count(header, "BitsAllocated") // 8)
    # Of compressed pixels only decoding tells, but nothing shrinks grey values that much, unless they are few.
    most = max(MOST_SHRUNK * size, ALWAYS_ALLOWED) if is_compressed(header) else size
    if n_bytes > most:
        what = " x ".join(map(str, shape))
        return f"its pixels are truncated: the header says {what} values, the file has {size} bytes; export it again."
    return ""


def is_compressed(header: Header) -> bool:
    """Whether the pixels are compressed, or the whole file is."""
    return syntax_of(header) not in ("", *NATIVE)


def syntax_of(header: Header) -> str:
    """TransferSyntaxUID; empty if it is missing, or damaged: it may hold anything then, the patient's name too."""
    found = text(header, "TransferSyntaxUID")
    return found if re.fullmatch(r"[0-9.]{1,64}", found) else ""


def _mirror(header: Header) -> float | None:
    if text(header, "PhotometricInterpretation") != "MONOCHROME1" or text(header, "Modality") in MEASURED:
        return None
    bits = count(header, "BitsStored") or count(header, "BitsAllocated")
    return -1.0 if count(header, "PixelRepresentation") else float((1 << min(bits, 32)) - 1)


def _frame(path: Path, header: Header, item: Any, index: int, n_frames: int, refusal: str) -> Frame:
    def group(keyword: str) -> Iterator[Any]:
        """Places of a value: the frame's own group, the shared one, and the header, as classic images have it."""
        if item is not header:
            for place in (item, *sequence(header, "SharedFunctionalGroupsSequence")):
                yield from sequence(place, keyword)
        yield header

    def floats(name: str, keyword: str, n: int) -> Any:
        found = next((v for p in group(name) if (v := numbers(p, keyword, n)) is not None), None)
        return None if found is None else tuple(float(value) for value in found)

    def scalar(name: str, keyword: str) -> float | None:
        return next((v for place in group(name) if (v := real(place, keyword)) is not None), None)

    measures = "PixelMeasuresSequence"
    # In an enhanced file the distance is the stack's; in classic ones some scanners write the gap between slices.
    thickness = next(
        (
            value
            for keyword in ("SliceThickness", "SpacingBetweenSlices")
            for place in group(measures)
            if (value := number(place, keyword)) is not None
        ),
        None,
    )
    frame_type = next(
        (v for name in _FRAME_TYPES for p in group(name) if (v := texts(p, "FrameType"))),
        texts(header, "ImageType"),
    )
    slope = scalar("PixelValueTransformationSequence", "RescaleSlope")
    intercept = scalar("PixelValueTransformationSequence", "RescaleIntercept")
    kind = next(
        (word for place in group("PixelValueTransformationSequence") if (word := text(place, "RescaleType"))),
        "",
    )
    return Frame(
        path,
        index,
        n_frames,
        text(header, "SOPInstanceUID"),
        float(index) if item is not header else (real(header, "InstanceNumber") or 0.0),
        (count(header, "Rows"), count(header, "Columns")),
        floats("PlanePositionSequence", "ImagePositionPatient", 3),
        floats("PlaneOrientationSequence", "ImageOrientationPatient", 6),
        floats(measures, "PixelSpacing", 2),
        thickness,
        slope,
        intercept,
        frame_type,
        dict(_traits(header, item)),
        text(header, "FrameOfReferenceUID"),
        syntax_of(header),
        _mirror(header),
        kind.upper(),
        min(bound * (slope or 1.0) for bound in _stored_bounds(header)) + (intercept or 0.0),
        _padding(header),
        refusal,
    )


def _stored_bounds(header: Header) -> tuple[float, float]:
    """Least and greatest value that the pixels can hold as they are stored."""
    bits = min(count(header, "BitsStored") or count(header, "BitsAllocated") or 16, 64)
    return (
        (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1)
        if count(header, "PixelRepresentation")
        else (0.0, 2.0**bits - 1)
    )


def _padding(header: Header) -> tuple[float, float] | None:
    """Stored values that stand for padding, as signed or unsigned as the pixels, whatever the tag's own type is."""
    found = [
        int(value)
        for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")
        if (value := real(header, keyword)) is not None
    ]
    if not found or real(header, "PixelPaddingValue") is None:
        return None
    span = 1 << min(count(header, "BitsAllocated") or 16, 64)
    signed = count(header, "PixelRepresentation") > 0
    wrapped = [(v + span // 2) % span - span // 2 if signed else v % span for v in found]
    return float(min(wrapped)), float(max(wrapped))


def _traits(header: Header, item: Any) -> Iterator[tuple[str, str]]:
    for keyword, (group, _) in TRAITS.items():
        if not group or item is header:
            values = texts_of(header, keyword)
        else:
            names = _FRAME_TYPES if group == "*" else (group,)
            values = next(
                (v for name in names for inner in sequence(item, name) if (v := texts_of(inner, keyword))), ""
            )
        if values:
            yield keyword, values


def texts_of(dataset: Any, keyword: str) -> str:
    """Values of a tag in one text, empty if it is missing or damaged."""
    value = value_of(dataset, keyword)
    if value is None or isinstance(value, bytes):
        return ""
    if isinstance(value, int | float):
        return f"{value:.6g}" if value % 1 else str(int(value))
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return clean(str(value))
    return "/".join(clean(str(one)) for one in value)


def check_frames(frames: list[Frame], where: str) -> None:
    """Refuse frames whose pixels cannot be used.

    Raises
    ------
    ImageError
        With the sentence of the first such frame.
    """
    for frame in frames:
        if frame.refusal:
            raise ImageError(f"{frame.path if len(frames) > 1 else where}: {frame.refusal}")
