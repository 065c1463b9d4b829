"""Summary and report, written when all tasks are done."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from napari_cpclnet._version import __version__
from napari_cpclnet.evaluation.folder import REPORT, SUMMARY, read_folder
from napari_cpclnet.evaluation.results import write_text
from napari_cpclnet.evaluation.settings import EvaluationSettings
from napari_cpclnet.evaluation.summary import summarise
from napari_cpclnet.imaging.cases import Case
from napari_cpclnet.threads import usable_cores

_PACKAGES = ("napari-cpclnet", "torch", "monai", "SimpleITK", "numpy", "scipy")


def run_metadata(
    cases: Sequence[Case], settings: EvaluationSettings, device: torch.device | str, weights: Sequence[str]
) -> dict[str, Any]:
    """What a reader of the numbers must know: JSON values, nothing that names a path."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "weights": ", ".join(dict.fromkeys(weights)),
        "device": _device_name(device),
        "threads": torch.get_num_threads(),
        "cores": usable_cores(),
        "cases": len(cases),
        "patients": len({case.patient for case in cases}),
        "settings": settings.model_dump(mode="json"),
        "versions": {"python": platform.python_version(), **_versions()},
    }


def write_outputs(out: Path, metadata: dict[str, Any]) -> Path:
    """Write ``summary.json`` and ``report.html`` from the results in a folder.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    CpclnetError
        If the results cannot be read or the files not be written.
    """
    from napari_cpclnet.evaluation.report.page import write_report  # matplotlib takes a second to import

    results, pictures = read_folder(out)
    summary = summarise(results, seed=int(metadata["settings"]["seed"]))
    write_text(out / SUMMARY, json.dumps({"facts": metadata, **summary}, indent=1, allow_nan=False) + "\n")
    return write_report(results, summary, out / REPORT, pictures, metadata)


def _device_name(device: torch.device | str) -> str:
    if isinstance(device, torch.device) and device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # the package itself, where it runs from its sources
            found[name] = __version__
    return found
