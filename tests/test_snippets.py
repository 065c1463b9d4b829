"""What documents show is run: Python in pages, and commands as far as the command line reads them."""

from __future__ import annotations

import doctest
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.core import TyperGroup

import napari_cpclnet
from napari_cpclnet.cli.app import app
from napari_cpclnet.imaging import Geometry, Segmentation, Volume, write_segmentation, write_volume
from napari_cpclnet.phantoms.demo import DEMO_CLASSES, spread_slices
from napari_cpclnet.phantoms.phantom import PhantomSettings, make_phantom
from napari_cpclnet.phantoms.render import ScanModality, render_phantom

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^( *)```(python|sh)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
GRID = PhantomSettings(shape=(40, 80, 96), spacing=(10.0, 4.5, 4.5))


def blocks(page: Path, language: str) -> list[str]:
    return [text for _, kind, text in BLOCK.findall(page.read_text("utf-8")) if kind == language]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def phantom_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scans that pages speak of: a painted CT and an MR of another patient."""
    folder = tmp_path_factory.mktemp("snippets")
    (folder / "cpclnet_demo").mkdir()
    for modality, seed in (("CT", 0), ("MR", 1)):
        scan, labels = phantom(modality, seed)
        slices = spread_slices(labels, 5)
        painted = np.zeros_like(labels)
        painted[list(slices)] = labels[list(slices)]
        classes = dict(enumerate(DEMO_CLASSES, start=1))
        for stem in (modality.lower(), f"cpclnet_demo/phantom_{modality.lower()}"):
            write_volume(scan, folder / f"{stem}.nii.gz")
            write_segmentation(
                Segmentation(painted, classes, scan.geometry), folder / f"{stem}_painted.nii.gz"
            )
    return folder


def phantom(modality: ScanModality, seed: int) -> tuple[Volume, np.ndarray]:
    rng = np.random.default_rng([7, seed])
    made = make_phantom(rng, GRID)
    labels = np.zeros(GRID.shape, np.uint8)
    for value, organ in enumerate(DEMO_CLASSES, start=1):
        labels[made.mask(organ)] = value
    scan = render_phantom(made, modality, rng)
    assert scan.geometry.isclose(Geometry(GRID.shape, GRID.spacing))
    return scan, labels


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name)
def test_python_in_a_page_runs_from_top_to_bottom(
    page: Path, phantom_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(phantom_files)
    names: dict[str, object] = {}
    for text in blocks(page, "python"):
        exec(compile(text, name(page), "exec"), names)


def commands(page: Path) -> Iterator[list[str]]:
    """Words of every call of `napari-cpclnet` in a page."""
    for text in blocks(page, "sh"):
        for line in text.replace("\\\n", " ").splitlines():
            found = re.search(r"(?:^|[/ ])napari-cpclnet (?!\[)(.*)", line)
            if found and "pip install" not in found[0]:
                words = shlex.split(found[1], comments=True)
                yield [word for word in words if word != "..."]


CALLS = [(page, words) for page in PAGES for words in commands(page)]


@pytest.mark.parametrize(("page", "words"), CALLS, ids=[f"{name(p)}: {' '.join(w)}" for p, w in CALLS])
def test_a_command_in_a_page_is_read_by_the_command_line(page: Path, words: list[str]) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    first, *rest = words
    assert first in group.commands
    # reads all words, and fails on an option that does not exist or a value that is no choice
    context = group.commands[first].make_context(first, rest, resilient_parsing=False)
    context.close()


def test_the_example_of_the_package_runs(phantom_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(phantom_files)
    (test,) = doctest.DocTestFinder(recurse=False).find(napari_cpclnet, "napari_cpclnet")
    said: list[str] = []
    failed, tried = doctest.DocTestRunner().run(test, out=said.append)
    assert tried > 5 and not failed, "".join(said)


def test_no_example_in_a_docstring_is_skipped() -> None:
    assert not [one.name for one in ROOT.glob("src/**/*.py") if "doctest: +SKIP" in one.read_text("utf-8")]
