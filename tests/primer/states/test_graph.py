"""Goals, order, and graphs that make no sense."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kedge.errors import UnknownName, UsageError
from kedge.primer import Context, State, state
from kedge.primer.drawing import as_mermaid, as_text
from kedge.primer.explaining import explain
from kedge.primer.graph import Graph
from kedge.primer.records import Place


def named(name: str, **options: Any) -> State:
    """A state that does nothing."""

    def nothing(ctx: Context) -> None:
        """Nothing."""

    return State(nothing, name=name, **options)


def test_what_is_needed_comes_first_and_once() -> None:
    a = named("a")
    b = named("b", needs=[a])
    c = named("c", needs=[b, a])
    d = named("d")
    graph = Graph([d, c])
    assert [one.name for one in graph.order([c])] == ["a", "b", "c"]
    assert set(graph.states) == {"a", "b", "c", "d"}
    assert graph.goals() == [d, c]
    assert graph.goals(["a", "b", "a"]) == [a, b]


def test_a_long_chain_has_an_order() -> None:
    last = named("s0")
    for number in range(1, 3000):
        last = named(f"s{number}", needs=[last])
    assert len(Graph([last]).order([last])) == 3000


def test_a_circle_is_an_error_with_its_path() -> None:
    a = named("a")
    b = named("b", needs=[a])
    c = named("c", replaces=a, needs=[b])
    with pytest.raises(UsageError, match=r"in a circle: c → b → c$"):
        Graph([c, named("other")])


def test_an_unknown_goal_is_an_error_with_the_nearest_names() -> None:
    graph = Graph([named("web_built"), named("web_checked"), named("database")])
    with pytest.raises(UnknownName, match="there is no state `web_buit`") as error:
        graph.goals(["web_buit"])
    assert error.value.hint is not None
    assert error.value.hint.startswith("there is `web_built`")
    with pytest.raises(UnknownName) as error:
        graph.goals(["zzz"])
    assert error.value.hint == "there is `database`, `web_built`, `web_checked`"


def test_two_states_of_one_name_are_an_error_with_both_places() -> None:
    with pytest.raises(
        UsageError, match=r"called `a`: .*test_graph.py:\d+ and .*test_graph.py:\d+"
    ):
        Graph([named("a"), named("a")])


def test_two_replacements_of_one_state_are_an_error() -> None:
    a = named("a")
    with pytest.raises(UsageError, match="`b` and `c` both replace `a`"):
        Graph([named("b", replaces=a), named("c", replaces=a)])


def test_a_replacement_may_be_replaced() -> None:
    a = named("a")
    b = named("b", replaces=a)
    c = named("c", replaces=b)
    graph = Graph([named("d", needs=[a]), c])
    assert list(graph.states) == ["d", "c"]
    assert graph.goals(["a", "b", "c"]) == [c]
    assert graph.needs(graph.states["d"]) == [c]


def test_a_replacement_has_what_the_original_has_unless_it_says_otherwise() -> None:
    need, other = named("need"), named("other")

    def yes(ctx: Context) -> bool:
        return True

    original = named("a", needs=[need], inputs=["x"], outputs=["y"], check=yes, always=True)
    mine = named("b", replaces=original, needs=[other], inputs=["z"], outputs=["w"])
    assert (mine.needs, mine.inputs, mine.outputs) == ((other, need), ("z", "x"), ("w",))
    assert (mine.check, mine.always) == (yes, True)
    assert named("c", replaces=original).outputs == ("y",)


def test_a_ready_made_state_is_called_as_its_variable() -> None:
    def made(ctx: Context) -> None: ...

    module = ModuleType("things")
    vars(module).update(node_modules=State(made), other=1)
    assert list(Graph.of(module).states) == ["node_modules"]
    assert named("given-name").name == "given-name"


def test_a_ready_made_state_is_called_as_in_the_module_that_declares_it(project: Any) -> None:
    project.states(
        """
from kedge.primer.ready import node_packages

modules = node_packages("web")

@state(needs=[modules])
def built(ctx): ...
""",
        module="front",
    )
    project.states("from pkg.front import built\n")
    assert list(project.reasons()) == ["modules", "built"]


@pytest.mark.parametrize("name", ["", "a/b", "..", "-h", "a b"])
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is no name of a state"):
        named(name)


def test_needs_are_states_and_paths_are_lists() -> None:
    with pytest.raises(UsageError, match="needs 'a', which is no state"):
        named("b", needs=["a"])
    with pytest.raises(
        UsageError, match="the inputs of `b` are 'web', not a list of texts"
    ) as error:
        named("b", inputs="web")
    assert error.value.hint == 'write inputs=["web"]'
    with pytest.raises(UsageError, match="the outputs of `b`"):
        named("b", outputs=[1])


def test_a_state_may_be_declared_without_parentheses() -> None:
    @state
    def plain(ctx: Context) -> None:
        """The first line.

        The second.
        """

    assert (plain.name, plain.summary) == ("plain", "The first line.")


def found(tmp_path: Path, *states: State) -> list[dict[str, Any]]:
    """How the states of a project stand that was never started."""
    return explain(Graph(states), Place(str(tmp_path), str(tmp_path / "home")))


def some() -> list[State]:
    """A graph with everything that is drawn."""
    packages = named("packages", outputs=["web/node_modules"])
    mine = named("mine", replaces=packages)
    built = named("built", needs=[packages], inputs=["web"], skip_if=lambda ctx: "no web")
    return [mine, built, named("all", needs=[built, packages]), named("end")]


def test_a_graph_is_drawn_as_a_tree(tmp_path: Path) -> None:
    assert as_text(found(tmp_path, *some())).splitlines() == [
        "all  stale",
        "├── built  skipped: no web",
        "│   └── mine  stale",
        "└── mine  stale",
        "end  stale",
    ]
    deep = named("deep", needs=[named("deeper")])
    both = [named("top", needs=[deep]), named("side", needs=[deep])]
    assert as_text(found(tmp_path, *both)).splitlines() == [
        "top  stale",
        "└── deep  stale",
        "    └── deeper  stale",
        "side  stale",
        "└── deep  stale (above)",
    ]
    assert as_text([]) == "no states"


def test_a_long_chain_is_drawn() -> None:
    chain = [
        {
            "name": str(one),
            "needs": [str(one + 1)] if one < 3000 else [],
            "fresh": True,
            "skipped": None,
        }
        for one in range(3001)
    ]
    assert as_text(chain).count("\n") == 3000


def test_a_graph_is_drawn_as_mermaid(tmp_path: Path) -> None:
    assert as_mermaid(found(tmp_path, *some())).splitlines() == [
        "flowchart TD",
        '    s0["mine"]:::stale',
        '    s1["built"]',
        '    s2(["all"]):::stale',
        '    s3(["end"]):::stale',
        "    s0 --> s1",
        "    s1 --> s2",
        "    s0 --> s2",
        "    classDef stale stroke-dasharray: 5 5",
    ]


def test_the_package_is_light_to_import() -> None:
    """A start with nothing to do imports nothing that costs more than itself."""
    import subprocess

    code = "import sys; before = {*sys.modules}\nimport kedge.primer.boot\nprint(*({*sys.modules} - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {name for name in done.stdout.split() if not name.startswith("kedge")}
    assert heavy <= {"zlib"}
