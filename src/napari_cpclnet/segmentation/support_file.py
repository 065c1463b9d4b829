"""Support sets on disk: arrays and a JSON description in one safetensors file; nothing is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from napari_cpclnet.errors import CpclnetError, SupportError
from napari_cpclnet.files.atomic import whole_file
from napari_cpclnet.files.bounded import load_json
from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.segmentation.support import SupportSet

FORMAT = "cpclnet-support-1"


def write_support(support: SupportSet, path: Path) -> None:
    """Write a support set with its scans (their file names and folders are not kept)."""
    volumes: list[Volume] = []
    for one in support.slices:
        if not any(one.volume is v for v in volumes):
            volumes.append(one.volume)
    tensors = {f"volume.{i}": _plain(v.array) for i, v in enumerate(volumes)}
    slices = []
    for i, one in enumerate(support.slices):
        tensors[f"labels.{i}"] = _plain(one.labels2d)
        number = next(n for n, v in enumerate(volumes) if v is one.volume)
        slices.append({"volume": number, "index": one.index, "plane": one.plane})
    description = {
        "classes": [[value, name] for value, name in support.classes.items()],
        "volumes": [
            {
                "geometry": asdict(v.geometry),
                "modality": v.modality,
                "unit": v.unit,
                "name": v.name,
                "calibrated": v.calibrated,
            }
            for v in volumes
        ],
        "slices": slices,
        "hash": support.content_hash(),
    }
    with whole_file(path, "the support set") as temporary:
        save_file(tensors, temporary, {"format": FORMAT, "support": json.dumps(description)})


def read_support(path: Path) -> SupportSet:
    """Read a support set; SupportError if the file is missing, damaged, or something else."""
    if not path.is_file():
        raise SupportError(f"There is no support set at '{path}'.")
    try:
        with safe_open(path, framework="np") as file:
            text = file.metadata() or {}
            if text.get("format") != FORMAT:
                raise SupportError(f"'{path.name}' holds no support set.")
            description = load_json(text["support"])
            support = _rebuild(description, {key: file.get_tensor(key) for key in file.keys()})
            written = str(description["hash"])
    except SupportError:
        raise
    except (SafetensorError, CpclnetError, OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise SupportError(f"'{path.name}' is no readable support set: it may be damaged.") from error
    if support.content_hash() != written:
        raise SupportError(
            f"'{path.name}' was changed after it was written: its content hash does not match."
        )
    return support


def _rebuild(description: Mapping[str, Any], tensors: Mapping[str, np.ndarray[Any, Any]]) -> SupportSet:
    volumes = [
        Volume(
            tensors[f"volume.{i}"],
            Geometry(**facts["geometry"]),
            modality=facts["modality"],
            unit=facts["unit"],
            name=facts["name"],
            calibrated=facts["calibrated"],
        )
        for i, facts in enumerate(description["volumes"])
    ]
    support = SupportSet({int(value): str(name) for value, name in description["classes"]})
    for i, facts in enumerate(description["slices"]):
        support.add_slice(
            volumes[facts["volume"]], facts["index"], tensors[f"labels.{i}"], plane=facts["plane"]
        )
    return support


def _plain(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False))
