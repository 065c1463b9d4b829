"""What a project keeps of a result."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from napari_cpclnet.project import Project, QueryEntry, SummaryEntry
from napari_cpclnet.project.schema import MOST_UNCERTAIN
from napari_cpclnet.segmentation import ClassSummary, Summary, UncertainSlice

SUMMARY = Summary(
    (ClassSummary(6, "liver", 12.5, 0.75, False), ClassSummary(1, "spleen", 0.0, 0.0, True)),
    tuple(UncertainSlice(index, 6, 0.5) for index in range(1000)),
)


def test_a_summary_is_kept_with_its_worst_slices():
    kept = SummaryEntry.of(SUMMARY, 1, 0.02)
    for one, entry in zip(SUMMARY.classes, kept.classes, strict=True):
        assert (entry.value, entry.ml, entry.confidence, entry.seems_absent) == (
            one.value,
            one.ml,
            one.confidence,
            one.seems_absent,
        )
    assert [one.index for one in kept.uncertain] == list(range(MOST_UNCERTAIN))
    project = Project(queries=(QueryEntry(path="x", summary=kept),))
    assert Project.model_validate_json(project.model_dump_json()) == project


def test_volumes_with_corrections_go_before_those_of_the_run():
    kept = SummaryEntry.of(SUMMARY, 0, 0.02, {6: 13.0, 1: -1e-9})
    assert [one.ml for one in kept.classes] == [13.0, 0.0]
    assert [one.ml for one in kept.measured({6: 100, 1: 3}).classes] == pytest.approx([2.0, 0.06])


@pytest.mark.parametrize("wrong", [{"confidence": 1.5}, {"ml": -1.0}, {"ml": float("inf")}, {"value": 0}])
def test_numbers_that_cannot_be_are_refused(wrong):
    content = {"value": 6, "ml": 1.0, "confidence": 0.5} | wrong
    with pytest.raises(ValidationError):
        SummaryEntry.model_validate({"classes": [content]})
