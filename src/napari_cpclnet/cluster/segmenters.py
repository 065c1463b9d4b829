"""A segmenter, with or without its support, as bytes, for processes on other machines.

Of a scan its voxels, grid and unit travel, and the name it is shown by: no path, and no note.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from numpy.typing import NDArray

from napari_cpclnet.files.arrays import pack_arrays, unpack_arrays
from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.model import CPCLNet, CPCLNetSettings
from napari_cpclnet.segmentation.segmenter import Segmenter
from napari_cpclnet.segmentation.settings import SegmentationSettings
from napari_cpclnet.segmentation.support import SupportSet

_VOLUME_FACTS = ("modality", "unit", "name", "calibrated")


def volume_facts(volume: Volume) -> dict[str, Any]:
    """What travels of a scan beside its voxels; see :func:`volume_of`."""
    return {"geometry": asdict(volume.geometry), **{fact: getattr(volume, fact) for fact in _VOLUME_FACTS}}


def volume_of(array: NDArray[Any], facts: dict[str, Any]) -> Volume:
    """A scan from its voxels (z, y, x) and the rest."""
    return Volume(array, Geometry(**facts["geometry"]), **{fact: facts[fact] for fact in _VOLUME_FACTS})


def pack_segmenter(
    model: CPCLNet, settings: SegmentationSettings, support: SupportSet | None = None
) -> bytes:
    """Network, settings and support, if there is one, as bytes; weights that were fine-tuned keep every bit."""
    slices = () if support is None else support.slices
    volumes = list(dict.fromkeys(one.volume for one in slices))
    arrays = {f"model.{name}": value.cpu().numpy() for name, value in model.state_dict().items()}
    arrays |= {f"volume.{number}": volume.array for number, volume in enumerate(volumes)}
    arrays |= {f"labels.{number}": one.labels2d for number, one in enumerate(slices)}
    arrays |= {f"known.{number}": one.known for number, one in enumerate(slices) if one.known is not None}
    facts = {
        "architecture": model.settings.model_dump(mode="json"),
        "metadata": model.metadata,
        "settings": settings.model_dump(mode="json", include=set(SegmentationSettings.model_fields)),
        "classes": None if support is None else list(support.classes.items()),
        "volumes": [volume_facts(volume) for volume in volumes],
        "slices": [[volumes.index(one.volume), one.index, one.plane] for one in slices],
    }
    return pack_arrays(arrays, facts)


def workers_wanted(n_items: int, device: str) -> int:
    """Workers to start on this machine at the most: one for each item, or for each GPU where those are used."""
    gpus = 0 if device == "cpu" else torch.cuda.device_count()
    return min(n_items, gpus or n_items)


def unpack_segmenter(data: bytes, gpu: int = 0) -> Segmenter:
    """The segmenter again; its support, if it had one, is set.

    Parameters
    ----------
    data : bytes
        Of :func:`pack_segmenter`.
    gpu : int
        Where the settings leave the device open and this process sees several GPUs: which one, counted round.

    Raises
    ------
    CpclnetError
        If the device does not exist here.
    """
    arrays, facts = unpack_arrays(data)
    model = CPCLNet(CPCLNetSettings.model_validate(facts["architecture"]))
    prefix = "model."
    model.load_state_dict(
        {
            name[len(prefix) :]: torch.from_numpy(a.copy())
            for name, a in arrays.items()
            if name.startswith(prefix)
        }
    )
    model.metadata = facts["metadata"]
    settings = SegmentationSettings.model_validate(facts["settings"])
    count = torch.cuda.device_count()
    if settings.device == "auto" and count > 1:
        settings = settings.model_copy(update={"device": f"cuda:{gpu % count}"})
    segmenter = Segmenter(model, settings)
    if facts["classes"] is not None:
        segmenter.set_support(_support(arrays, facts))
    return segmenter


def _support(arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> SupportSet:
    volumes = [volume_of(arrays[f"volume.{number}"], one) for number, one in enumerate(facts["volumes"])]
    support = SupportSet({int(value): name for value, name in facts["classes"]})
    for number, (volume, index, plane) in enumerate(facts["slices"]):
        labels, known = arrays[f"labels.{number}"], arrays.get(f"known.{number}")
        support.add_slice(volumes[volume], index, labels, plane=plane, known=known)
    return support
