"""Write a label map as a DICOM segmentation of the series it belongs to, through highdicom."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import generate_uid

from napari_cpclnet._version import __version__
from napari_cpclnet.errors import ImageError, OutputError
from napari_cpclnet.imaging.dicom.headers import numbers, read_header, text
from napari_cpclnet.imaging.dicom.labels import items
from napari_cpclnet.imaging.dicom.series import SeriesInfo, list_series
from napari_cpclnet.imaging.geometry import Geometry
from napari_cpclnet.imaging.terminology import Code, Term, Terminology
from napari_cpclnet.imaging.volume import ScanRef, Segmentation

# A slice of the series is one of the labels' if its corner is this near, in voxels.
SAME_PLACE = 0.1
# What the standard wants in every object, be it empty (type 2): left out by anonymisers, or by us.
MAY_BE_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
# All that is left of the headers of the series before anything is copied from them: patient and study as the standard
# demands (by the accession number an archive knows the order), the places of the slices, and nothing about hospital,
# staff, device or trial.
KEPT = (
    *("SpecificCharacterSet", "TimezoneOffsetFromUTC", "PatientIdentityRemoved", "Modality", "ImageType"),
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "AccessionNumber"),
    *(
        "SeriesInstanceUID",
        "SeriesNumber",
        "SOPClassUID",
        "SOPInstanceUID",
        "InstanceNumber",
        "FrameOfReferenceUID",
    ),
    *(
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "SliceThickness",
        "SpacingBetweenSlices",
    ),
    *("Rows", "Columns", "NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("SamplesPerPixel", "PhotometricInterpretation"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "DimensionOrganizationType"),
)
LONGEST_LABEL = 64  # characters of a value of type LO


def save_dicom_seg(
    segmentation: Segmentation, path: Path, source: ScanRef, terminology: Terminology, algorithm: str
) -> None:
    """Write a BINARY segmentation object: one segment per class, in the frame of reference of the series.

    Patient and study are copied from the series, as the standard demands.

    Parameters
    ----------
    segmentation
        Labels, on the series' own voxels or on others.
    path
        File to write.
    source
        The DICOM series: its folder or one of its files.
    terminology
        Codes of the class names.
    algorithm
        Name of what made the segments.

    Raises
    ------
    OutputError
        If highdicom is not installed, there is nothing to write, or the series is not there or lacks a tag.
    """
    try:
        import highdicom as hd
    except ImportError as error:
        msg = f"{path}: DICOM segmentations need the package highdicom: pip install 'napari-cpclnet[dicom]'."
        raise OutputError(msg) from error
    headers = source_headers(source, segmentation.geometry)
    values = sorted(segmentation.classes.keys() | {int(v) for v in np.unique(segmentation.labels)} - {0})
    values = [value for value in values if value > 0]
    if not values:
        raise OutputError(f"{path}: a DICOM segmentation needs at least one class, and there is no label.")
    descriptions = [
        _description(number, value, segmentation, terminology, algorithm)
        for number, value in enumerate(values, start=1)
    ]
    swap = [2, 1, 0, 3]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is odd in the source is the scanner's business
        try:
            volume = hd.Volume(
                _numbered(segmentation.labels, values),
                # Index axes stay (z, y, x), as highdicom takes them; world axes become those of DICOM.
                segmentation.geometry.affine[swap],
                coordinate_system="PATIENT",
                frame_of_reference_uid=headers[0].FrameOfReferenceUID,
            )
            made = hd.seg.Segmentation(
                source_images=headers,
                pixel_array=volume,
                segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
                segment_descriptions=descriptions,
                series_instance_uid=generate_uid(prefix=None),
                series_number=900,
                sop_instance_uid=generate_uid(prefix=None),
                instance_number=1,
                manufacturer="napari-cpclnet",
                manufacturer_model_name="napari-cpclnet",
                software_versions=__version__,
                device_serial_number="0",
                content_label="SEGMENTATION",
                series_description="Segmentation",
                specific_character_set="ISO_IR 192",
            )
        except (AttributeError, TypeError, ValueError) as error:
            reason = (
                str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else "unknown reason"
            )
            raise OutputError(f"{path}: the series cannot carry a DICOM segmentation ({reason}).") from error
        made.save_as(path)


def source_headers(source: ScanRef, geometry: Geometry) -> list[FileDataset]:
    """Headers of the images of a series, without what is not needed of the patient.

    Tags that may be empty are there. Of several series in a folder, the one that is named, or else the one on whose
    slices the labels lie.

    Raises
    ------
    OutputError
        If the series is not there or not to be told from others, or lacks a tag that cannot be empty.
    """
    candidates = _candidates(source)
    if len(candidates) > 1:
        fitting = [headers for headers in candidates if _is_grid_of(headers, geometry)]
        if len({text(headers[0], "SeriesInstanceUID") for headers in fitting}) == 1:
            fitting = fitting[:1]  # phases of one series lie in one place, and any of them may be referred to
        if len(fitting) != 1:
            what = "several series" if fitting else "no series"
            msg = f"{source.path}: the labels lie on the slices of {what} in it; say which one, or give its folder."
            raise OutputError(msg)
        candidates = fitting
    headers = candidates[0]
    for header in headers:
        for tag in [tag for tag in header.keys() if keyword_for_tag(tag) not in KEPT]:
            del header[tag]
        for keyword in MAY_BE_EMPTY:
            if keyword not in header:
                setattr(header, keyword, "")
        _share_measures(header)
        for keyword in ("FrameOfReferenceUID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            if not text(header, keyword):
                msg = (
                    f"{source.path}: lacks {keyword} (removed by an anonymiser?), without which no DICOM "
                    "segmentation can refer to it; choose .seg.nrrd or .nii.gz."
                )
                raise OutputError(msg)
    uids = {text(header, "SOPInstanceUID") for header in headers}
    if len(uids) < len(headers):
        raise OutputError(
            f"{source.path}: has slices without a SOPInstanceUID of their own (an anonymiser's mistake?), so no DICOM "
            "segmentation can refer to them; choose .seg.nrrd or .nii.gz."
        )
    return headers


def _share_measures(header: FileDataset) -> None:
    """Pixel size and orientation for all frames of an enhanced image, where its scanner repeats them in each."""
    frames = items(header, "PerFrameFunctionalGroupsSequence")
    if not frames:
        return
    if not items(header, "SharedFunctionalGroupsSequence"):
        header.SharedFunctionalGroupsSequence = [Dataset()]
    for keyword in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
        shared = header.SharedFunctionalGroupsSequence[0]
        if keyword not in shared and keyword in frames[0]:
            shared[keyword] = frames[0][keyword]


def _candidates(source: ScanRef) -> list[list[FileDataset]]:
    try:
        if source.path.is_dir():
            found: Sequence[SeriesInfo] = list_series(source.path)
            groups = [info.files for info in found if source.series in (None, info.id)]
        else:
            groups = [(source.path,)]
    except ImageError as error:
        raise OutputError(f"{error} A DICOM segmentation refers to a DICOM series.") from error
    candidates = []
    for files in groups:
        headers = [header for header in map(read_header, files) if header is not None]
        if headers:
            candidates.append(headers)
    if not candidates:
        msg = f"{source.path}: is no DICOM series, and a DICOM segmentation must refer to one."
        raise OutputError(msg)
    return candidates


def _is_grid_of(headers: list[FileDataset], geometry: Geometry) -> bool:
    """Whether there is one image at each slice of the labels and nowhere else, of the same size."""
    corners = np.array(geometry.shape) - 1.0
    found = set()
    for header in headers:
        position = numbers(header, "ImagePositionPatient", 3)
        if position is None or {int(header.get("Rows", 0)), int(header.get("Columns", 0))} != {
            *geometry.shape[1:]
        }:
            return False
        index = geometry.world_to_index(position[::-1])
        nearest = np.rint(index)
        at_corner = np.all((nearest[1:] == 0) | (nearest[1:] == corners[1:]))
        if np.abs(index - nearest).max() > SAME_PLACE or not at_corner:
            return False
        found.add(int(nearest[0]))
    return found == set(range(geometry.shape[0]))


def _numbered(labels: NDArray[Any], values: list[int]) -> NDArray[np.uint16]:
    """Labels with their values replaced by segment numbers 1, 2, 3 and so on."""
    numbered = np.zeros(labels.shape, np.uint16)
    for number, value in enumerate(values, start=1):
        numbered[labels == value] = number
    return numbered


def _description(
    number: int, value: int, segmentation: Segmentation, terminology: Terminology, algorithm: str
) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    name = segmentation.classes.get(value, f"label {value}")
    term: Term = terminology[segmentation.terms.get(value, name)]
    color = segmentation.colors.get(value)
    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=" ".join(name.replace("\\", "/").split())[:LONGEST_LABEL] or f"label {value}",
        segmented_property_category=_concept(term.category),
        segmented_property_type=_concept(term.type),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=algorithm, family=codes.DCM.ArtificialIntelligence, version=__version__
        ),
        display_color=None if color is None else hd.color.CIELabColor.from_rgb(*color),
    )
    # Segment numbers run from 1 without gaps; this is where the value of the label stays.
    description.SegmentDescription = f"label value {value}"
    if term.side is not None:
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
            _concept(term.side)
        ]
    return description


def _concept(code: Code) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(code.value, code.scheme, code.meaning)
