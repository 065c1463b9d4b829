"""Labels, help texts, ranges and choices of settings, read from the fields of their models."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import BaseModel

_SIGNS = ("ge", "gt", "le", "lt")


class SettingsField(NamedTuple):
    """One field of a settings model.

    Attributes
    ----------
    title, description
        Its label, and what it does.
    default
        Its value where nobody chose one.
    lowest, highest
        Its range, ends included or not; None where there is no limit.
    choices
        Title of each value, where there are only some.
    """

    title: str
    description: str
    default: Any
    lowest: float | None = None
    highest: float | None = None
    choices: Mapping[str, str] = MappingProxyType({})


def field_of(settings: type[BaseModel], name: str) -> SettingsField:
    """What a settings model says of one of its fields.

    >>> from napari_cpclnet.segmentation.settings import PostprocessingSettings
    >>> field = field_of(PostprocessingSettings, "closing_mm")
    >>> field.title, field.default, field.highest
    ('Close gaps', 0.0, 50.0)
    """
    info = settings.model_fields[name]
    limits = {sign: getattr(one, sign) for one in info.metadata for sign in _SIGNS if hasattr(one, sign)}
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    choices: Any = extra.get("choices", {})
    return SettingsField(
        info.title or name,
        info.description or "",
        info.default,
        limits.get("ge", limits.get("gt")),
        limits.get("le", limits.get("lt")),
        choices,
    )
