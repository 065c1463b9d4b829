"""What the site takes from the code and from the measured tables."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest
import typer

from napari_cpclnet import SegmentationSettings
from napari_cpclnet.cli.app import app

ROOT = Path(__file__).parents[1]


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The extension of Sphinx that fills pages in."""
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "site"))
    return importlib.import_module("generated")


def test_the_reference_has_every_option_of_every_command(generated: ModuleType) -> None:
    sections = re.split(r"^## ", generated.commands(), flags=re.MULTILINE)[1:]
    written = {
        text.split("\n", 1)[0]: set(
            re.findall(r"--[a-z][\w-]*", " ".join(re.findall(r"^\| `(.*?)`", text, re.MULTILINE)))
        )
        for text in sections
    }
    real = {
        name: {
            word
            for one in command.params
            for word in (*one.opts, *one.secondary_opts)
            if word.startswith("--")
        }
        for name, command in typer.main.get_command(app).commands.items()  # type: ignore[attr-defined]
    }
    assert written == real


def test_the_reference_has_every_field_of_a_settings_class_with_its_default(generated: ModuleType) -> None:
    table = generated.settings("napari_cpclnet:SegmentationSettings")
    rows = dict(re.findall(r"^\| `(\w+)` \| `?(.*?)`? \|", table, re.MULTILINE))
    assert list(rows) == list(SegmentationSettings.model_fields)
    assert rows["threshold"] == repr(SegmentationSettings().threshold)


def test_the_python_page_has_every_public_name(generated: ModuleType) -> None:
    import napari_cpclnet

    headings = re.findall(r"^## (\w+)", generated.python(), re.MULTILINE)
    assert headings == [name for name in napari_cpclnet.__all__ if name != "__version__"]


def test_every_page_of_the_documents_is_in_the_navigation_once(generated: ModuleType) -> None:
    listed = re.findall(r"^/(docs/\S+)$", generated.navigation(), re.MULTILINE)
    pages = {path.relative_to(ROOT).with_suffix("").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(listed) == sorted(pages - {generated.START})


def test_structures_are_those_of_the_measured_tables(generated: ModuleType) -> None:
    table = generated.structure_table()
    rows = {line.split(" | ")[0].strip("| "): line for line in table.splitlines()[2:]}
    text = (ROOT / "benchmarks" / "accuracy" / "wide.md").read_text()
    heads = re.findall(r"^\| support to query \| method \| (.*?) \|$", text, re.MULTILINE)
    measured = {name for head in heads for name in head.split(" | ")} - {"mean"}
    assert measured <= rows.keys()


def test_means_of_structures_are_taken_over_all_pairings(
    generated: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    structures = importlib.import_module("structures")
    head = "| support to query | method | liver | tumour |\n| --- | --- | --- | --- |\n"
    ours = ["CT to CT | CPCLNet | 0.900 (0.8 to 1.0) | 0.100", "CT to MR | CPCLNet | 0.800 | 0.200"]
    others = ["MR to CT | CPCLNet | 0.700 | 0.400", "MR to CT | copy | 0.100 | 0.100"]
    page = head + "".join(f"| {row} |\n" for row in ours + others)
    cells = ["liver | 0.950", "**abdomen, CT** | **0.900**", "**sarcoma, MR** | **0.930**"]
    inside = "|  | CPCLNet, 5 |\n| --- | --- |\n" + "".join(f"| {row} |\n" for row in cells)
    for name, text in (
        ("README.md", page),
        ("wide.md", page),
        ("sarcoma.md", page),
        ("same_scan.md", inside),
    ):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(structures, "ACCURACY", tmp_path)
    assert dict(structures.other_patients()) == {
        "liver": (pytest.approx(0.9), pytest.approx(0.75)),
        "tumour": (pytest.approx(0.1), pytest.approx(0.3)),
    }
    assert dict(structures.painted_scan()) == {"liver": 0.95, "tumour": 0.93}
    with pytest.raises(ValueError, match="Only 2 structures"):
        structures.structure_table()
