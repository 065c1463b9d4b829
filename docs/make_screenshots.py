"""Make the pictures of the guide: a real napari window of 1280x720 with the panel, on phantoms, worked as by hand.

Run it where there is a display, real or virtual:

    xvfb-run -a -s "-screen 0 1280x1024x24 +extension GLX" python docs/make_screenshots.py

Settings of napari and recent projects of your own are neither shown nor changed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent


def main() -> None:
    """Read the arguments and make the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=HERE / "guide" / "images")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("--train", action="store_true", help="make the picture of the tab Train instead")
    parser.add_argument("--film", action="store_true", help="make the animated picture of the README instead")
    parser.add_argument(
        "--looking", action="store_true", help="make the pictures of looking and measuring only"
    )
    parser.add_argument(
        "--mending", action="store_true", help="make the pictures of scribbles and mending only"
    )
    parser.add_argument("--steps", type=int, default=100, help="of that training")
    parser.add_argument("--every", type=int, default=20, help="steps between its validations")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        # read when napari is imported
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "napari.yaml")
        os.environ["CPCLNET_STATE_DIR"] = str(Path(folder) / "state")
        sys.path.insert(0, str(HERE.parent / "tests" / "gui"))
        from screenshot_film import make_film
        from screenshot_looking import make_looking
        from screenshot_mending import make_mending
        from screenshot_steps import make_afternoon, make_next_day, make_train

        if given.film:
            make_film(given.out, given.theme)
        elif given.train:
            make_train(given.out, Path(folder) / "run", given.steps, given.every, given.theme)
        elif given.looking:
            make_looking(given.out, given.theme)
        elif given.mending:
            make_mending(given.out, given.theme)
        else:
            make_mending(given.out, given.theme)
            make_looking(given.out, given.theme)
            make_afternoon(given.out, Path(folder), given.theme)
            make_next_day(given.out, given.theme)


if __name__ == "__main__":
    main()
