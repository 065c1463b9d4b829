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


def test_the_numbers_at_the_top_of_the_readme_are_those_of_its_tables():
    text = (ROOT / "README.md").read_text("utf-8")
    top, below = text.split("## From a checkout")
    painted, others = re.findall(r"^- (.*(?:\n  .*)*)", top, re.MULTILINE)
    painted_table, others_table = below.split("**In scans of other patients**")

    def measured(table: str, row: str, column: int = 2) -> list[str]:
        """Numbers in a cell of a table, as two digits."""
        (line,) = re.findall(rf"^\| {re.escape(row)}.*$", table, re.MULTILINE)
        return [f"{float(number):.2f}" for number in re.findall(r"\d\.\d+", line.split("|")[column])]

    (abdomen,), (organs,) = (
        measured(painted_table, row) for row in ("13 structures", "liver, kidneys, spleen")
    )
    tumours = measured(painted_table, "soft-tissue sarcoma")
    assert [abdomen, organs, min(tumours), max(tumours)] == re.findall(r"\d\.\d\d", painted)
    crossed = {*measured(others_table, "CT to MR", 6), *measured(others_table, "MR to CT", 6)}
    (vertebrae,), (hippocampus,) = (
        measured(others_table, row) for row in ("vertebral bodies", "hippocampus")
    )
    assert [*sorted(crossed), vertebrae, hippocampus] == re.findall(r"\d\.\d\d", others)
