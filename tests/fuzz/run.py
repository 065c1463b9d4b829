"""Fuzz targets for a while: ``python -m tests.fuzz.run nifti nrrd --seconds 600``, or ``all``.

Each target runs in a process of its own and ends with the number of its inputs. A crash, more than 10 s for one
input, more than 1 GB, or anything but a result or one sentence is a finding: it ends the target and leaves the input.
With ``--coverage`` atheris guides a single target by the branches it takes.
"""

from __future__ import annotations

import argparse
import atexit
import random
import resource
import shutil
import subprocess
import sys
import time
import traceback
import warnings
from pathlib import Path

MOST_KILOBYTES = 1_000_000
# Packages whose branches guide atheris.
GUIDING = ["napari_cpclnet", "pydicom", "tifffile", "yaml"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="+", help="names of targets, or all")
    parser.add_argument("--seconds", type=int, default=600, help="for each target")
    parser.add_argument("--inputs", type=int, default=10**9, help="for each target, at most")
    parser.add_argument("--seed", type=int, default=0, help="of the damage")
    parser.add_argument("--folder", type=Path, default=Path("fuzz"), help="where corpus and findings go")
    parser.add_argument("--coverage", action="store_true", help="guided by atheris (pip install atheris)")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.coverage:
        _guided(options.targets[0], options.seconds, options.folder)
    elif len(options.targets) == 1 and options.targets != ["all"]:
        _random(options.targets[0], options)
    else:
        _each(options)


def _each(options: argparse.Namespace) -> None:
    from .test_fuzz import NAMES

    names = NAMES if options.targets == ["all"] else options.targets
    more = [f"--{key}={getattr(options, key)}" for key in ("seconds", "inputs", "seed", "folder")]
    failed = [
        name
        for name in names
        if subprocess.run([sys.executable, "-m", "tests.fuzz.run", name, *more], check=False).returncode
    ]
    print(f"{len(names)} targets, findings in: {', '.join(failed) or 'none'}")
    sys.exit(bool(failed))


def _guided(name: str, seconds: int, folder: Path) -> None:
    import atheris

    with atheris.instrument_imports(include=GUIDING):
        from .targets import Targets, workplace
    from .seeds import seeds

    corpus = folder / name
    corpus.mkdir(exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed_{number:03d}").write_bytes(seed)
    target = Targets(workplace()).by_name[name]
    limits = ["-timeout=10", "-rss_limit_mb=3000", "-max_len=16000", "-print_final_stats=1"]
    findings = f"-artifact_prefix={folder}/{name}_finding_"
    atheris.Setup([sys.argv[0], str(corpus), f"-max_total_time={seconds}", findings, *limits], target)
    atheris.Fuzz()


def _random(name: str, options: argparse.Namespace) -> None:
    from .mutations import mutated
    from .seeds import seeds
    from .targets import Targets, workplace

    rng, place = random.Random(options.seed), workplace()
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    known, target = seeds(name), Targets(place).by_name[name]
    for seed in known:
        target(seed)  # libraries are loaded now, and are not counted
    trying = options.folder / f"{name}_finding"
    memory, began, count = _peak(), time.monotonic(), 0
    while count < options.inputs and time.monotonic() - began < options.seconds:
        data = mutated(rng, rng.choice(known))
        trying.write_bytes(data)  # and is left there if this process dies of it
        try:
            target(data)
        except Exception:  # noqa: BLE001  whatever it is, it is the finding
            traceback.print_exc()
            sys.exit(f"{name}: input {count} raised; it is in {trying}")
        if (more := _peak() - memory) > MOST_KILOBYTES:
            sys.exit(f"{name}: input {count} took {more / 1e6:.1f} GB; it is in {trying}")
        count += 1
    trying.unlink(missing_ok=True)
    print(f"{name}: {count} inputs in {time.monotonic() - began:.0f} s without a finding", flush=True)


def _peak() -> int:
    """Most kilobytes of memory that this process and its children had so far."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


if __name__ == "__main__":
    main()
