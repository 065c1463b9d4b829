"""File formats besides DICOM: NIfTI, NRRD, MetaImage, pictures, and how much memory a file may ask for."""
