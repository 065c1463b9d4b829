"""Terminology: coded category, type and side of a class, from an editable YAML file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from napari_cpclnet.errors import SettingsError
from napari_cpclnet.files.bounded import read_text, shown
from napari_cpclnet.files.yaml_text import NotYamlError, load_yaml

BUNDLED = Path(__file__).with_name("terminology.yaml")


@dataclass(frozen=True)
class Code:
    """One coded concept.

    Parameters
    ----------
    value, scheme, meaning
        As in ``("10200004", "SCT", "Liver")``.
    """

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Term:
    """Codes of a class.

    Parameters
    ----------
    category, type
        Segmented property category and type of DICOM.
    side
        Left or right, if the name says so.
    known
        False if the name was not found, so that the codes only say "tissue".
    """

    category: Code
    type: Code
    side: Code | None = None
    known: bool = True


class Terminology:
    """Codes by class name, from a file like the bundled ``terminology.yaml``, and that file where yours has a gap.

    Raises
    ------
    SettingsError
        If the file cannot be read or is not of that form.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._entries, self._sides, self._other = _bundled()
        if path is not None:
            entries, sides, other = _load(Path(path), _bundled_categories())
            self._entries = {**self._entries, **entries}
            self._sides = {**self._sides, **sides}
            self._other = other or self._other

    def __getitem__(self, name: str) -> Term:
        """Codes of a class name; those of the ``other`` entry if it is unknown."""
        words = _words(name)
        if " ".join(words) in self._entries:
            return self._entries[" ".join(words)]
        sides = {word for word in words if word in self._sides}
        term = self._entries.get(" ".join(word for word in words if word not in sides))
        if term is not None and len(sides) == 1:
            return Term(term.category, term.type, self._sides[sides.pop()])
        if self._other is None:
            raise SettingsError("The terminology has no entry 'other'.")
        return self._other


Table = tuple[dict[str, Term], dict[str, Code], Term | None]


@cache
def _bundled() -> Table:
    return _load(BUNDLED, {})


@cache
def _bundled_categories() -> dict[str, Code]:
    content = yaml.safe_load(BUNDLED.read_text(encoding="utf-8"))
    return {name: Code(*code) for name, code in content["categories"].items()}


def _load(path: Path, categories: dict[str, Code]) -> Table:
    try:
        content, _ = load_yaml(read_text(path))
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path}: the terminology cannot be opened ({getattr(error, 'strerror', None) or error})."
        ) from error
    except NotYamlError as error:
        raise SettingsError(f"{path}: the terminology is no YAML file.") from error
    try:
        categories = categories | {
            str(name): _code(value) for name, value in (content.get("categories") or {}).items()
        }
        sides = {str(name).lower(): _code(value) for name, value in (content.get("sides") or {}).items()}
        entries = {}
        for item in content.get("structures") or []:
            term = Term(categories[item.get("category", "anatomy")], _code(item["code"]))
            for name in (item["name"], *item.get("other_names", [])):
                entries[" ".join(_words(str(name)))] = term
        other = content.get("other")
        unknown = Term(categories[other["category"]], _code(other["code"]), None, False) if other else None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        msg = f"{path}: is no terminology: {shown(error)} is missing or wrong; see the bundled terminology.yaml."
        raise SettingsError(msg) from error
    return entries, sides, unknown


def _code(values: Any) -> Code:
    value, scheme, meaning = values
    if len(str(value)) > 16 or len(str(scheme)) > 16 or len(str(meaning)) > 64:
        raise ValueError(f"the code {values}, which is too long,")
    return Code(str(value), str(scheme), str(meaning))


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", name.lower()) if word]
