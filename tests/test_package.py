"""The package as a whole: what an import costs, and what its files promise."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import napari_cpclnet

ROOT = Path(__file__).parents[1]
HEAVY = (
    "torch",
    "SimpleITK",
    "monai",
    "matplotlib",
    "skimage",
    "scipy",
    "pydicom",
    "distributed",
    "napari",
    "qtpy",
)


SETTINGS = sorted(
    ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
    for path in (ROOT / "src" / "napari_cpclnet").rglob("settings.py")
)


@pytest.mark.parametrize(
    "module", ["napari_cpclnet", "napari_cpclnet.cli", "napari_cpclnet.errors", *SETTINGS]
)
def test_starting_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*(name for name in {HEAVY} if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.split() == []


@pytest.mark.parametrize("name", napari_cpclnet.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(napari_cpclnet, name) is not None


@pytest.mark.parametrize("name", sorted({*napari_cpclnet.__all__} - {"__version__"}))
def test_the_example_of_every_public_name_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(napari_cpclnet, name), name, globs={})
    assert test.examples
    said: list[str] = []
    failed, tried = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=said.append)
    assert not failed, "".join(said)
    assert tried


@pytest.mark.parametrize("name", ["last_used", "settings_fields"])
def test_the_examples_of_small_modules_run(name: str) -> None:
    module = import_module(f"napari_cpclnet.{name}")
    assert doctest.testmod(module).attempted
    assert not doctest.testmod(module).failed


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = napari_cpclnet.no_such_name


def test_the_manifest_is_valid_and_linked_at_the_top() -> None:
    from npe2 import PluginManifest

    link = ROOT / "napari.yaml"
    inside = ROOT / "src" / "napari_cpclnet" / "napari.yaml"
    assert link.resolve() == inside.resolve()
    manifest = PluginManifest.from_file(inside)
    manifest.validate_imports()
    assert manifest.name == "napari-cpclnet"


def test_constraints_pin_every_dependency_that_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        declared += extra
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    normal = {re.sub(r"[-_.]+", "-", name).lower() for name in pinned}
    names = {re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", text)[0]).lower() for text in declared}  # type: ignore[index]
    assert names - {"napari-cpclnet"} <= normal
    assert "torch" in normal
    assert not any(name.startswith(("nvidia", "cuda")) for name in normal)


@pytest.mark.parametrize("marker", ["install-and-demo", "install-and-test"])
def test_the_readme_has_each_marked_command_once_and_on_one_line(marker: str) -> None:
    text = (ROOT / "README.md").read_text()
    found = re.findall(rf"<!-- command: {marker} -->\n+```sh\n(.*?)\n```", text, re.DOTALL)
    assert len(found) == 1
    assert "\n" not in found[0]


def test_the_bundled_weights_together_stay_small() -> None:
    folder = Path(napari_cpclnet.__file__).parent / "weights"
    files = {path.name: path.stat().st_size for path in folder.glob("*.safetensors")}
    assert {"cpclnet.safetensors", "anatomy_readout.safetensors", "prior_decoder.safetensors"} <= files.keys()
    assert sum(files.values()) < 25e6
