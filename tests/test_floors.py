"""The house stands: which room imports which, read from the source of every module.

The picture is in docs/architecture.md. An import counts wherever it stands: inside a function and
under `TYPE_CHECKING` too, since both tie one room to another.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "kedge"

FLOORS = {
    "version": 0, "errors": 0, "digest": 0, "data": 0, "home": 0, "boot": 0, "settings": 0,
    "registry": 0, "middleware": 0, "translation": 0, "ports": 0, "store": 0,
    "task": 1, "contract": 1, "package": 1, "engine": 1,
    "environment": 2,
    "runtime": 3, "executor": 3,
    "target": 4,
    "run": 5,
    "telemetry": 6,
    "client": 7,
    "cli": 8,
    "__init__": 9, "__main__": 9,
}  # fmt: skip

# The ground floor's rooms lean on one another, where no circle arises; so do these two pairs.
NEIGHBOURS = {("package", "task"), ("contract", "task")}

# What stands apart: it may import these of Kedge and nothing more, and nothing but a face imports it.
APART = {"primer": {"errors"}}
FACES = {"cli"}

# Programs that run where nothing is installed: one file, standard library, Python 3.8.
ALONE = [
    SOURCE / "contract" / "runner.py",
    SOURCE / "executor" / "warm" / "zygote.py",
    ROOT / "primer" / "proto.py",
]

# In the standard library of today, and not yet of Python 3.8.
LATER_THAN_3_8 = {"annotationlib", "compression", "graphlib", "string.templatelib", "tomllib", "zoneinfo"}  # fmt: skip


def modules() -> list[Path]:
    """Every module of the package."""
    return sorted(SOURCE.rglob("*.py"))


def room_of(module: Path) -> str:
    """The room a module stands in: the first part of its path below the package."""
    return module.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(module: Path, **parsing: tuple[int, int]) -> Iterator[tuple[str, int]]:
    """Every module name that is imported, and the line where."""
    package = ["kedge", *module.relative_to(SOURCE).parts[:-1]] if SOURCE in module.parents else []
    for node in ast.walk(ast.parse(module.read_text("utf-8"), str(module), **parsing)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            if name == "kedge":  # `from kedge import run` names a room, or something of __init__
                for alias in node.names:
                    is_room = alias.name in FLOORS or alias.name in APART
                    yield (f"kedge.{alias.name}" if is_room else "kedge"), node.lineno
            else:
                yield name, node.lineno


def rooms_imported(module: Path) -> Iterator[tuple[str, int]]:
    """The rooms of Kedge that a module imports; `__init__` for the package itself."""
    for name, line in imports(module):
        parts = name.split(".")
        if parts[0] == "kedge":
            yield (parts[1] if len(parts) > 1 else "__init__"), line


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(module) for module in modules()}
    assert rooms - FLOORS.keys() - APART.keys() == set()


def test_a_module_imports_only_from_floors_below() -> None:
    wrong = []
    for module in modules():
        room = room_of(module)
        for imported, line in rooms_imported(module):
            if imported == room or room in APART or (imported in APART and room in FACES):
                continue
            if imported not in FLOORS:
                wrong.append(f"{module.relative_to(ROOT)}:{line}: `{imported}` is not a room")
                continue
            below = FLOORS[imported] < FLOORS[room]
            beside = FLOORS[imported] == FLOORS[room] == 0 or (room, imported) in NEIGHBOURS
            if not below and not beside:
                place = f"{module.relative_to(ROOT)}:{line}"
                wrong.append(
                    f"{place}: {room} ({FLOORS[room]}) imports {imported} ({FLOORS[imported]})"
                )
    assert wrong == []


def test_what_stands_apart_imports_almost_nothing_of_kedge() -> None:
    wrong = [
        f"{module.relative_to(ROOT)}:{line}: {imported}"
        for module in modules()
        for imported, line in rooms_imported(module)
        if room_of(module) in APART and imported not in {room_of(module), *APART[room_of(module)]}
    ]
    assert wrong == []


def test_no_two_rooms_import_each_other_in_a_circle() -> None:
    edges: dict[str, set[str]] = {}
    for module in modules():
        room = room_of(module)
        edges.setdefault(room, set()).update(
            imported for imported, _ in rooms_imported(module) if imported != room
        )

    def circle(path: list[str]) -> list[str] | None:
        for imported in sorted(edges.get(path[-1], ())):
            if imported in path:
                return [*path[path.index(imported) :], imported]
            found = circle([*path, imported])
            if found:
                return found
        return None

    for room in sorted(edges):
        found = circle([room])
        assert found is None, " → ".join(found or [])


def guarded_lines(program: Path) -> set[int]:
    """The lines that only a newer Python reaches: under `if sys.version_info >= …`."""
    return {
        line
        for node in ast.walk(ast.parse(program.read_text("utf-8")))
        if isinstance(node, ast.If) and ast.unparse(node.test).startswith("sys.version_info >= ")
        for inside in node.body
        for line in range(inside.lineno, (inside.end_lineno or inside.lineno) + 1)
    }


@pytest.mark.parametrize("program", ALONE, ids=lambda program: program.name)
def test_a_program_that_stands_alone_needs_nothing_but_an_old_python(program: Path) -> None:
    guarded = guarded_lines(program)
    foreign = [
        f"{program.relative_to(ROOT)}:{line}: {name}"
        for name, line in imports(program, feature_version=(3, 8))
        if name.split(".")[0] not in sys.stdlib_module_names | LATER_THAN_3_8
        or (name in LATER_THAN_3_8 and line not in guarded)
    ]
    assert foreign == []


def test_every_room_says_what_it_is_for() -> None:
    silent = [
        str(module.relative_to(ROOT))
        for module in modules()
        if not ast.get_docstring(ast.parse(module.read_text("utf-8")))
    ]
    assert silent == []


def test_a_folder_with_modules_is_a_package() -> None:
    without = {module.parent for module in modules()} - {
        module.parent for module in modules() if module.name == "__init__.py"
    }
    assert without == set()
