"""The house: no module imports one that imports it, however long the way, and no folder is too full to be read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
MOST_FILES = 24


def modules() -> dict[str, Path]:
    """Files of the package by the name of their module."""
    names = {path: path.relative_to(SOURCE).with_suffix("").parts for path in SOURCE.rglob("*.py")}
    return {".".join(parts[:-1] if parts[-1] == "__init__" else parts): path for path, parts in names.items()}


def code_of(path: Path) -> str:
    """What a file imports, now or, as the names of a room, when they are first used (``__init__.pyi``)."""
    stub = path.with_suffix(".pyi")
    return path.read_text(encoding="utf-8") + (stub.read_text(encoding="utf-8") if stub.exists() else "")


def imported(module: str, code: str) -> Iterator[tuple[str, str]]:
    """Module and name of each import: of those in functions and for type checks only, too."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from ((name.name, "") for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None and node.level < 2, "only the names of a room are relative"
            outer = f"{module}.{node.module}" if node.level else node.module
            yield from ((outer, name.name) for name in node.names)


def imports(codes: dict[str, str]) -> dict[str, set[str]]:
    """Modules of the same package that each module imports."""
    return {
        module: {
            inner if (inner := f"{outer}.{name}") in codes else outer
            for outer, name in imported(module, code)
        }
        & codes.keys() - {module}
        for module, code in codes.items()
    }


def circles(graph: dict[str, set[str]]) -> set[str]:
    """Members of a graph that are on a circle, by taking away the ends again and again."""
    left = {name: set(others) for name, others in graph.items()}
    while True:
        used = set().union(*left.values()) if left else set()
        ends = {name for name, others in left.items() if not others or name not in used}
        if not ends:
            return set(left)
        left = {name: others - ends for name, others in left.items() if name not in ends}


def test_no_module_is_on_a_circle_of_imports() -> None:
    codes = {name: code_of(path) for name, path in modules().items()}
    assert circles(imports(codes)) == set()


def test_a_circle_is_found_though_it_is_for_type_checks_only() -> None:
    codes = {
        "p.a": "from p.b import thing",
        "p.b": "if TYPE_CHECKING:\n    from p import c",
        "p.c": "def f():\n    import p.a",
        "p.d": "from p.a import other",
        "p": "",
    }
    assert circles(imports(codes)) == {"p.a", "p.b", "p.c"}


def test_no_folder_holds_more_files_than_can_be_overlooked() -> None:
    folders = {path.parent for path in modules().values()}
    assert {folder: n for folder in folders if (n := len(list(folder.glob("*.py")))) > MOST_FILES} == {}
