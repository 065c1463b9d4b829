"""Build the source archive and the wheel, look into both, install the wheel and let it check itself.

python .ci/package.py                      # into a new, empty environment, beside a released napari
python .ci/package.py --into .venv/bin/python      # in place of the package in an environment that is there
python .ci/package.py --tag v1.2.3         # of a release: version, changelog and citation must say so, too
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.parser import HeaderParser
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "napari_cpclnet"
MUST_HAVE = {
    f"{PACKAGE}/{name}"
    for name in (
        "__init__.py",
        "napari.yaml",
        "py.typed",
        "imaging/terminology.yaml",
        "segmentation/organ_atlas.yaml",
        "weights/README.md",
        "weights/SHA256SUMS",
        "weights/anatomy_readout.safetensors",
        "weights/cpclnet.safetensors",
        "weights/prior_decoder.safetensors",
    )
}
INFO = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
SCANS = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".dcm", ".ima")
MADE = "tests/project/older_version/"
"""Folder with made volumes of a few voxels, which tests open."""
MOST_BYTES = 30_000_000


def build(out: Path) -> tuple[Path, Path]:
    """Build the source archive, and the wheel from it, in a folder without older ones."""
    for old in [*out.glob("*.whl"), *out.glob("*.tar.gz")]:
        old.unlink()
    run(sys.executable, "-m", "build", "--outdir", str(out), str(ROOT))
    (source,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return source, wheel


def problems(source: Path, wheel: Path, tag: str | None) -> list[str]:
    """Everything that is wrong with the two files, in sentences."""
    found = []
    with tarfile.open(source) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        info = next(name.partition("/")[0] for name in names if name.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(f"{info}/METADATA").decode())
    ours = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / PACKAGE).rglob("*")
        if path.is_file()
    }
    ours = {name for name in ours if "__pycache__" not in name}
    expected = ours | {f"{info}/{name}" for name in INFO}
    found += [f"{wheel.name} lacks {name}." for name in sorted((expected | MUST_HAVE) - names)]
    found += [f"{wheel.name} has {name}, which does not belong there." for name in sorted(names - expected)]
    needed = {f"src/{name}" for name in ours} | {
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "PKG-INFO",
        "tests/conftest.py",
    }
    found += [f"{source.name} lacks {name}." for name in sorted(needed - inside)]
    suspects = sorted(name for name in names | inside if name.lower().endswith(SCANS))
    found += [f"{name} looks like a scan." for name in suspects if not name.startswith(MADE)]
    found += [
        f"{path.name} is larger than 30 MB." for path in (source, wheel) if path.stat().st_size > MOST_BYTES
    ]
    version = metadata["Version"]
    if source.name != f"{PACKAGE}-{version}.tar.gz":
        found.append(f"{source.name} and {wheel.name} are of different versions.")
    if metadata["License-Expression"] != "BSD-3-Clause" or "Framework :: napari" not in metadata.get_all(
        "Classifier", []
    ):
        found.append("The metadata lack the licence or what the napari hub looks for.")
    if tag is not None:
        found += release_problems(version, tag)
    return found


def release_problems(version: str, tag: str) -> list[str]:
    """What keeps a version from being released under a tag."""
    found = []
    if tag != f"v{version}":
        found.append(f"Tag {tag} makes version {version}: tag a commit without changes, as v1.2.3.")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (.*)$", changelog, re.MULTILINE)
    if newest is None or not re.fullmatch(rf"{re.escape(tag[1:])} \(\d{{4}}-\d\d-\d\d\)", newest[1]):
        found.append(f"CHANGELOG.md must begin with '## {tag[1:]} (YYYY-MM-DD)'.")
    if f"\nversion: {tag[1:]}\n" not in (ROOT / "CITATION.cff").read_text(encoding="utf-8"):
        found.append(f"CITATION.cff must say 'version: {tag[1:]}'.")
    return found


def try_out(wheel: Path, python: Path | None, folder: Path) -> None:
    """Install the wheel, and run its check and its demo away from the sources."""
    if python is None:
        venv.create(folder / "empty", with_pip=True)
        python = folder / "empty" / ("Scripts" if os.name == "nt" else "bin") / "python"
        run(str(python), "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"), f"{wheel}[all]")
    else:
        run(str(python), "-m", "pip", "install", "-q", "--no-deps", "--force-reinstall", str(wheel))
    command = [str(python), "-m", PACKAGE]
    run(*command, "check", cwd=folder)
    run(*command, "demo", "--no-window", "--out", "demo", cwd=folder)


def run(*command: str, cwd: Path = ROOT) -> None:
    print("---", *command, flush=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run(command, cwd=cwd, env=environment, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--into", type=Path, help="Python of an environment that has the dependencies")
    parser.add_argument("--tag", help="of the release that this is, as v1.2.3")
    parser.add_argument("--only-build", action="store_true", help="install nothing")
    given = parser.parse_args()
    source, wheel = build(given.out)
    wrong = problems(source, wheel, given.tag)
    print(*wrong, sep="\n")
    if wrong:
        return 1
    if not given.only_build:
        with TemporaryDirectory() as folder:
            # not resolved: the Python of a virtual environment is a link out of it
            try_out(wheel, given.into and given.into.absolute(), Path(folder))
    print(f"{source.name} and {wheel.name} hold what they should.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
