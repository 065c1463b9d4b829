"""Settings of a run as a YAML file that a person can read and change (JSON is YAML, too)."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from napari_cpclnet.errors import SettingsError
from napari_cpclnet.files.atomic import atomic_write
from napari_cpclnet.files.bounded import BoundsError, read_text, shown
from napari_cpclnet.files.yaml_text import NotYamlError, load_yaml
from napari_cpclnet.training.settings import TrainingSettings

CHECKPOINT = "checkpoint.safetensors"
SETTINGS = "settings.yaml"
"""Files of a run, beside its log and its weights."""

_WIDTH = 100


def read_settings(path: Path) -> TrainingSettings:
    """Read the settings that differ from the defaults.

    Raises
    ------
    SettingsError
        If the file is missing, is no YAML, or names a setting or a value that does not exist.
    """
    try:
        content, _ = load_yaml(read_text(path))
    except BoundsError as error:
        raise SettingsError(f"{path}: the settings cannot be read ({error}).") from error
    except (OSError, ValueError) as error:
        msg = f"{path}: the settings cannot be read ({getattr(error, 'strerror', None) or 'it is no text'})."
        raise SettingsError(msg) from error
    except NotYamlError as error:
        where = f" in line {error.line}" if error.line else f" ({error.problem})"
        raise SettingsError(f"{path}: is no YAML; there is a mistake{where}.") from error
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: holds no settings; expected are lines like 'steps: 2000'.")
    return validated(content, str(path))


def validated(content: dict[str, Any], where: str) -> TrainingSettings:
    """Settings from what a file or a command line says.

    Raises
    ------
    SettingsError
        If a setting or a value does not exist; the sentence begins with `where`.
    """
    try:
        return TrainingSettings.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = shown(".".join(str(part) for part in first["loc"]))
        if first["type"] == "extra_forbidden":
            raise SettingsError(f"{where}: there is no setting '{name}'.") from None
        given = shown(repr(first["input"]))
        said = f"{name}: {given} is not possible" if name else "the settings contradict each other"
        raise SettingsError(f"{where}: {said} ({first['msg']}).") from None


def write_settings(settings: TrainingSettings, path: Path) -> None:
    """Write all settings with what they mean, whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with atomic_write(path, "the settings") as temporary:
        temporary.write_text("\n".join(_lines(settings)) + "\n", encoding="utf-8")


def _lines(settings: BaseModel, indent: str = "") -> Iterator[str]:
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if field.description:
            yield from textwrap.wrap(
                field.description, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "
            )
        if isinstance(value, BaseModel):
            yield f"{indent}{name}:"
            yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{name}: {json.dumps(value)}"
