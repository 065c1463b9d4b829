"""Which pages the site has, in which order. Add a page of yours where its reader will look for it."""

from __future__ import annotations

NAVIGATION: dict[str, tuple[str, ...]] = {
    "Begin": (
        "docs/quickstart",
        "docs/guide/annotating",
        "docs/tutorial",
        "docs/structures",
        "docs/limits",
        "docs/faq",
        "docs/comparison",
    ),
    "Guide": (
        "docs/guide/README",
        "docs/guide/mending",
        "docs/guide/looking",
        "docs/guide/command-line",
        "docs/guide/files",
        "docs/guide/dicom-and-pet",
        "docs/cohorts",
        "docs/guide/training",
        "docs/guide/evaluation",
        "docs/project",
        "docs/odd_inputs",
    ),
    "Method": (
        "docs/method",
        "src/napari_cpclnet/weights/README",
        "docs/benchmarks",
    ),
    "Reference": (
        "docs/reference/commands",
        "docs/reference/settings",
        "docs/reference/python",
    ),
    "The project": (
        "docs/architecture",
        "docs/extending",
        "CONTRIBUTING",
        "CHANGELOG",
        "docs/licences",
    ),
}
