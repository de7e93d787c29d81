"""Each room's kinds: final methods stay final, and plug-ins of every sort behave as one another's."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kedge import CommandRuntime, Executor, Port, Runtime, Target
from kedge.errors import TaskError
from kedge.executor import executors
from kedge.executor.process import ProcessExecutor
from kedge.registry import AbstractKindError, DuplicateKindError, FinalMethodError, Registry
from kedge.runtime import runtimes
from kedge.target import LocalTarget, targets
from kedge.task import port_types


class Room(NamedTuple):
    """A room's base class, its final method, a class that builds on it, and a kind that comes with Kedge."""

    registry: Registry[Any]
    base: type
    final: str
    derived: type
    builtin: str


ROOMS = [
    Room(runtimes, Runtime, "setup_runtime", CommandRuntime, "command"),
    Room(executors, Executor, "execute", ProcessExecutor, "sandbox"),
    Room(targets, Target, "place", LocalTarget, "local"),
]
PORTS = Room(port_types, Port, "", Port, "file")


def named(room: Room) -> str:
    return room.registry.noun


async def override(self: object, *given: object) -> None: ...


@pytest.mark.parametrize("room", ROOMS, ids=named)
def test_its_final_method_cannot_be_overridden_however_a_class_does_it(room: Room) -> None:
    mixin = type("Mixin", (), {room.final: override})
    under = type("Under", (mixin,), {})
    abstract = type("Abstract", (room.base,), {})
    before = room.registry.kinds()
    for bases, body in (
        ((room.base,), {room.final: override}),
        ((room.base,), {room.final: None}),
        ((room.derived,), {room.final: override}),
        ((abstract,), {room.final: override}),
        ((mixin, room.base), {}),
        ((under, room.derived), {}),
        ((mixin, abstract), {"kind": "cheat"}),
        ((room.base,), {"kind": "cheat", room.final: property(override)}),
    ):
        with pytest.raises(FinalMethodError, match=rf"Cheat overrides {room.final}\(\)") as raised:
            type("Cheat", bases, body)
        assert isinstance(raised.value, TypeError)
        assert room.base.__qualname__ in str(raised.value)
        assert f"write _{room.final}() instead" in str(raised.value.hint)
    assert room.registry.kinds() == before
    # Behind the base a mixin overrides nothing.
    assert getattr(type("Fine", (room.base, mixin), {}), room.final) is getattr(
        room.base, room.final
    )


@pytest.mark.parametrize("room", [*ROOMS, PORTS], ids=named)
def test_a_kind_that_comes_with_kedge_cannot_be_claimed(room: Room) -> None:
    with pytest.raises(DuplicateKindError, match="comes with Kedge") as raised:
        type("Mine", (room.derived,), complete(room) | {"kind": room.builtin})
    assert "Mine" in str(raised.value) and raised.value.hint
    assert room.registry.get(room.builtin).__module__.startswith("kedge.")


@pytest.mark.parametrize("room", [*ROOMS, PORTS], ids=named)
def test_a_kind_that_two_classes_claim_stays_the_first_ones(room: Room) -> None:
    first = type("First", (room.derived,), complete(room) | {"kind": "twice"})
    try:
        with pytest.raises(DuplicateKindError) as raised:
            type("Second", (room.derived,), complete(room) | {"kind": "twice"})
        assert "First" in str(raised.value) and "Second" in str(raised.value)
        assert room.registry.get("twice") is first
    finally:
        room.registry.unregister("twice")


@pytest.mark.parametrize("room", [*ROOMS, PORTS], ids=named)
def test_a_class_that_leaves_its_hook_out_says_so_when_it_is_asked_for(room: Room) -> None:
    type("Half", (room.base,), {"kind": "half"})
    try:
        with pytest.raises(AbstractKindError, match=f"_{room.final}" if room.final else "schema"):
            room.registry.get("half")
    finally:
        room.registry.unregister("half")


def complete(room: Room) -> dict[str, Any]:
    """What a class that derives from the room's needs to be complete."""
    return {"schema": {}, "bound": None} if room is PORTS else {}


# ---- distributions --------------------------------------------------------------------------------------


class Sort(NamedTuple):
    """One sort of plug-in: its group, and a base class from which one line makes a complete one."""

    group: str
    base: str
    body: str
    final: str


SORTS = {
    "runtime": Sort("kedge.runtime", "kedge.Runtime", "async def _setup_runtime(self, task): ...", "setup_runtime"),
    "executor": Sort("kedge.executor", "kedge.executor.process.ProcessExecutor", "pass", "execute"),
    "target": Sort("kedge.target", "kedge.Target", "async def _place(self, executor, payload, job): ...", "place"),
    "port": Sort("kedge.port_type", "kedge.Port", "schema = {}; bound = None", ""),
}  # fmt: skip

BUILTIN = {"runtime": "command", "executor": "sandbox", "target": "local", "port": "file"}

GOOD = """
import kedge, kedge.executor.process
class {name}({sort.base}):
    kind = "{kind}"
    {sort.body}
"""


def install(site: Path, name: str, group: str, kind: str, code: str) -> None:
    """A distribution of one module and one entry point, as an installer leaves it."""
    module = name.replace("-", "_")
    (site / f"{module}.py").write_text(code)
    info = site / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{kind} = {module}\n")


@pytest.fixture
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Installed plug-ins of one sort: a good one, and one of each way to be wrong."""
    sort = SORTS[request.param]
    place = tmp_path / "site"
    place.mkdir()

    def good(name: str, kind: str) -> str:
        return GOOD.format(name=name, kind=kind, sort=sort)

    install(place, "p-good", sort.group, "good", good("Good", "good"))
    install(place, "p-wreck", sort.group, "wreck", "1 / 0")
    install(place, "p-left", sort.group, "same", good("Left", "same"))
    install(place, "p-right", sort.group, "same", good("Right", "same"))
    install(place, "p-takes", sort.group, BUILTIN[request.param], good("Takes", "takes"))
    install(place, "p-other", sort.group, "other", good("Other", "another"))
    half = good("Half", "half").replace("process.ProcessExecutor", "Executor")
    install(place, "p-half", sort.group, "half", half.replace(sort.body, "pass"))
    if sort.final:
        code = good("Cheat", "cheat") + f"    def {sort.final}(self): ..."
        install(place, "p-cheat", sort.group, "cheat", code.replace("    pass\n", ""))
    return place


def python(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        env=os.environ | {"PYTHONPATH": f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        cwd=site,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("site", SORTS, indirect=True)
def test_plug_ins_that_are_wrong_are_told_each_by_itself_and_harm_no_other(
    site: Path, request: pytest.FixtureRequest
) -> None:
    sort = request.node.callspec.params["site"]
    ended = python(site, "-m", "kedge", "plugins", "--json")
    assert ended.returncode == 1, ended.stderr
    listed = json.loads(ended.stdout)
    brought = {(one["sort"], one["kind"]): one for one in listed if "p-" in one["origin"]}
    wrong = {"wreck", "same", "other", "half", *(["cheat"] if SORTS[sort].final else [])}
    states = {kind: one["state"] for (_, kind), one in brought.items()}
    expected = dict.fromkeys({*wrong, BUILTIN[sort]}, "broken")
    assert states == expected | {"good": "ready", "another": "ready"}
    assert {one for one, _ in brought} == {sort}
    assert all(one["state"] == "ready" for one in listed if "p-" not in one["origin"])
    said = python(site, "-m", "kedge", "plugins").stderr
    for text in ("ZeroDivisionError", "1 / 0", "p-left 1.0", "p-right 1.0", "is claimed twice",
                 f"brings no {SORTS[sort].group[6:].replace('_', ' ')} of kind 'other'", "is abstract"):  # fmt: skip
        assert text in said
    assert not SORTS[sort].final or f"overrides {SORTS[sort].final}()" in said


ASKING = """
import sys
from kedge.client.definition import load
from kedge.errors import KedgeError
from kedge.executor import executors
from kedge.runtime import runtimes
from kedge.target import targets
from kedge.task import port_types
registry = {"runtime": runtimes, "executor": executors, "target": targets, "port": port_types}[sys.argv[1]]
assert not {name for name in sys.modules if name.startswith("p_")}
for kind in sys.argv[2:]:
    try:
        print(kind, registry.get(kind).__name__)
    except KedgeError as error:
        print(kind, type(error).__name__, error, "1 / 0" in str(getattr(error, "traceback", "")))
    part = {"kind": kind, "id": "x"} if sys.argv[1] == "port" else {"kind": kind}
    side = {"port": "inputs"}.get(sys.argv[1], sys.argv[1])
    task = {"runtime": {"kind": "command", "command": "true"}}
    try:
        load(task | {side: [part] if side == "inputs" else part})
    except KedgeError as error:
        print("loading", kind, type(error).__name__, error)
print(sorted(name for name in sys.modules if name.startswith("p_")))
"""


@pytest.mark.parametrize("site", SORTS, indirect=True)
def test_a_plug_in_that_is_wrong_is_told_the_moment_its_kind_is_asked_for(
    site: Path, request: pytest.FixtureRequest
) -> None:
    sort = request.node.callspec.params["site"]
    ended = python(site, "-c", ASKING, sort, "good", "wreck", "same", "half")
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    said = {line.split()[0]: line for line in lines}
    assert said["good"] == "good Good"
    assert "BrokenPluginError" in said["wreck"] and said["wreck"].endswith("True")
    assert "DuplicateKindError" in said["same"] and "AbstractKindError" in said["half"]
    loading = [line for line in lines if line.startswith("loading") and "loading good" not in line]
    assert [line.split()[1:3] for line in loading] == [
        [kind, TaskError.__name__] for kind in ("wreck", "same", "half")
    ]
    assert "p-wreck 1.0" in loading[0] and "p-left 1.0" in loading[1]
    assert lines[-1] == "['p_good', 'p_half']"  # nothing of those that were not asked for
