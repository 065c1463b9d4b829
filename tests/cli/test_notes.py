"""What is said of how classes were found: a line for each way, not one for each class."""

from __future__ import annotations

from napari_cpclnet.cli.notes import finding_notes
from napari_cpclnet.segmentation import ClassSummary, Summary


def one(value: int, name: str, **more: object) -> ClassSummary:
    return ClassSummary(value=value, name=name, ml=1.0, confidence=0.9, **{"seems_absent": False, **more})  # type: ignore[arg-type]


def test_classes_that_were_found_alike_share_a_line() -> None:
    classes = (
        one(1, "liver", means="both"),
        one(2, "nail", means="alignment", goes_on=True),
        one(3, "spleen", means="both"),
        one(4, "cyst", means="network", seems_absent=True),
    )
    assert list(finding_notes(Summary(classes=classes, uncertain=()))) == [
        "Found by the network and alignment with the support: liver, spleen.",
        "Found by alignment with the support: nail.",
        "Probably not found (paint a slice of this scan, or look whether it is absent): cyst.",
        "Taken to end at the outermost painted slices (paint to the ends if it goes on): nail.",
    ]


def test_of_a_scan_that_was_not_aligned_nothing_is_said() -> None:
    assert list(finding_notes(Summary(classes=(one(1, "liver"),), uncertain=()))) == []
