"""List the licences of everything that `pip install napari-cpclnet[all]` brings, as installed packages say them.

    python .ci/licences.py             # a table in Markdown
    python .ci/licences.py --check     # exit status 1 if one is unknown, or a strong copyleft would reach everybody

Packages that an extra or another system would bring are left out if they are not installed here.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from typing import NamedTuple

from packaging.requirements import Requirement

OURS = "napari-cpclnet"
FOR_DEVELOPERS = ("dev", "docs")
STRONG = re.compile(r"^(GPL|AGPL)|GNU (Affero )?General Public", re.IGNORECASE)


class Licence(NamedTuple):
    """A package and the terms that it says it comes under."""

    package: str
    version: str
    terms: str
    needed_by: str
    """The extra of ours that brings it, or nothing if every installation has it."""


def brought_by(extra: str) -> set[str]:
    """Installed packages that ours stands on with an extra, directly or through others."""
    found: set[str] = set()
    seen, waiting = {(OURS, extra)}, [(OURS, extra)]
    while waiting:
        name, wanted = waiting.pop()
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        for one in map(Requirement, requirements):
            if one.marker is None or one.marker.evaluate({"extra": wanted}):
                further = {(normal(one.name), deeper) for deeper in {"", *one.extras}} - seen
                seen |= further
                waiting.extend(further)
    return found - {OURS}


def licences() -> list[Licence]:
    """Every package that an installation brings, with its terms, by name."""
    extras = [
        one for one in metadata.metadata(OURS).get_all("Provides-Extra", []) if one not in FOR_DEVELOPERS
    ]
    needed_by: dict[str, str] = {}
    for extra in sorted({"", *extras}, key=lambda one: (one == "all", one)):
        for name in brought_by(extra):
            needed_by.setdefault(name, extra)
    return [Licence(name, metadata.version(name), terms(name), needed_by[name]) for name in sorted(needed_by)]


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def terms(name: str) -> str:
    """What the metadata of a package say of its licence, in few words; nothing if they say nothing."""
    about = metadata.metadata(name)
    if about.get("License-Expression"):
        return about["License-Expression"]
    classified = [
        text.rpartition(" :: ")[2]
        for text in about.get_all("Classifier", [])
        if text.startswith("License :: ")
    ]
    free = (about.get("License") or "").strip().partition("\n")[0]
    named = [text for text in classified if text != "OSI Approved"]
    return " and ".join(named) or free[:60]


def table(found: list[Licence]) -> str:
    """The licences as a table in Markdown."""
    lines = ["| package | version | licence | extra |", "|---|---|---|---|"]
    return "\n".join(
        lines + [f"| {one.package} | {one.version} | {one.terms} | {one.needed_by} |" for one in found]
    )


def main() -> int:
    found = licences()
    if "--check" not in sys.argv[1:]:
        print(table(found))
        return 0
    unknown = [one.package for one in found if not one.terms]
    # copyleft that would reach our own code must stay out of what every installation has
    strong = [one.package for one in found if STRONG.match(one.terms) and not one.needed_by]
    if unknown:
        print(f"No licence is known of {', '.join(unknown)}.", file=sys.stderr)
    if strong:
        print(f"Every installation would have {', '.join(strong)}, under a strong copyleft.", file=sys.stderr)
    print(f"{len(found)} packages, {len(unknown)} without a licence, {len(strong)} that reach too far.")
    return 1 if unknown or strong else 0


if __name__ == "__main__":
    sys.exit(main())
