"""The report: valid, self-contained, honest about what is missing, and safe with strange names."""

from __future__ import annotations

import base64
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from napari_cpclnet.errors import OutputError
from napari_cpclnet.evaluation.report.page import report_html, write_report
from napari_cpclnet.evaluation.results import CaseResult
from napari_cpclnet.evaluation.summary import summarise

VOID = {"meta", "img", "br", "hr", "link", "input"}
NASTY = "<script>alert('p')</script> & \"quoted\""
PNG = b"\x89PNG not really"
FACTS = {
    "weights": "0123456789ab",
    "device": "cpu",
    "date": "2026-01-02",
    "settings": {"shots": [5], "tolerance_mm": 2.0, "folds": None, "keep_predictions": False},
    "versions": {"python": "3.11"},
}


class Page(HTMLParser):
    """Elements and text; complains where tags do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if not self.open or self.open[-1] != "style" else ""

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def row(dice: float = 0.8, **changes: Any) -> CaseResult:
    absent = not math.isfinite(dice)
    values: dict[str, Any] = {
        "key": "task",
        "protocol": "honest",
        "shots": 5,
        "support_index": 0,
        "support_patient": "one",
        "support_modality": "CT",
        "query_patient": "two",
        "query_modality": "MR",
        "organ": "liver",
        "method": "CPCLNet",
        "dice": dice,
        "surface_dice": dice,
        "hd95_mm": math.nan if absent else 4.0,
        "relative_volume_error": math.nan if absent else 0.1,
        "false_ml": 3.0,
        "truth_ml": 0.0 if absent else 1000.0,
        "predicted_ml": 900.0,
        "absent": absent,
        "seconds": 1.5,
        "peak_mb": math.nan,
        "device": "cpu",
        "weights": "0123456789ab",
    }
    return CaseResult(**{**values, **changes})


def page(rows: list[CaseResult], pictures: dict[str, bytes] | None = None) -> tuple[str, Page]:
    html = report_html(rows, summarise(rows), pictures or {}, FACTS)
    return html, Page(html)


def full() -> list[CaseResult]:
    return [
        row(dice, key=f"{organ}-{query}-{protocol}", organ=organ, query_modality=query, method=method)
        if protocol == "honest"
        else row(
            dice + 0.1,
            key=f"{organ}-{query}-{protocol}",
            organ=organ,
            query_modality=query,
            method=method,
            protocol="legacy",
            shots=3,
        )
        for protocol in ("honest", "legacy")
        for method, dice in (("CPCLNet", 0.7), ("copy", 0.2))
        for organ in ("liver", "spleen")
        for query in ("MR", "PT")
    ]


def test_it_is_one_valid_page_without_anything_from_outside() -> None:
    html, parsed = page(full(), {"liver-MR-honest": PNG})
    assert not re.search(r"https?://|ftp://|@import|url\((?!#)", html)
    assert parsed.count("script") == 0 and parsed.count("link") == 0
    for tag, attributes in parsed.tags:
        for name in ("src", "href", "xlink:href"):
            if attributes.get(name):
                assert attributes[name].startswith(("data:", "#")), (tag, attributes[name])  # type: ignore[union-attr]


def test_the_first_sentence_says_the_result_and_the_best_baseline() -> None:
    _, parsed = page(full())
    assert "CPCLNet reaches a mean Dice of 0.70" in parsed.text
    assert "5 slices painted on another patient" in parsed.text
    assert "The best baseline, copy, reaches 0.20" in parsed.text


def test_matrix_and_boxes_are_drawn_for_every_protocol_with_the_colours_of_the_page() -> None:
    html, parsed = page(full())
    figures = [attributes.get("aria-label") for tag, attributes in parsed.tags if tag == "svg"]
    assert figures.count("Mean Dice by support and query modality") == 2
    assert figures.count("Dice of every case by organ and method") == 2
    assert "var(--ink)" in html and "#010203" not in html
    assert "PET" in parsed.text


def test_the_gap_is_shown_only_where_both_protocols_were_run() -> None:
    _, both = page(full())
    assert "0.70 honest" in both.text and "0.80 under the published protocol" in both.text
    assert "+0.10" in both.text
    _, one = page([r for r in full() if r.protocol == "honest"])
    assert "published protocol hides" not in one.text


def test_best_and_worst_case_are_pictured_with_the_ids_of_the_table() -> None:
    rows = [
        row(0.9, key="a", query_patient="anna"),
        row(0.5, key="b"),
        row(0.1, key="c", query_patient="cleo"),
    ]
    html, parsed = page(rows, {"a": PNG, "b": PNG, "c": PNG})
    captions = re.findall(r"<figcaption><b>(.*?)</figcaption>", html, re.S)
    assert [c.split(":")[0] for c in captions] == ["Best", "Worst"]
    assert "Dice 0.90" in captions[0] and "MR of anna" in captions[0]
    assert "Dice 0.10" in captions[1] and "MR of cleo" in captions[1]
    sources = [a["src"] for tag, a in parsed.tags if tag == "img"]
    assert sources == [f"data:image/png;base64,{base64.b64encode(PNG).decode()}"] * 2


def test_a_single_case_is_not_called_best_or_worst() -> None:
    _, parsed = page([row(0.9, key="a")], {"a": PNG})
    assert "The only case: Dice 0.90" in parsed.text


def test_absent_organs_are_listed_apart_and_have_no_dice() -> None:
    _, parsed = page([row(0.8), row(math.nan, key="other", organ="spleen", predicted_ml=12.34)])
    assert "Queries without the organ" in parsed.text
    assert "12.3" in parsed.text
    assert "nan" not in parsed.text.lower()


@pytest.mark.parametrize("field", ["support_patient", "query_patient", "organ", "method", "key", "device"])
def test_strange_names_are_text_and_nothing_else(field: str) -> None:
    rows = [row(0.8, **{"key": "a", field: NASTY}), row(0.3, **{"key": "b", field: NASTY})]
    html, parsed = page(rows, {rows[0].key: PNG, rows[1].key: PNG})
    assert parsed.count("script") == 0
    assert "<script" not in html
    if field in ("query_patient", "organ", "method"):
        assert NASTY in parsed.text


def test_dollar_signs_in_names_are_no_formulas() -> None:
    _, parsed = page([row(0.8, organ="$x^2$ {organ}")])
    assert "$x^2$ {organ}" in parsed.text


def test_facts_are_readable_lists() -> None:
    _, parsed = page(full())
    for text in ("0123456789ab", "tolerance mm", "2.0", "python", "3.11"):
        assert text in parsed.text


def test_several_numbers_of_shots_are_compared() -> None:
    _, parsed = page([row(0.5, key="a", shots=1), row(0.8, key="b", shots=5)])
    assert "More painted slices" in parsed.text


@pytest.mark.parametrize("rows", [[], [row(math.nan)]])
def test_it_says_so_where_there_is_nothing_to_show(rows: list[CaseResult]) -> None:
    _, parsed = page(rows)
    assert "There are no results yet" in parsed.text or "No query shows an organ" in parsed.text


def test_the_same_results_give_the_same_page() -> None:
    assert page(full())[0] == page(full())[0]


def test_it_is_written_whole_or_refused(tmp_path: Path) -> None:
    rows = full()
    out = write_report(rows, summarise(rows), tmp_path / "new" / "report.html", {}, FACTS)
    assert out.read_text(encoding="utf-8").endswith("</html>\n")
    assert [p.name for p in out.parent.iterdir()] == ["report.html"]
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        write_report(rows, summarise(rows), tmp_path / "file" / "report.html", {}, FACTS)
