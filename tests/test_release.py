"""What a release stands on: the version from tags, what is in the wheel, and hosted CI that calls tox."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from napari_cpclnet import _version

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
BUILD_FILES = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE")

pytest.importorskip("hatch_vcs", reason="the extra dev has it")


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A repository with the files that a build begins with, and one commit."""
    folder = tmp_path / "sources"
    folder.mkdir()
    for name in BUILD_FILES:
        shutil.copy(ROOT / name, folder)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def built_version(folder: Path) -> str:
    command = [sys.executable, "-m", "hatchling", "version"]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_a_tag_is_the_version(sources: Path) -> None:
    git(sources, "tag", "v1.2.3")
    assert built_version(sources) == "1.2.3"


def test_a_commit_after_a_tag_is_on_the_way_to_the_next_version(sources: Path) -> None:
    git(sources, "tag", "v1.2.3")
    git(sources, "commit", "-qm", "second", "--allow-empty")
    assert re.match(r"1\.2\.4\.dev1\+g[0-9a-f]{7,}", built_version(sources))


def test_without_tags_or_git_there_is_a_version_all_the_same(sources: Path) -> None:
    assert re.match(r"0\.0\.1\.dev1\+", built_version(sources))
    shutil.rmtree(sources / ".git")
    assert built_version(sources) == _version.UNKNOWN


def test_the_changelog_begins_with_the_version_of_the_citation() -> None:
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert cited and cited[1] == headings[0]


def script(name: str) -> ModuleType:
    """A program of the folder ``.ci`` as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def package() -> ModuleType:
    return script("package")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Source archive and wheel, built with the tools of this environment."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.tar.gz")), next(out.glob("*.whl"))


@pytest.mark.slow
def test_wheel_and_source_archive_hold_what_they_should(
    package: ModuleType, built: tuple[Path, Path]
) -> None:
    assert package.problems(*built, tag=None) == []


@pytest.mark.slow
def test_what_does_not_belong_in_a_wheel_and_what_lacks_is_told(
    package: ModuleType, built: tuple[Path, Path], tmp_path: Path
) -> None:
    source, wheel = built
    other = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(other, "w") as new:
        for name in old.namelist():
            if not name.endswith("weights/cpclnet.safetensors"):
                new.writestr(name, old.read(name))
        new.writestr("napari_cpclnet/patient.nii.gz", b"")
    found = " ".join(package.problems(source, other, tag=None))
    assert "lacks napari_cpclnet/weights/cpclnet.safetensors" in found
    assert "has napari_cpclnet/patient.nii.gz, which does not belong there" in found
    assert "napari_cpclnet/patient.nii.gz looks like a scan" in found


def test_a_tag_that_is_not_the_version_is_told(package: ModuleType) -> None:
    assert "Tag v9.9.9 makes version 9.9.9.dev1" in package.release_problems("9.9.9.dev1", "v9.9.9")[0]
    assert (
        len(package.release_problems("9.9.9", "v9.9.9")) == 2
    )  # changelog and citation are not of that version


def test_the_readme_of_a_build_that_knows_its_repository_has_whole_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from hatchling.metadata.core import ProjectMetadata
    from hatchling.plugin.manager import PluginManager

    monkeypatch.setenv("PROJECT_URL", "http://localhost/us/ours/")
    core = ProjectMetadata(str(ROOT), PluginManager()).core
    assert core.urls["Source"] == "http://localhost/us/ours"
    links = re.findall(r"\]\((\S+?)\)", core.readme)
    assert links and not [link for link in links if not link.startswith(("http", "#"))]
    monkeypatch.delenv("PROJECT_URL")
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert not ProjectMetadata(str(ROOT), PluginManager()).core.urls


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_hosted_jobs_call_tox_and_what_it_needs(path: Path) -> None:
    allowed = ("tox -e ", "python -m pip install tox", "sh .ci/system-packages --tests", "gh release create ")
    jobs = yaml.safe_load(path.read_text())["jobs"].values()
    commands = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    assert commands and all(command.startswith(allowed) for command in commands)


def test_every_python_that_the_package_names_is_tested_on_three_systems() -> None:
    text = (ROOT / ".github" / "workflows" / "test.yml").read_text()
    matrix = yaml.safe_load(text)["jobs"]["tests"]["strategy"]["matrix"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [c.rpartition(" ")[2] for c in project["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert matrix["python"] == named
    assert len(matrix["system"]) == 3


def test_a_pushed_tag_makes_a_release_and_is_checked_against_the_version() -> None:
    # "on" is a truth value to YAML 1.1
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    assert jobs[True]["push"]["tags"] == ["v*"]
    assert jobs["jobs"]["publish"]["permissions"] == {"id-token": "write"}
    assert any("--tag" in step.get("run", "") for step in jobs["jobs"]["build"]["steps"])


@pytest.mark.slow
def test_the_source_archive_has_what_its_tests_read(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        ".ci/package.py",
        ".github/workflows/test.yml",
        "hatch_build.py",
        "constraints.txt",
        "napari.yaml",
    } <= inside


def test_every_dependency_has_a_licence_and_none_reaches_too_far(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    licences = script("licences")
    monkeypatch.setattr(sys, "argv", ["licences.py", "--check"])
    assert licences.main() == 0
    by_name = {one.package: one for one in licences.licences()}
    assert by_name["numpy"].needed_by == "" and by_name["highdicom"].needed_by == "dicom"
    assert by_name["pyqt6"].needed_by == "all"
    said = licences.terms
    monkeypatch.setattr(
        licences, "terms", lambda name: {"numpy": "GPL-3.0-only", "scipy": ""}.get(name, said(name))
    )
    assert licences.main() == 1
    assert "known of scipy" in (err := capsys.readouterr().err) and "have numpy" in err
