"""``python -m napari_cpclnet`` is the command ``napari-cpclnet``."""

from __future__ import annotations

from napari_cpclnet.cli import main

if __name__ == "__main__":
    main()
