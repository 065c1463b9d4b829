"""All other file formats: NIfTI, NRRD, MetaImage, pictures, and how much a file may ask for."""
