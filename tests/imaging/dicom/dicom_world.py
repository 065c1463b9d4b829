"""DICOM slices of a made-up patient whose grey value is a linear function of the place, as an oracle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SLOPE = 1 / 32  # of the stored values: rounding is a 64th


def grey(world: np.ndarray) -> np.ndarray:
    """Grey value at world positions (..., 3) in DICOM's order (L, P, S)."""
    return np.asarray(world) @ np.array([0.5, -0.25, 2.0]) + 10.0


def base(
    series: str = "1.2.3", sop_class: str = CTImageStorage, syntax: str = ExplicitVRLittleEndian
) -> Dataset:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = sop_class
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.SeriesInstanceUID, data.StudyInstanceUID, data.Modality = series, "1.2", "CT"
    data.PatientName, data.PatientID = "Secret^Name", "4711"
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 1
    return data


def stored(position, orientation=UPRIGHT, size=(12, 14), pixel=(2.0, 1.5), slope=SLOPE) -> np.ndarray:
    """Stored values of a slice at a place."""
    cosines = np.array(orientation, float)
    rows, columns = np.indices(size)
    world = np.array(position, float) + rows[..., None] * pixel[0] * cosines[3:]
    world = world + columns[..., None] * pixel[1] * cosines[:3]
    return np.rint(grey(world) / slope).astype(np.int16)


def write_place(
    path: Path, position, orientation=UPRIGHT, *, size=(12, 14), pixel=(2.0, 1.5), series="1.2.3", **tags
) -> None:
    """Write the slice of the patient at a place."""
    data = base(series)
    data.Rows, data.Columns = size
    data.PixelSpacing = list(pixel)
    data.ImagePositionPatient = [f"{v:.10g}" for v in position]
    data.ImageOrientationPatient = [f"{v:.10g}" for v in orientation]
    data.RescaleSlope, data.RescaleIntercept = SLOPE, 0
    data.PixelData = stored(position, orientation, size, pixel).tobytes()
    for keyword, content in tags.items():
        setattr(data, keyword, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)


def error_of(volume, *, fill: float = -1024.0) -> np.ndarray:
    """Difference between a volume and the patient at its voxels; NaN where nothing was scanned."""
    index = np.argwhere(np.ones(volume.array.shape, bool))
    world = volume.geometry.index_to_world(index)[:, ::-1]
    error = (volume.array.reshape(-1) - grey(world)).reshape(volume.array.shape)
    return np.where(volume.array == fill, np.nan, error)


def assert_in_place(volume) -> None:
    """Voxels have the value of their place, within half a pixel at the edges of slices that were moved."""
    error = np.abs(error_of(volume))
    error = error[np.isfinite(error)]
    assert np.quantile(error, 0.85) < 0.05
    assert error.max() < 1.2


def enhanced(
    places, *, slopes=None, size=(12, 14), pixel=(2.0, 1.5), orientation=UPRIGHT, contents=None
) -> Dataset:
    """Enhanced image of the patient: one frame per place, each with its slope; ``contents`` per frame."""
    data = base("1.2.9", EnhancedCTImageStorage)
    data.Rows, data.Columns = size
    data.NumberOfFrames = len(places)
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(pixel), 3.0
    plane.ImageOrientationPatient = [f"{v:.10g}" for v in orientation]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    data.SharedFunctionalGroupsSequence = [shared]
    data.PerFrameFunctionalGroupsSequence = []
    slopes = slopes or [SLOPE] * len(places)
    for number, (place, slope) in enumerate(zip(places, slopes, strict=True)):
        frame, position, scale, content = Dataset(), Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [f"{v:.10g}" for v in place]
        scale.RescaleSlope, scale.RescaleIntercept, scale.RescaleType = slope, 0, "HU"
        content.InStackPositionNumber = number + 1
        for keyword, value in (contents[number] if contents else {}).items():
            setattr(content, keyword, value)
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [position], [scale]
        frame.FrameContentSequence = [content]
        data.PerFrameFunctionalGroupsSequence.append(frame)
    pictures = [stored(p, orientation, size, pixel, s) for p, s in zip(places, slopes, strict=True)]
    data.PixelData = np.stack(pictures).tobytes()
    return data
