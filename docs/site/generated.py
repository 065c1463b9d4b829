"""What the site's pages take from the code: a comment `<!-- generated: KIND -->` is replaced when the site is built.

| kind | what it becomes |
|---|---|
| `navigation` | the lists of pages of `navigation.py` |
| `commands` | every command with its options, as `--help` says them |
| `settings MODULE:CLASS` | a table of the fields of a settings class |
| `python` | the public names of the package with their docstrings |
| `licences` | the licences of all dependencies |
| `pages FOLDER` | all pages below a folder |
| `structures` | how well each structure works, from the measured tables |
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from navigation import NAVIGATION
from structures import structure_table

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
START = "docs/index"
PLACE = re.compile(r"^<!-- generated: (\w+)(?: (\S+))? -->$", re.MULTILINE)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the replacement with Sphinx."""
    app.connect("source-read", fill_in)
    return {"parallel_read_safe": True}


def fill_in(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace the comments of a page, and give it its name as a title if it has none."""

    def text(match: re.Match[str]) -> str:
        return KINDS[match[1]](*filter(None, [match[2]]))

    source[0] = PLACE.sub(text, source[0])
    if not source[0].lstrip().startswith("# "):
        source[0] = f"# {Path(page).name.capitalize()}\n\n{source[0]}"


def navigation() -> str:
    """One list of pages for each part of the site, beside the pages only; what no part names ends the guide."""
    named = {page for pages in NAVIGATION.values() for page in pages}
    found = (
        path.relative_to(ROOT).with_suffix("").as_posix() for path in sorted((ROOT / "docs").rglob("*.md"))
    )
    parts = NAVIGATION | {
        "Guide": NAVIGATION["Guide"] + tuple(page for page in found if page not in named | {START})
    }
    return "\n\n".join(
        toctree([f"/{page}" for page in pages], caption, hidden=True) for caption, pages in parts.items()
    )


def pages(folder: str) -> str:
    """A list of all pages below a folder."""
    entries, titles = [], set()
    for path in sorted((ROOT / folder).rglob("*.md")):
        page = path.relative_to(ROOT).with_suffix("").as_posix()
        title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        # pages of the same title are told apart by their names
        entries.append(f"{title} ({path.stem}) </{page}>" if title in titles else f"/{page}")
        titles.add(title)
    return toctree(entries)


def toctree(entries: Iterable[str], caption: str = "", *, hidden: bool = False) -> str:
    """A list of pages in the words of Sphinx."""
    options = [f":caption: {caption}"] * bool(caption) + [":hidden:"] * hidden + [":maxdepth: 1"]
    return "\n".join(["```{toctree}", *options, "", *entries, "```"])


def commands() -> str:
    """A section for each command of the command line."""
    from napari_cpclnet.cli.app import app

    found = {
        one.name or one.callback.__name__: one.callback for one in app.registered_commands if one.callback
    }
    return "\n\n".join(command(name, found[name]) for name in sorted(found))


def command(name: str, function: Callable[..., None]) -> str:
    """Section of one command: what it does, how it is called, its arguments and options."""
    from typer.models import ArgumentInfo

    hints = get_type_hints(inspect.unwrap(function), include_extras=True)
    words, rows = [], ["| option | what it is |", "|---|---|"]
    for parameter in inspect.signature(function).parameters.values():
        kind, about = flat(hints[parameter.name])
        if isinstance(about, ArgumentInfo):
            words.append(title := about.metavar or parameter.name.upper())
        else:
            title = " ".join(filter(None, ["/".join(flags(parameter.name, about)), about.metavar or kind]))
        text, default = about.help or "", parameter.default
        if default is inspect.Parameter.empty:
            text += " Needed."
        elif isinstance(default, (int, float, str, Path)) and not isinstance(default, bool) and str(default):
            text += f" Default: {default}."
        rows.append(f"| {code(title)} | {cell(text)} |")
    usage = " ".join(["napari-cpclnet", name, *words, "[options]"])
    return "\n\n".join(
        [f"## {name}", inspect.cleandoc(function.__doc__ or ""), f"```text\n{usage}\n```", "\n".join(rows)]
    )


def flags(name: str, about: Any) -> list[str]:
    """What an option is called: as its annotation says, whose first word typer keeps apart, or as its parameter."""
    said = [word for word in (about.default, *(about.param_decls or ())) if str(word).startswith("-")]
    return said or ["--" + name.replace("_", "-")]


def flat(hint: Any) -> tuple[str, Any]:
    """What an annotated type takes, in capitals or as choices, and what typer is told about it."""
    from typer.models import ParameterInfo

    kind = hint.__origin__
    about = next(one for one in hint.__metadata__ if isinstance(one, ParameterInfo))
    choices = [
        value for part in (kind, *get_args(kind)) if get_origin(part) is Literal for value in get_args(part)
    ]
    names = [part.__name__.upper() for part in (kind, *get_args(kind)) if part in (int, float, str, Path)]
    return "|".join(map(str, choices)) or " ".join(names), about


def settings(where: str) -> str:
    """Table of the fields of a pydantic model."""
    module, _, name = where.partition(":")
    model = getattr(importlib.import_module(module), name)
    rows = ["| setting | default | what it is |", "|---|---|---|"]
    for field, about in model.model_fields.items():
        default = about.get_default(call_default_factory=True)
        shown = (
            "needed"
            if about.is_required()
            else "its own settings"
            if hasattr(default, "model_fields")
            else code(repr(default))
        )
        rows.append(f"| {code(field)} | {shown} | {cell(about.description or '')} |")
    return "\n\n".join([inspect.cleandoc(model.__doc__ or ""), "\n".join(rows)])


def python() -> str:
    """Section of each public name of the package."""
    import napari_cpclnet

    parts = []
    for name in napari_cpclnet.__all__:
        thing = getattr(napari_cpclnet, name)
        if inspect.isclass(thing):
            # the fields of settings have a page of their own
            members = [] if hasattr(thing, "model_fields") else ["   :members:"]
            directive = [f".. autoclass:: napari_cpclnet.{name}", *members]
        elif callable(thing):
            directive = [f".. autofunction:: napari_cpclnet.{name}"]
        else:
            continue
        parts.append("\n".join([f"## {name}", "", "```{eval-rst}", *directive, "```"]))
    return "\n\n".join(parts)


def licences() -> str:
    """Table of the licences of all dependencies that are installed where the site is built."""
    spec = importlib.util.spec_from_file_location("licences", ROOT / ".ci" / "licences.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.table(module.licences())


def code(text: str) -> str:
    """Text as code in a cell."""
    return f"`{cell(text)}`" if text else ""


def cell(text: str) -> str:
    """Text that fits into the cell of a table."""
    return re.sub(r"\s+", " ", text).replace("|", r"\|").strip()


KINDS = {
    "commands": commands,
    "licences": licences,
    "navigation": navigation,
    "pages": pages,
    "python": python,
    "settings": settings,
    "structures": structure_table,
}
