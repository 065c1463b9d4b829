"""A whole DICOM series on any grid, as a scanner would write it; and a structure set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from napari_cpclnet.imaging import Geometry

FRAME = "1.2.826.0.1.1"
STUDY = "1.2.826.0.1.2"


def write_scan(folder: Path, geometry: Geometry, *, series: str = "1.2.826.0.1.3", **tags) -> np.ndarray:
    """Write grey values 0, 1, 2, ... as a CT series; the slices are those of array axis 0."""
    array = (np.arange(np.prod(geometry.shape)) % 1000).reshape(geometry.shape).astype(np.int16)
    direction = np.array(geometry.direction)[::-1]  # LPS; columns are array axes z, y, x
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(array):
        data = _object(CTImageStorage, "CT", series)
        data.PatientName, data.PatientID = "Mustermann^Max", "4711"
        data.FrameOfReferenceUID, data.InstanceNumber = FRAME, number + 1
        data.Rows, data.Columns = picture.shape
        data.PixelSpacing = [float(v) for v in geometry.spacing[1:]]
        data.SliceThickness = float(geometry.spacing[0])
        data.ImageOrientationPatient = [round(float(v), 12) for v in (*direction[:, 2], *direction[:, 1])]
        corner = geometry.index_to_world([(number, 0, 0)])[0][::-1]
        data.ImagePositionPatient = [round(float(v), 9) for v in corner]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 1
        data.RescaleIntercept, data.RescaleSlope = -1024, 1
        data.PixelData = picture.tobytes()
        for keyword, content in tags.items():
            if content is None:
                delattr(data, keyword)
            else:
                setattr(data, keyword, content)
        data.save_as(folder / f"{number:03d}.dcm", enforce_file_format=True)
    return array


def write_structures(
    path: Path,
    regions: dict[str, list[np.ndarray]],
    *,
    kind="CLOSED_PLANAR",
    only_named: tuple[str, ...] = (),
) -> None:
    """Write outlines (n, 3), world millimetres (S, P, L), by region name, and regions that only have a name."""
    data = _object(RTStructureSetStorage, "RTSTRUCT", "1.2.826.0.1.9")
    data.StructureSetROISequence, data.ROIContourSequence = [], []
    for number, (name, outlines) in enumerate(regions.items(), start=1):
        roi, contours = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = number, name
        contours.ReferencedROINumber, contours.ROIDisplayColor = number, [255, 10 * number, 0]
        contours.ContourSequence = []
        for outline in outlines:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(outline)
            contour.ContourData = [f"{v:.6f}"[:16] for v in np.asarray(outline)[:, ::-1].ravel()]
            contours.ContourSequence.append(contour)
        data.StructureSetROISequence.append(roi)
        data.ROIContourSequence.append(contours)
    for number, name in enumerate(only_named, start=len(regions) + 1):
        roi = Dataset()
        roi.ROINumber, roi.ROIName = number, name
        data.StructureSetROISequence.append(roi)
    data.save_as(path, enforce_file_format=True)


def _object(sop_class: str, modality: str, series: str) -> Dataset:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = sop_class
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.SeriesInstanceUID, data.StudyInstanceUID, data.Modality = series, STUDY, modality
    return data
