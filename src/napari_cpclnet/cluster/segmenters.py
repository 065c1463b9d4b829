"""A segmenter with its support as bytes, for processes on other machines.

Of a scan its voxels, grid and unit travel, and the name it is shown by: no path, and no note.
"""

from __future__ import annotations

from dataclasses import asdict

import torch

from napari_cpclnet.files.arrays import pack_arrays, unpack_arrays
from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.model import CPCLNet, CPCLNetSettings
from napari_cpclnet.segmentation.segmenter import Segmenter
from napari_cpclnet.segmentation.settings import SegmentationSettings
from napari_cpclnet.segmentation.support import SupportSet

_VOLUME_FACTS = ("modality", "unit", "name", "calibrated")


def pack_segmenter(model: CPCLNet, settings: SegmentationSettings, support: SupportSet) -> bytes:
    """Network, settings and support as bytes; weights that were fine-tuned keep every bit."""
    slices = support.slices
    volumes = list(dict.fromkeys(one.volume for one in slices))
    arrays = {f"model.{name}": value.cpu().numpy() for name, value in model.state_dict().items()}
    arrays |= {f"volume.{number}": volume.array for number, volume in enumerate(volumes)}
    arrays |= {f"labels.{number}": one.labels2d for number, one in enumerate(slices)}
    arrays |= {f"known.{number}": one.known for number, one in enumerate(slices) if one.known is not None}
    facts = {
        "architecture": model.settings.model_dump(mode="json"),
        "metadata": model.metadata,
        "settings": settings.model_dump(mode="json", include=set(SegmentationSettings.model_fields)),
        "classes": list(support.classes.items()),
        "volumes": [
            {"geometry": asdict(volume.geometry), **{fact: getattr(volume, fact) for fact in _VOLUME_FACTS}}
            for volume in volumes
        ],
        "slices": [[volumes.index(one.volume), one.index, one.plane] for one in slices],
    }
    return pack_arrays(arrays, facts)


def gpus_here() -> int | None:
    """GPUs of this machine, which workers started here share one each; None without any."""
    return torch.cuda.device_count() or None


def unpack_segmenter(data: bytes, gpu: int = 0) -> Segmenter:
    """The segmenter again, its support set.

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
    volumes = [
        Volume(
            arrays[f"volume.{number}"],
            Geometry(**one["geometry"]),
            **{fact: one[fact] for fact in _VOLUME_FACTS},
        )
        for number, one in enumerate(facts["volumes"])
    ]
    support = SupportSet({int(value): name for value, name in facts["classes"]})
    for number, (volume, index, plane) in enumerate(facts["slices"]):
        labels, known = arrays[f"labels.{number}"], arrays.get(f"known.{number}")
        support.add_slice(volumes[volume], index, labels, plane=plane, known=known)
    settings = SegmentationSettings.model_validate(facts["settings"])
    count = torch.cuda.device_count()
    if settings.device == "auto" and count > 1:
        settings = settings.model_copy(update={"device": f"cuda:{gpu % count}"})
    segmenter = Segmenter(model, settings)
    segmenter.set_support(support)
    return segmenter
