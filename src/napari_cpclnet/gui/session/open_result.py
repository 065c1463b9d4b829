"""Open a scan that was labelled from its file, with the saved result on it. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cpclnet.gui.layers.corrections import result_note
from napari_cpclnet.gui.layers.label_snapshot import LabelSnapshot
from napari_cpclnet.gui.layers.scan_layers import KEY, LayerData, segmentation_to_layer, volume_to_layer
from napari_cpclnet.gui.layers.view import show_scan
from napari_cpclnet.gui.session.result_layers import SUFFIX
from napari_cpclnet.imaging import read_segmentation

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Image

    from napari_cpclnet.gui.layers.scan_layers import FileScan
    from napari_cpclnet.gui.session.session import Session


def read_result(scan: FileScan, saved: Path | None) -> tuple[LayerData, LayerData | None]:
    """Layers of a scan and of its result, if that is (still) there: slow, to be called in a worker."""
    volume = scan.volume()
    image = volume_to_layer(volume.replaced(name=scan.name))
    if saved is None or not saved.exists():
        return image, None
    found = read_segmentation(saved, like=volume)
    data, kwargs, kind = segmentation_to_layer(found.replaced(name=f"{scan.name}{SUFFIX}"))
    kwargs["metadata"] = {KEY: {**kwargs["metadata"][KEY], **result_note(LabelSnapshot.of(data))}}
    return image, (data, {**kwargs, "opacity": 0.6}, kind)


def add_opened(session: Session, image: LayerData, result: LayerData | None) -> Image:
    """Add what was read to the viewer and show it alone; the scan is not labelled a second time by itself."""
    data, kwargs, _ = image
    with session.arranged():
        layer = session.viewer.add_image(data, **kwargs)
    session.tick_query(layer, False)
    if result is not None:
        data, kwargs, _ = result
        session.viewer.add_labels(data, **kwargs)
        session.class_actions.publish()
    show_scan(session.viewer, layer)
    return layer
