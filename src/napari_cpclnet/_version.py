"""Version of the installed package.

It comes from the tags of the repository and is kept in the metadata of the installed package.
"""

from importlib.metadata import PackageNotFoundError, version

UNKNOWN = "0.0.0"
"""Of sources that are neither installed nor a git checkout; `fallback-version` in ``pyproject.toml`` is the same."""

try:
    __version__ = version("napari-cpclnet")
except PackageNotFoundError:
    __version__ = UNKNOWN
