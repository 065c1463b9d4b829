"""The numbers of a report by protocol, number of painted slices and method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_cpclnet.evaluation.summary import ALL

Group = Mapping[str, Any]

_MODALITIES = {"PT": "PET"}
_PHRASES = {
    "honest": "painted on another patient",
    "legacy": "painted, under the published protocol",
    "same-volume": "painted on the same scan",
}
_TITLES = {"honest": "Across patients", "legacy": "As published", "same-volume": "Rest of the same scan"}


@dataclass(frozen=True)
class Condition:
    """A protocol with a number of painted slices."""

    protocol: str
    shots: int

    @property
    def title(self) -> str:
        return f"{_TITLES.get(self.protocol, self.protocol)}, {counted(self.shots, 'painted slice')}"

    @property
    def phrase(self) -> str:
        return f"{counted(self.shots, 'slice')} {_PHRASES.get(self.protocol, 'painted, protocol ' + self.protocol)}"


class Groups:
    """The groups of a summary by what they are groups of; conditions and methods in order of appearance."""

    def __init__(self, summary: Mapping[str, Any]) -> None:
        groups: Sequence[Group] = summary.get("groups", ())
        self.conditions = list(dict.fromkeys(Condition(g["protocol"], g["shots"]) for g in groups))
        self.methods: list[str] = list(dict.fromkeys(g["method"] for g in groups))
        places = ("method", "support_modality", "query_modality", "organ")
        self._groups = {
            (Condition(g["protocol"], g["shots"]), *(g[place] for place in places)): g for g in groups
        }

    def get(
        self, condition: Condition, method: str, support: str = ALL, query: str = ALL, organ: str = ALL
    ) -> Group | None:
        """One group, or None."""
        return self._groups.get((condition, method, support, query, organ))

    def of(self, condition: Condition) -> list[Group]:
        """All groups of a condition."""
        return [group for key, group in self._groups.items() if key[0] == condition]

    def by_method(self, condition: Condition) -> list[tuple[list[str], Group]]:
        """Over all organs and modalities: the method's name and its group."""
        found = [([method], self.get(condition, method)) for method in self.methods]
        return [(names, group) for names, group in found if group is not None]

    def by_organ(self, condition: Condition) -> list[tuple[list[str], Group]]:
        """Organ, direction and method with their group, sorted by these."""
        found = [g for g in self.of(condition) if g["organ"] != ALL and g["support_modality"] != ALL]
        organs = list(dict.fromkeys(g["organ"] for g in found))

        def order(g: Group) -> tuple[Any, ...]:
            place = g["support_modality"], g["query_modality"], self.methods.index(g["method"])
            return organs.index(g["organ"]), *place

        return [([g["organ"], direction(g), g["method"]], g) for g in sorted(found, key=order)]

    def by_shots(self) -> list[tuple[str, list[Condition]]]:
        """Protocols that were run with several numbers of painted slices, and these."""
        found: dict[str, list[Condition]] = {}
        for condition in self.conditions:
            found.setdefault(condition.protocol, []).append(condition)
        return [
            (_TITLES.get(protocol, protocol).lower(), sorted(conditions, key=lambda c: c.shots))
            for protocol, conditions in found.items()
            if len(conditions) > 1
        ]

    def absent(self) -> list[tuple[list[str], Group]]:
        """Protocol, organ and method of queries without the organ, with their group."""
        return [
            ([condition.title, g["organ"], g["method"]], g)
            for condition in self.conditions
            for g in self.of(condition)
            if g["absent"] and g["organ"] != ALL and g["support_modality"] == ALL
        ]


def number(value: float | None, digits: int = 2) -> str:
    """A number with fixed digits, or a dash."""
    return "–" if value is None or value != value else f"{value:.{digits}f}"


def counted(count: int, what: str) -> str:
    """In words: 1 painted slice, 5 painted slices."""
    return f"{count} {what}{'s' if count != 1 else ''}"


def modality_name(modality: str) -> str:
    """As people say it: PET for DICOM's PT."""
    return _MODALITIES.get(modality, modality)


def direction(group: Group) -> str:
    """Support and query modality in a few signs: CT → MR."""
    return f"{modality_name(group['support_modality'])} → {modality_name(group['query_modality'])}"


def text(value: Any) -> str:
    """A value of the settings as people write it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{str(k).replace('_', ' ')} {text(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(text(v) for v in value)
    return str(value)
