"""Parsing of command-line options: several values after one option, lists of slices and of classes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, ParamSpec, TypeVar

import typer
from pydantic import BaseModel
from typer.core import TyperCommand

from napari_cpclnet.errors import SettingsError, SupportError
from napari_cpclnet.imaging import BACKGROUND, Plane
from napari_cpclnet.model import settings as names
from napari_cpclnet.segmentation.settings import RunSettings
from napari_cpclnet.settings_fields import field_of

MOST_RUNS = 12
"""Runs of neighbouring slices that a sentence lists."""

P = ParamSpec("P")
R = TypeVar("R")

Terminology = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="YAML file of codes for class names (.seg.nrrd, DICOM); what it lacks is taken from the bundled one.",
    ),
]


def option(settings: type[BaseModel], name: str, *flags: str, help: str = "", **more: Any) -> Any:
    """Option of the command line that sets one field of a settings model: its help and its range are the field's.

    ``help`` is added to what the field says.
    """
    field = field_of(settings, name)
    return typer.Option(
        *flags, help=f"{field.description} {help}".rstrip(), min=field.lowest, max=field.highest, **more
    )


Device = Annotated[names.Device, option(RunSettings, "device", metavar="auto|cpu|cuda|cuda:N|mps")]

Weights = Annotated[Path | None, option(RunSettings, "weights", metavar="PATH")]

Precision = Annotated[names.Precision, option(RunSettings, "precision")]

PaintedPlane = Annotated[Plane, option(RunSettings, "plane")]

Quick = Annotated[
    bool,
    typer.Option(
        "--quick",
        help="Do not register the scans with the support's: quicker, and finds only what the network recognises.",
    ),
]

ResultFormat = Annotated[
    Literal["nii.gz", "nrrd", "mha", "seg.nrrd", "dcm", "png", "ome.zarr"] | None,
    typer.Option(
        "--format",
        help="File format of the results. seg.nrrd is 3D Slicer's; dcm a DICOM segmentation of a DICOM query; png "
        "a folder of pictures; ome.zarr a folder of compressed blocks. Default: nii.gz.",
    ),
]

Statistics = Annotated[
    bool,
    typer.Option(
        "--statistics",
        help="Also write statistics.csv: volume, grey values, SUVpeak, axial diameters and components of each class.",
    ),
]

Partial = Annotated[
    list[str] | None,
    typer.Option(
        "--partial",
        metavar="14,25",
        help=f"Slices of which only some pixels are painted, as by scribbles: what is not painted there is unknown, "
        f"and label {BACKGROUND} says that no class is there. Once, or once per --support, as --slices.",
    ),
]

Scheduler = Annotated[
    str | None,
    option(RunSettings, "scheduler", metavar="local|tcp://HOST:PORT", help="Default: this process."),
]

_VALUES_OF = {"--support": 2, "--query": None, "--protocol": None, "--shots": None}
"""How many values follow each option; None is any number."""


def home_paths(command: Callable[P, R]) -> Callable[P, R]:
    """Let the paths that a command is given begin with ``~``, the home folder.

    A shell replaces it at the beginning of a word only, and so not in ``--out=~/results``.
    """

    @wraps(command)
    def with_paths(*args: P.args, **kwargs: P.kwargs) -> R:
        found: Any = {name: _at_home(value) for name, value in kwargs.items()}
        return command(*args, **found)

    return with_paths


def _at_home(value: Any) -> Any:
    """Value with the home folder in its paths; a file that is called ``~`` or ``~somebody`` here stays what it is."""
    if isinstance(value, list):
        return [_at_home(one) for one in value]
    return (
        Path(os.path.expanduser(value)) if isinstance(value, Path) and not os.path.lexists(value) else value
    )


class MultiValueCommand(TyperCommand):
    """A command whose ``--query``, ``--protocol`` and ``--shots`` take any number of values, ``--support`` two.

    Options of a variable number of values do not exist in click, so ``--query A B`` is read as
    ``--query A --query B``.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, repeated_options(args))


def repeated_options(args: Sequence[str]) -> list[str]:
    """Write ``--query A B`` as ``--query A --query B``, and the same for ``--support IMAGE MASK``.

    Raises
    ------
    typer.BadParameter
        If ``--support`` is not followed by exactly two values.
    """
    rewritten: list[str] = []
    rest = list(args)
    while rest:
        token = rest.pop(0)
        option, equals, first = token.partition("=")
        if option not in _VALUES_OF:
            rewritten.append(token)
            continue
        values = [first] if equals else []
        while rest and not rest[0].startswith("-"):
            values.append(rest.pop(0))
        wanted = _VALUES_OF[option]
        if wanted is not None and len(values) != wanted:
            raise typer.BadParameter(f"{option} takes two values, IMAGE MASK; {len(values)} given.")
        if not values:
            rewritten.append(option)  # the parser has the right words for an option without a value
        for value in values:
            rewritten += [option, value]
    return rewritten


def check_sources(project: Path | None, **given: object) -> None:
    """Check that ``segment`` knows what to learn from, what to label and where to write.

    Raises
    ------
    SettingsError
        If something is missing, or contradicts ``--project``.
    """
    if project is None:
        missing = [f"--{name}" for name in ("support", "query", "out") if not given[name]]
        if missing:
            raise SettingsError(f"{', '.join(missing)} must be given, or --project.")
        return
    twice = [f"--{name}" for name in ("support", "slices", "partial", "classes", "plane") if given[name]]
    if twice:
        raise SettingsError(f"{twice[0]} says what the project says already: leave it out.")


def support_pairs(paths: Sequence[Path]) -> tuple[tuple[Path, Path], ...]:
    """Pair up IMAGE MASK IMAGE MASK ..."""
    return tuple(zip(paths[::2], paths[1::2], strict=True))


def parse_slices(
    texts: Sequence[str], n_supports: int, option: str = "--slices"
) -> tuple[tuple[int, ...] | None, ...]:
    """Slice numbers of every support scan from ``"12,20,31"``; None where there are none.

    Raises
    ------
    SettingsError
        If a number is no slice number, or there are neither one nor as many lists as supports.
    """
    if not texts:
        return (None,) * n_supports
    lists = tuple(_slice_list(text, option) for text in texts)
    if len(lists) == 1:
        return lists * n_supports
    if len(lists) != n_supports:
        raise SettingsError(
            f"{option} is given {len(lists)} times for {n_supports} supports: give it once, or once per --support."
        )
    return lists


def _slice_list(text: str, option: str) -> tuple[int, ...]:
    numbers = []
    for part in text.split(","):
        if not part.strip().isdecimal():
            raise SettingsError(f"{option} '{text}': '{part.strip()}' is not a slice number (0, 1, 2, ...).")
        numbers.append(int(part))
    return tuple(sorted(set(numbers)))


def listed_slices(numbers: Sequence[int]) -> str:
    """Slice numbers for a sentence, neighbours drawn together: ``3, 10 to 25, 40``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    shown = [f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    more = len(shown) - MOST_RUNS
    return ", ".join(shown[:MOST_RUNS]) + (f" and {more} more" if more > 0 else "")


def parse_classes(text: str | None) -> dict[int, str] | None:
    """Label values and names from ``"6=liver,1=spleen"``, in the order given; a name may be left out (``"6,1"``).

    Raises
    ------
    SettingsError
        If a label is no positive whole number, or a label or a name occurs twice.
    """
    if text is None:
        return None
    classes: dict[int, str] = {}
    for part in text.split(","):
        value, _, name = (word.strip() for word in part.partition("="))
        if not value.isdecimal() or int(value) == 0:
            raise SettingsError(f"--classes '{text}': '{value}' is not a label value (1, 2, 3, ...).")
        label = int(value)
        if label in classes:
            raise SettingsError(f"--classes '{text}': label {label} is named twice.")
        classes[label] = name or f"label {label}"
    if len(set(classes.values())) != len(classes):
        raise SettingsError(f"--classes '{text}': two labels have the same name.")
    return classes


def require_labels(classes: dict[int, str], found: Sequence[int], where: str, *, some_slices: bool) -> None:
    """Check that every class that was asked for is painted.

    Parameters
    ----------
    classes
        Label values and names asked for.
    found
        Label values on the slices that count.
    where
        The masks, for the message.
    some_slices
        Whether only some slices count, for the message.

    Raises
    ------
    SupportError
        If a label is missing.
    """
    missing = [f"{label} ({name})" for label, name in classes.items() if label not in found]
    if missing:
        there = ", ".join(str(label) for label in found)
        slices = " on the slices given" if some_slices else ""
        raise SupportError(
            f"{where}: label {', '.join(missing)} does not occur{slices}; the labels there are {there}."
        )
