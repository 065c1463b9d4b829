"""Save layers as medical image files on their true geometry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cpclnet.errors import OutputError
from napari_cpclnet.gui.layers.scan_layers import LayerScan, geometry_of, note, segmentation_of
from napari_cpclnet.imaging import ScanRef, dicom, output_suffix, write_segmentation, write_volume

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Geometry, ScanRef


def write_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write one labels layer (napari writer); the file lies where the scan lies, oblique or flipped.

    A DICOM segmentation (``.dcm``) refers to the open scan of a DICOM series on whose voxels the labels lie.
    """
    from napari.layers import Labels

    looks = {"colormap": attributes["colormap"]} if "colormap" in attributes else {}
    segmentation = segmentation_of(Labels(data, **_placed(attributes), **looks))
    source = open_series(segmentation.geometry) if output_suffix(Path(path)) == ".dcm" else None
    return [str(write_segmentation(segmentation, Path(path), source=source))]


def write_image(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write one image layer (napari writer) with its grey values as they are."""
    from napari.layers import Image

    image = Image(data, rgb=attributes.get("rgb", False), **_placed(attributes))
    return [str(write_volume(LayerScan.of(image).volume(), Path(path)))]


def open_series(geometry: Geometry) -> ScanRef:
    """DICOM series of an image layer of the current viewer that has these voxels.

    Raises
    ------
    OutputError
        If none was opened from DICOM.
    """
    from napari import current_viewer
    from napari.layers import Image

    viewer = current_viewer()
    for layer in [] if viewer is None else viewer.layers:
        source = note(layer).get("source") if isinstance(layer, Image) else None
        if source is not None and geometry_of(layer).isclose(geometry) and dicom.is_dicom_path(Path(source)):
            return ScanRef(Path(source), note(layer).get("series"), layer.name)
    msg = (
        "A DICOM segmentation refers to a DICOM series: open the series these labels were painted on, or save them as "
        ".seg.nrrd or .nii.gz."
    )
    raise OutputError(msg)


def _placed(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes that say what the layer is and where it stands; the rest is only looks."""
    keys = ("name", "metadata", "scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
    return {key: attributes[key] for key in keys if key in attributes}
