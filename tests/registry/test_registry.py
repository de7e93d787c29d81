"""How kinds are found: in a class body, in a table, in other distributions."""

import sys
import textwrap
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, final

import pytest

from kedge.errors import PluginError
from kedge.registry import (
    AbstractKindError,
    BrokenPluginError,
    DuplicateKindError,
    FinalMethodError,
    Registered,
    Registry,
    UnknownKindError,
)


class Room:
    """A registry of its own for each test, with a base class that has a hook and a final method."""

    def __init__(self, builtin: dict[str, str] | None = None) -> None:
        self.registry: Registry[Registered] = Registry("gadget", "kedge.test_gadget", builtin or {})

        class Gadget(Registered, registry=self.registry):
            @abstractmethod
            def _work(self) -> str: ...

            @final
            def work(self) -> str:
                return self._work()

        self.base = Gadget


@pytest.fixture
def room() -> Room:
    return Room()


def write_plugin(site: Path, name: str, code: str, *points: str) -> None:
    """A distribution `name` with one module and entry points `kind = module:attribute`."""
    module = name.replace("-", "_")
    (site / f"{module}.py").write_text(textwrap.dedent(code))
    info = site / f"{module}-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[kedge.test_gadget]\n" + "".join(f"{point}\n" for point in points)
    )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: Room):
    """A folder on sys.path for plug-ins; `kedge_test_room.Gadget` is the base class they build on."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    module = type(sys)("kedge_test_room")
    module.Gadget = room.base  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kedge_test_room", module)
    yield folder
    for name in set(sys.modules) - before:
        del sys.modules[name]


GOOD = """
    from kedge_test_room import Gadget
    class {name}(Gadget):
        kind = "{kind}"
        def _work(self): return "{kind}"
"""


def test_a_class_body_is_enough(room: Room) -> None:
    class Hammer(room.base):
        kind = "hammer"

        def _work(self) -> str:
            return "bang"

    assert room.registry.get("hammer") is Hammer
    assert room.registry.get("hammer")().work() == "bang"
    assert room.registry.kinds() == ["hammer"]
    assert "Hammer" in room.registry.origin("hammer")
    assert __file__ in room.registry.origin("hammer")


def test_a_class_without_a_kind_of_its_own_is_not_registered(room: Room) -> None:
    class Tool(room.base):
        def _work(self) -> str:
            return ""

    class Saw(Tool):
        kind = "saw"

    class FineSaw(Saw):
        pass

    assert room.registry.kinds() == ["saw"]
    assert room.registry.get("saw") is Saw


def test_an_abstract_class_says_what_it_lacks(room: Room) -> None:
    class Drill(room.base):
        kind = "drill"

    with pytest.raises(AbstractKindError, match="_work") as caught:
        room.registry.get("drill")
    assert "Drill" in str(caught.value)
    assert caught.value.hint

    class RealDrill(room.base):
        kind = "drill"

        def _work(self) -> str:
            return ""

    assert room.registry.get("drill") is RealDrill


def test_two_classes_of_one_kind_are_both_named(room: Room) -> None:
    class One(room.base):
        kind = "same"

        def _work(self) -> str:
            return ""

    with pytest.raises(DuplicateKindError) as caught:

        class Other(room.base):
            kind = "same"

            def _work(self) -> str:
                return ""

    assert "One" in str(caught.value)
    assert "Other" in str(caught.value)
    assert room.registry.get("same") is One


def test_a_class_that_is_defined_again_replaces_itself(room: Room) -> None:
    def define() -> type:
        class Cell(room.base):
            kind = "cell"

            def _work(self) -> str:
                return ""

        return Cell

    define()
    latest = define()
    assert room.registry.get("cell") is latest


@pytest.mark.parametrize("kind", ["", "Upper", "with space", "9", 7, ["x"]])
def test_a_kind_is_a_short_word(room: Room, kind: object) -> None:
    with pytest.raises(PluginError, match="is not a kind"):
        type("Odd", (room.base,), {"kind": kind})


def test_an_unknown_kind_names_the_nearest(room: Room) -> None:
    class Hammer(room.base):
        kind = "hammer"

        def _work(self) -> str:
            return ""

    with pytest.raises(UnknownKindError, match="no gadget of kind 'hamer'") as caught:
        room.registry.get("hamer")
    assert "did you mean 'hammer'?" in str(caught.value.hint)


def test_a_final_method_cannot_be_overridden(room: Room) -> None:
    with pytest.raises(FinalMethodError, match=r"overrides work\(\)") as caught:

        class Cheat(room.base):
            def work(self) -> str:
                return ""

    assert isinstance(caught.value, TypeError)
    assert "_work()" in str(caught.value.hint)


def test_a_final_method_cannot_be_overridden_by_a_mixin(room: Room) -> None:
    class Mixin:
        def work(self) -> str:
            return ""

    with pytest.raises(FinalMethodError, match=r"through .*Mixin\.work"):

        class Cheat(Mixin, room.base):
            kind: ClassVar[str] = "cheat"

    assert room.registry.kinds() == []


def test_what_was_unregistered_is_gone(room: Room) -> None:
    class Hammer(room.base):
        kind = "hammer"

        def _work(self) -> str:
            return ""

    room.registry.unregister("hammer")
    room.registry.unregister("hammer")
    assert room.registry.kinds() == []


def test_a_plug_in_is_found_when_it_is_asked_for(room: Room, site: Path) -> None:
    write_plugin(
        site, "kedge-lathe", GOOD.format(name="Lathe", kind="lathe"), "lathe = kedge_lathe:Lathe"
    )
    assert "kedge_lathe" not in sys.modules
    assert room.registry.kinds() == ["lathe"]
    assert "kedge_lathe" not in sys.modules
    assert room.registry.get("lathe")().work() == "lathe"
    assert "kedge-lathe 1.0" in room.registry.origin("lathe")


def test_one_module_may_bring_several_kinds(room: Room, site: Path) -> None:
    code = GOOD.format(name="One", kind="one") + GOOD.format(name="Two", kind="two")
    write_plugin(site, "kedge-pair", code, "one = kedge_pair:One", "two = kedge_pair:Two")
    assert room.registry.get("one")().work() == "one"
    assert room.registry.get("two")().work() == "two"


def test_a_broken_plug_in_breaks_nothing_else(room: Room, site: Path) -> None:
    write_plugin(
        site, "kedge-good", GOOD.format(name="Good", kind="good"), "good = kedge_good:Good"
    )
    write_plugin(site, "kedge-bad", "1 / 0", "bad = kedge_bad:Bad")
    write_plugin(site, "kedge-quits", "raise SystemExit(3)", "quits = kedge_quits:Quits")
    write_plugin(site, "kedge-other", GOOD.format(name="X", kind="x"), "wrong = kedge_other:X")
    write_plugin(site, "kedge-half", "from kedge_test_room import Gadget\nclass H(Gadget): kind = 'half'",
                 "half = kedge_half:H")  # fmt: skip
    assert room.registry.get("good")().work() == "good"
    for _ in range(2):
        with pytest.raises(BrokenPluginError, match="ZeroDivisionError") as caught:
            room.registry.get("bad")
        assert "kedge-bad 1.0" in str(caught.value)
        assert "1 / 0" in str(caught.value.traceback)
    with pytest.raises(BrokenPluginError, match="SystemExit"):
        room.registry.get("quits")
    with pytest.raises(BrokenPluginError, match="brings no gadget of kind 'wrong'"):
        room.registry.get("wrong")
    with pytest.raises(AbstractKindError, match="_work"):
        room.registry.get("half")
    found = {plugin.kind: type(plugin.problem) for plugin in room.registry.plugins()}
    assert found == {
        "good": type(None),
        "bad": BrokenPluginError,
        "quits": BrokenPluginError,
        "wrong": BrokenPluginError,
        "half": AbstractKindError,
    }


def test_two_plug_ins_of_one_kind_are_both_named(room: Room, site: Path) -> None:
    for name in ("kedge-left", "kedge-right"):
        module = name.replace("-", "_")
        write_plugin(site, name, GOOD.format(name="Same", kind="same"), f"same = {module}:Same")
    with pytest.raises(DuplicateKindError) as caught:
        room.registry.get("same")
    assert "kedge-left 1.0" in str(caught.value)
    assert "kedge-right 1.0" in str(caught.value)


def test_an_unreadable_distribution_hides_no_other(room: Room, site: Path) -> None:
    write_plugin(
        site, "kedge-good", GOOD.format(name="Good", kind="good"), "good = kedge_good:Good"
    )
    write_plugin(site, "kedge-garbage", "", "garbage")
    (site / "kedge_garbage-1.0.dist-info" / "entry_points.txt").write_bytes(
        b"[a\n\xff\xfe = \n=:=\n"
    )
    assert room.registry.get("good")().work() == "good"
    problems = [plugin for plugin in room.registry.plugins() if plugin.problem]
    assert any("kedge_garbage" in plugin.origin for plugin in problems)


def test_a_kind_that_comes_with_kedge_is_imported_when_asked_for(site: Path) -> None:
    room = Room({"anvil": "kedge_anvil"})
    sys.modules["kedge_test_room"].Gadget = room.base  # type: ignore[attr-defined]
    (site / "kedge_anvil.py").write_text(textwrap.dedent(GOOD.format(name="Anvil", kind="anvil")))
    assert room.registry.kinds() == ["anvil"]
    assert "kedge_anvil" not in sys.modules
    with pytest.raises(DuplicateKindError, match="comes with Kedge"):

        class Mine(room.base):
            kind = "anvil"

            def _work(self) -> str:
                return ""

    assert room.registry.get("anvil").__name__ == "Anvil"
    room.registry.unregister("anvil")
    assert room.registry.get("anvil").__name__ == "Anvil"


def test_known_kinds_need_no_metadata(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hammer(room.base):
        kind = "hammer"

        def _work(self) -> str:
            return ""

    monkeypatch.setitem(sys.modules, "importlib.metadata", None)
    assert room.registry.get("hammer") is Hammer
