"""Projects of older versions, brought to the newest form step by step.

Version 0 was a draft that knew one support. Its ``project.json``::

    {
      "version": 0,
      "classes": {"6": "liver"},
      "support": {"scan": "../ct.nii.gz", "mask": "support.seg.nrrd", "slices": [12, 20], "plane": "axial"},
      "queries": ["../mr.nii.gz", "../more"],
      "options": {"plane": "axial", "adapt": 20, "weights": "../my.safetensors"}
    }

Paths are relative to its folder. It kept neither hashes nor grids: they are taken from the files as they are now,
so that a scan cannot be found in another place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from napari_cpclnet.errors import ProjectError
from napari_cpclnet.files.bounded import shown
from napari_cpclnet.imaging import read_volume
from napari_cpclnet.project.fingerprints import fingerprint
from napari_cpclnet.project.schema import FORMAT, SCHEMA_VERSION

Content = dict[str, Any]


def migrated(content: Content, folder: Path) -> Content:
    """Content of a ``project.json`` of any version in the form of the newest.

    Raises
    ------
    ProjectError
        If it is no project, of a newer version, or lacks what its version has.
    CpclnetError
        If a file that an old version only named cannot be read.
    """
    file = folder / "project.json"
    version = content.get("schema_version", content.get("version"))
    if not isinstance(version, int) or isinstance(version, bool) or version < 0:
        raise ProjectError(f"{file}: is no project of this program: it names no version.")
    if version > SCHEMA_VERSION:
        raise ProjectError(
            f"{file}: is of version {version}, this program knows {SCHEMA_VERSION} at most: update it."
        )
    for step in range(version, SCHEMA_VERSION):
        try:
            content = _STEPS[step](content, folder)
        except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
            raise ProjectError(f"{file}: is damaged: {shown(error)} is missing or wrong.") from error
    return content


def _from_0(old: Mapping[str, Any], folder: Path) -> Content:
    support, options = old["support"], old.get("options", {})
    scans = [_scan("scan-1", support["scan"], folder)]
    queries: list[Content] = []
    for path in old.get("queries", ()):
        if path == support["scan"]:
            queries.append({"scan": "scan-1"})
        elif (folder / path).is_dir():
            queries.append({"path": path})
        else:
            scans.append(_scan(f"scan-{len(scans) + 1}", path, folder))
            queries.append({"scan": scans[-1]["id"]})
    plane = support.get("plane", options.get("plane", "axial"))
    return {
        "format": FORMAT,
        "schema_version": 1,
        "scans": scans,
        "classes": [
            {"value": int(value), "name": str(name)} for value, name in old.get("classes", {}).items()
        ],
        "supports": [
            {"scan": "scan-1", "mask": support["mask"], "plane": plane, "slices": support.get("slices")}
        ],
        "queries": queries,
        "settings": {"plane": options.get("plane", plane), "adapt": int(options.get("adapt", 0))},
        "weights": {"path": options.get("weights")},
    }


def _scan(scan_id: str, path: str, folder: Path) -> Content:
    from dataclasses import asdict

    volume = read_volume(folder / path)
    known = fingerprint(folder / path)
    return {
        "id": scan_id,
        "name": volume.name,
        "path": path,
        "sha256": known.sha256,
        "size": known.size,
        "geometry": asdict(volume.geometry),
        "modality": volume.modality,
        "unit": volume.unit,
        "calibrated": volume.calibrated,
    }


_STEPS: dict[int, Callable[[Content, Path], Content]] = {0: _from_0}
