"""The pages of the documentation hang together: no link leads nowhere, no picture is unused or large."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("benchmarks/**/*.md"),
    *ROOT.glob("src/**/*.md"),
]
LINK = re.compile(r"\]\((?!https?://|mailto:)([^)\s]*)\)")
MOST_BYTES = {".png": 200_000, ".svg": 50_000, ".gif": 2_000_000}


def anchors(page: Path) -> set[str]:
    """Names of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), link
        assert not anchor or anchor in anchors(there), link


def test_every_picture_is_small_and_on_a_page():
    used = {
        (page.parent / link).resolve() for page in PAGES for link in LINK.findall(page.read_text("utf-8"))
    }
    pictures = {one for suffix in MOST_BYTES for one in ROOT.glob(f"docs/**/*{suffix}")}
    assert pictures
    assert not {one.name for one in pictures if one.resolve() not in used}
    assert not {one.name for one in pictures if one.stat().st_size > MOST_BYTES[one.suffix]}


def test_what_the_guide_tells_to_click_is_written_in_the_panel():
    texts = [*ROOT.glob("src/napari_cpclnet/gui/**/*.py"), *ROOT.glob("src/napari_cpclnet/**/*.yaml")]
    panel = " ".join(path.read_text("utf-8") for path in [*texts, *ROOT.glob("src/**/settings.py")])
    for page in ("annotating", "training"):
        text = (ROOT / "docs" / "guide" / f"{page}.md").read_text("utf-8").replace("**", "")
        # menus are napari's; words in capitals stand for what the user chose
        names = {name for name in re.findall(r"\*([A-Z][^*>]+)\*", text) if not re.search(r"[A-Z]{2}", name)}
        assert names
        words = {word for name in names for word in name.replace("\n", " ").split(": ")}
        assert not {word for word in words if word not in panel}
