"""Fuzz one target for a while: ``python -m tests.fuzz.run nifti --seconds 600``.

With atheris (coverage-guided) where it is installed, else with random damage to the seeds. Ends with the number of
inputs; a finding ends it at once and leaves the input beside the corpus.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
import warnings
from pathlib import Path

# Packages whose branches guide atheris.
GUIDING = ["napari_cpclnet", "pydicom", "tifffile", "yaml"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--folder", type=Path, default=Path("fuzz"), help="where corpus and findings go")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    folder: Path = options.folder / options.target
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import atheris
    except ImportError:
        _random(options.target, options.seconds, folder)
        return
    with atheris.instrument_imports(include=GUIDING):
        from .targets import Targets, workplace
    from .seeds import seeds

    for number, seed in enumerate(seeds(options.target)):
        (folder / f"seed_{number:03d}").write_bytes(seed)
    target = Targets(workplace()).by_name[options.target]
    limits = ["-timeout=30", "-rss_limit_mb=3000", "-max_len=16000", "-print_final_stats=1"]
    findings = f"-artifact_prefix={folder}/../{options.target}_finding_"
    atheris.Setup([sys.argv[0], str(folder), f"-max_total_time={options.seconds}", findings, *limits], target)
    atheris.Fuzz()


def _random(name: str, seconds: int, folder: Path) -> None:
    from .seeds import seeds
    from .targets import Targets, workplace
    from .test_fuzz import damaged

    rng = random.Random(0)
    known, target = seeds(name), Targets(workplace()).by_name[name]
    until, count = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        changes = [
            (rng.random(), rng.randbytes(rng.randint(1, 8)), rng.random() < 0.3)
            for _ in range(rng.randint(0, 8))
        ]
        data = damaged(rng.choice(known), changes, 1.0 if rng.random() < 0.7 else rng.random())
        try:
            target(data)
        except Exception:  # noqa: BLE001  whatever it is, it is the finding
            (folder.parent / f"{name}_finding_{count}").write_bytes(data)
            traceback.print_exc()
            sys.exit(1)
        count += 1
    print(f"{name}: {count} inputs in {seconds} s without a finding")


if __name__ == "__main__":
    main()
