"""Pseudo-labels made by the workers of a cluster; the command alone writes what they answer."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from napari_cpclnet.cluster.client import Job, open_cluster
from napari_cpclnet.errors import CpclnetError, ImageError
from napari_cpclnet.files.arrays import pack_arrays, unpack_arrays
from napari_cpclnet.imaging import Geometry, read_volume
from napari_cpclnet.preprocessing import PseudoLabelSettings, RegionMap
from napari_cpclnet.preprocessing.pseudo_labels.files import is_drawn, write_labels
from napari_cpclnet.preprocessing.pseudo_labels.run import FileResults, FileTask, volume_labels

# Regions are runs of one number: the quickest is as good as the best.
_COMPRESSION = 1


def make_by_workers(scheduler: str, tasks: Sequence[FileTask], settings: PseudoLabelSettings) -> FileResults:
    """Make files of pseudo-labels, in the order in which they are ready.

    Parameters
    ----------
    scheduler : str
        As :func:`~napari_cpclnet.cluster.open_cluster` takes it.
    tasks : sequence of FileTask
    settings : PseudoLabelSettings

    Raises
    ------
    ClusterError
        If there are no workers, or the scheduler is gone.
    """
    if not tasks:
        return
    job = Job(settings.model_dump_json().encode(), _settings, _answer)
    with (
        open_cluster(scheduler, most=len(tasks)) as cluster,
        closing(cluster.answers(job, [_pack(task) for task in tasks])) as answers,
    ):
        for answer in answers:
            task = tasks[answer.number]
            if answer.problem:
                yield task, None, f"{task.scan.path}: {answer.problem.removeprefix(f'{task.scan.path}: ')}"
                continue
            try:
                yield task, _write(task, answer.content), ""
            except CpclnetError as error:
                yield task, None, str(error)


def _pack(task: FileTask) -> bytes:
    kind: Any = list(task.kind) if isinstance(task.kind, RegionMap) else task.kind
    return json.dumps([str(task.scan.path.resolve()), task.scan.series, kind]).encode()


def _settings(common: bytes, _number: int) -> PseudoLabelSettings:
    return PseudoLabelSettings.model_validate_json(common)


def _answer(settings: PseudoLabelSettings, item: bytes) -> bytes:
    """In a worker: the pseudo-labels of one kind of a scan that lies at the same place here."""
    path, series, kind = json.loads(item)
    if not Path(path).exists():
        raise ImageError(f"{path}: a worker cannot find it; all machines need the scans at the same place.")
    volume = read_volume(Path(path), series=series)
    labels = volume_labels(volume, kind if isinstance(kind, str) else RegionMap(*kind), settings)
    facts = {"geometry": asdict(volume.geometry), "drawn": is_drawn(volume)}
    return zlib.compress(pack_arrays({"labels": labels}, facts), _COMPRESSION)


def _write(task: FileTask, content: bytes) -> Path:
    arrays, facts = unpack_arrays(zlib.decompress(content))
    geometry = Geometry(**facts["geometry"])
    return write_labels(arrays["labels"], geometry, task.base, task.kind, drawn=facts["drawn"])
