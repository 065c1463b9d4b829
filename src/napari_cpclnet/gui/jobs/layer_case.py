"""Open layers as cases of an evaluation. Imports torch: only for the worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_cpclnet.errors import SettingsError
from napari_cpclnet.gui.jobs.scan_reading import read_scan
from napari_cpclnet.gui.layers.label_snapshot import checksum
from napari_cpclnet.gui.layers.painted_slices import label_values
from napari_cpclnet.imaging import Segmentation
from napari_cpclnet.imaging.cases import OpenCase

if TYPE_CHECKING:
    from napari_cpclnet.gui.jobs.layer_pair import LayerPair


@dataclass(frozen=True, kw_only=True)
class LayerCase(OpenCase):
    """A case whose scan and labels are open in the viewer."""

    pair: LayerPair


def layer_case(pair: LayerPair, stop: Callable[[], bool]) -> LayerCase:
    """Case of a scan and its truth.

    Raises
    ------
    RunStopped
        If ``stop`` says so while the scan is read.
    CpclnetError
        If the truth is empty, has negative values or two classes of one name, or the scan cannot be used.
    """
    truth, where = pair.truth, f"'{pair.truth_name}'"
    values = [value for value in label_values(truth) if value]
    if not values:
        raise SettingsError(f"{where} is empty: choose labels that show the truth of '{pair.scan.name}'.")
    if values[0] < 0:
        raise SettingsError(f"{where} has negative label values ({values[0]}): use positive ones.")
    classes = {value: pair.names.get(value, f"label {value}") for value in values}
    if len(set(classes.values())) < len(classes):
        raise SettingsError(f"{where} has two classes of the same name: rename one of them.")
    volume = read_scan(pair.scan, stop)
    labels = truth.astype(np.min_scalar_type(values[-1]), copy=False)
    return LayerCase(
        patient=pair.patient,
        modality=volume.modality,
        # Says in the run folder whether the same voxels are evaluated again.
        image=Path(f"{pair.scan.name} {checksum(volume.array):08x}"),
        label=Path(f"{pair.truth_name} of {pair.scan.name} {checksum(labels):08x}"),
        classes=classes,
        pair=pair,
        volume=volume,
        segmentation=Segmentation(labels, classes, volume.geometry, pair.truth_name),
    )
