"""Everything about DICOM: series, frames, geometry, values, segmentations and structure sets."""
