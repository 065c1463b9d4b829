"""Tasks of an evaluation measured by the workers of a cluster. The command alone writes what they answer."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.cluster import Cluster, Job, pack_segmenter, unpack_segmenter, volume_facts, volume_of
from napari_cpclnet.errors import ClusterError
from napari_cpclnet.evaluation.measuring import Bench, TaskOutcome, make_bench, measure_task
from napari_cpclnet.evaluation.protocols import Task
from napari_cpclnet.evaluation.results import CaseResult
from napari_cpclnet.evaluation.settings import EvaluationSettings
from napari_cpclnet.files.arrays import pack_arrays, unpack_arrays
from napari_cpclnet.imaging import Segmentation
from napari_cpclnet.imaging.cases import Case, OpenCase
from napari_cpclnet.segmentation import Segmenter

# Masks are long runs of one number: the quickest is as good as the best.
_COMPRESSION = 1
_TASK_FACTS = ("key", "protocol", "support_index", "slices", "shots", "classes", "plane")


@dataclass(frozen=True, eq=False)
class _Shared:
    """What a worker has at hand for every task."""

    bench: Bench
    cases: tuple[Case, ...]


def measure_by_workers(
    cluster: Cluster,
    segmenter: Segmenter,
    weights: str,
    settings: EvaluationSettings,
    tasks: Sequence[Task],
    check: Callable[[], object] = bool,
) -> Generator[tuple[Task, TaskOutcome]]:
    """Measure tasks by the workers of a cluster, in the order in which they are ready.

    Parameters
    ----------
    cluster : Cluster
    segmenter : Segmenter
        Its network and settings go to each worker once, with the voxels of open scans; device and precision are those
        of the settings.
    weights : str
        Hash of the weights file.
    settings : EvaluationSettings
    tasks : sequence of Task
    check : callable
        Called now and then; what it raises ends the work.

    Yields
    ------
    Task, TaskOutcome
        Each task once.

    Raises
    ------
    ClusterError
        If there are no workers, the scheduler is gone, or, when all others are done, tasks could not be measured.
    """
    cases = list({id(case): case for task in tasks for case in (task.support, task.query)}.values())
    places = {id(case): number for number, case in enumerate(cases)}
    items = [
        json.dumps(
            {
                "support": places[id(task.support)],
                "query": places[id(task.query)],
                **{name: getattr(task, name) for name in _TASK_FACTS},
            }
        ).encode()
        for task in tasks
    ]
    job = Job(_pack_shared(segmenter, weights, settings, cases), _unpack_shared, _answer)
    problems = []
    with closing(cluster.answers(job, items, check)) as answers:
        for answer in answers:
            task = tasks[answer.number]
            if answer.problem:
                problems.append(f"{task.query.patient}, {task.organ}: {answer.problem}")
            else:
                yield task, _unpack_outcome(answer.content)
    if problems:
        raise ClusterError(
            f"{len(problems)} of {len(tasks)} tasks could not be measured; what is finished is kept for --resume. "
            f"The first: {problems[0]}"
        )


def _pack_shared(
    segmenter: Segmenter, weights: str, settings: EvaluationSettings, cases: Sequence[Case]
) -> bytes:
    asked = {"device": settings.device, "precision": settings.precision}
    packed = pack_segmenter(segmenter.model, segmenter.settings.model_copy(update=asked))
    arrays: dict[str, NDArray[Any]] = {"segmenter": np.frombuffer(packed, np.uint8)}
    listed = []
    for number, case in enumerate(cases):
        facts: dict[str, Any] = {
            "patient": case.patient,
            "modality": case.modality,
            "classes": list(case.classes.items()),
            "image": str(case.image),
            "label": str(case.label),
            "volume": None,
        }
        if isinstance(case, OpenCase):
            facts["volume"] = volume_facts(case.volume)
            arrays |= {f"image.{number}": case.volume.array, f"label.{number}": case.segmentation.labels}
        else:
            facts |= {"image": str(case.image.resolve()), "label": str(case.label.resolve())}
        listed.append(facts)
    return pack_arrays(
        arrays, {"weights": weights, "settings": settings.model_dump(mode="json"), "cases": listed}
    )


def _unpack_shared(data: bytes, number: int) -> _Shared:
    arrays, facts = unpack_arrays(data)
    segmenter = unpack_segmenter(arrays["segmenter"].tobytes(), number)
    settings = EvaluationSettings.model_validate(facts["settings"])
    cases = (_case(arrays, place, one) for place, one in enumerate(facts["cases"]))
    return _Shared(make_bench(settings, segmenter, facts["weights"]), tuple(cases))


def _case(arrays: dict[str, NDArray[Any]], place: int, facts: dict[str, Any]) -> Case:
    given: dict[str, Any] = {
        "patient": facts["patient"],
        "modality": facts["modality"],
        "image": Path(facts["image"]),
        "label": Path(facts["label"]),
        "classes": {int(value): name for value, name in facts["classes"]},
    }
    if facts["volume"] is None:
        return Case(**given)
    volume = volume_of(arrays[f"image.{place}"], facts["volume"])
    truth = Segmentation(arrays[f"label.{place}"], given["classes"], volume.geometry, facts["label"])
    return OpenCase(**given, volume=volume, segmentation=truth)


def _answer(shared: _Shared, item: bytes) -> bytes:
    """In a worker: measure a task."""
    facts = json.loads(item)
    support, query = (shared.cases[facts[role]] for role in ("support", "query"))
    told = {name: facts[name] for name in _TASK_FACTS}
    lists = {name: tuple(facts[name]) for name in ("slices", "classes")}
    outcome = measure_task(Task(**{**told, **lists}, support=support, query=query), shared.bench)
    masks = {str(number): np.packbits(mask) for number, mask in enumerate(outcome.masks)}
    shape = outcome.masks[0].shape if outcome.masks else ()
    rows = [asdict(row) for row in outcome.rows]
    return zlib.compress(pack_arrays(masks, {"rows": rows, "shape": shape}), _COMPRESSION)


def _unpack_outcome(content: bytes) -> TaskOutcome:
    arrays, facts = unpack_arrays(zlib.decompress(content))
    shape = tuple(facts["shape"])
    count = int(np.prod(shape))
    masks = (np.unpackbits(arrays[str(n)], count=count).reshape(shape) for n in range(len(arrays)))
    return TaskOutcome(
        tuple(CaseResult(**row) for row in facts["rows"]), tuple(mask.view(bool) for mask in masks)
    )
