"""Paint a few slices of one scan, and get 3-D labels in every other scan, whatever its modality.

>>> import napari_cpclnet as cpclnet
>>> support = cpclnet.SupportSet()                                     # doctest: +SKIP
>>> support.add(cpclnet.read_volume("ct.nii.gz"), painted_labels)      # doctest: +SKIP
>>> segmenter = cpclnet.Segmenter(cpclnet.load_weights())              # doctest: +SKIP
>>> segmenter.set_support(support)                                     # doctest: +SKIP
>>> for slice_result in segmenter.predict(cpclnet.read_volume("mr.nii.gz")): ...   # doctest: +SKIP
>>> cpclnet.write_segmentation(segmenter.result(), "labels.nii.gz")    # doctest: +SKIP

The names below are imported when they are first used: napari imports this module to find the manifest, and must
not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from napari_cpclnet._version import __version__
from napari_cpclnet.threads import sleep_while_waiting

sleep_while_waiting()  # has to come before torch is loaded, and everything of ours comes after this

_ROOM_OF = {
    "CPCLNet": "model",
    "CpclnetError": "errors",
    "Field": "registration",
    "Geometry": "imaging",
    "PostprocessingSettings": "segmentation",
    "PreprocessingSettings": "preprocessing",
    "PropagationSettings": "propagation",
    "RegistrationSettings": "registration",
    "Segmentation": "imaging",
    "SegmentationSettings": "segmentation",
    "Segmenter": "segmentation",
    "SliceResult": "segmentation",
    "SupportSet": "segmentation",
    "Volume": "imaging",
    "fill": "propagation",
    "find_scans": "imaging",
    "load_weights": "model",
    "read_segmentation": "imaging",
    "read_volume": "imaging",
    "register": "registration",
    "write_segmentation": "imaging",
    "write_volume": "imaging",
}

__all__ = [
    "CPCLNet",
    "CpclnetError",
    "Field",
    "Geometry",
    "PostprocessingSettings",
    "PreprocessingSettings",
    "PropagationSettings",
    "RegistrationSettings",
    "Segmentation",
    "SegmentationSettings",
    "Segmenter",
    "SliceResult",
    "SupportSet",
    "Volume",
    "__version__",
    "fill",
    "find_scans",
    "load_weights",
    "read_segmentation",
    "read_volume",
    "register",
    "write_segmentation",
    "write_volume",
]

if TYPE_CHECKING:
    from napari_cpclnet.errors import CpclnetError
    from napari_cpclnet.imaging import (
        Geometry,
        Segmentation,
        Volume,
        find_scans,
        read_segmentation,
        read_volume,
        write_segmentation,
        write_volume,
    )
    from napari_cpclnet.model import CPCLNet, load_weights
    from napari_cpclnet.preprocessing import PreprocessingSettings
    from napari_cpclnet.propagation import PropagationSettings, fill
    from napari_cpclnet.registration import Field, RegistrationSettings, register
    from napari_cpclnet.segmentation import (
        PostprocessingSettings,
        SegmentationSettings,
        Segmenter,
        SliceResult,
        SupportSet,
    )


def __getattr__(name: str) -> object:
    if name in _ROOM_OF:
        return getattr(import_module(f"{__name__}.{_ROOM_OF[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
