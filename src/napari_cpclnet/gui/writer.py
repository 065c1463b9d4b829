"""Save layers as NIfTI, NRRD or MetaImage on their true geometry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_cpclnet.gui.layers import LayerScan, segmentation_of


def write_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write one labels layer (napari writer); the file lies where the scan lies, oblique or flipped."""
    from napari.layers import Labels

    from napari_cpclnet.imaging import write_segmentation

    write_segmentation(segmentation_of(Labels(data, **_placed(attributes))), Path(path))
    return [path]


def write_image(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write one image layer (napari writer) with its grey values as they are."""
    from napari.layers import Image

    from napari_cpclnet.imaging import write_volume

    image = Image(data, rgb=attributes.get("rgb", False), **_placed(attributes))
    write_volume(LayerScan.of(image).volume(), Path(path))
    return [path]


def _placed(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes that say what the layer is and where it stands; the rest is only looks."""
    keys = ("name", "metadata", "scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
    return {key: attributes[key] for key in keys if key in attributes}
