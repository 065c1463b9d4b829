"""Files with four dimensions: their phases as a list to choose from, like the series of a folder."""

from __future__ import annotations

from pathlib import Path

from napari_cpclnet.imaging import dicom
from napari_cpclnet.imaging.formats.raw_image import phases_in, volume_suffix
from napari_cpclnet.imaging.reading import plain_name, read_volume


def list_phases(path: Path) -> dicom.Listing | None:
    """Phases of a NIfTI, NRRD or MetaImage file, whose ids are for `read_volume`; None if it is one scan.

    Raises
    ------
    ImageError
        If the file is damaged.
    """
    if not volume_suffix(path) or not path.is_file():
        return None
    count = phases_in(path)
    if count == 1:
        return None
    first = read_volume(path, series="0")
    return dicom.Listing(
        tuple(
            dicom.SeriesInfo(
                id=str(number),
                modality="" if first.modality == "other" else first.modality,
                description=plain_name(path),
                n_files=1,
                files=(path,),
                part=f"phase {number}",
                n_slices=first.geometry.shape[0],
                shape=first.geometry.shape,
                spacing=first.geometry.spacing,
            )
            for number in range(count)
        )
    )
