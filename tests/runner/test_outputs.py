"""What a handler returns: values as JSON, files in their places, and faults by name."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

VALUE = {"kind": "value", "extensions": []}


def file(*extensions: str, kind: str = "file") -> dict[str, Any]:
    return {"kind": kind, "extensions": list(extensions)}


def test_python_values_become_plain_json(everywhere: Any) -> None:
    everywhere.write(
        module="""
        import array, collections, dataclasses, datetime as dt, decimal, enum, fractions, uuid
        from pathlib import Path
        from typing import NamedTuple

        class Grade(enum.Enum):
            MILD = "S235"
            ODD = (1, 2)

        class Text(str, enum.Enum):
            A = "a"

        class Level(enum.IntEnum):
            LOW = 1

        class Point(NamedTuple):
            x: int
            when: dt.date

        @dataclasses.dataclass
        class Bolt:
            grade: Grade
            points: list

        class MyInt(int):
            def __repr__(self): return "hidden"
        class MyFloat(float):
            def __repr__(self): return "hidden"
        class MyStr(str):
            def __str__(self): return "hidden"

        day = dt.date(2024, 2, 29)

        def f():
            shared = [1]
            return {
                "date": day, "datetime": dt.datetime(2024, 2, 29, 12, 0, 0, 500000, dt.timezone.utc),
                "time": dt.time(1, 2), "zero": dt.timedelta(0), "long": dt.timedelta(days=1, seconds=3661),
                "short": dt.timedelta(microseconds=1500), "negative": -dt.timedelta(hours=36),
                "grade": Grade.MILD, "odd": Grade.ODD, "text": Text.A, "level": Level.LOW,
                "bolt": Bolt(Grade.MILD, [Point(1, day)]),
                "set": {3, 1, 2}, "mixed": len([x for x in {1, "a"}]), "frozen": frozenset("b"),
                "tuple": (1, (2,)), "deque": collections.deque([1]), "range": range(3),
                "keys": {"a": 1}.keys(), "array": array.array("d", [1.5]),
                "path": Path("a/b"), "uuid": uuid.UUID(int=1),
                "decimal": decimal.Decimal("1.25"), "fraction": fractions.Fraction(1, 4),
                "int": MyInt(3), "float": MyFloat(1.5), "str": MyStr("x"), "bool": True, "none": None,
                "huge": 10 ** 4000, "shared": [shared, shared], "unicode": "\\u00fc\\U0001f600\\u2028",
                "ordered": collections.OrderedDict(b=1, a=2), "default": collections.defaultdict(int, a=1),
                "numbers": {1: "a", Grade.MILD: "b", day: "c", MyStr("d"): 1},
                "floats": [0.1, -0.0, 1e308, 5e-324], "empty": [], "nested": {"a": [{"b": [1.5]}]},
            }
        """
    )
    assert everywhere.result("module:f") == {
        "date": "2024-02-29", "datetime": "2024-02-29T12:00:00.500000+00:00", "time": "01:02:00",
        "zero": "PT0S", "long": "P1DT1H1M1S", "short": "PT0.0015S", "negative": "-P1DT12H",
        "grade": "S235", "odd": "ODD", "text": "a", "level": 1,
        "bolt": {"grade": "S235", "points": [{"x": 1, "when": "2024-02-29"}]},
        "set": [1, 2, 3], "mixed": 2, "frozen": ["b"], "tuple": [1, [2]], "deque": [1], "range": [0, 1, 2],
        "keys": ["a"], "array": [1.5], "path": "a/b", "uuid": "00000000-0000-0000-0000-000000000001",
        "decimal": 1.25, "fraction": 0.25, "int": 3, "float": 1.5, "str": "x", "bool": True, "none": None,
        "huge": 10**4000, "shared": [[1], [1]], "unicode": "ü😀\u2028", "ordered": {"b": 1, "a": 2},
        "default": {"a": 1}, "numbers": {"1": "a", "S235": "b", "2024-02-29": "c", "d": 1},
        "floats": [0.1, -0.0, 1e308, 5e-324], "empty": [], "nested": {"a": [{"b": [1.5]}]},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("float('nan')", "`bad` is NaN"),
        ("[1.0, float('inf')]", "`bad[1]` is infinity"),
        ("{'a': [{'b': -math.inf}]}", "`bad.a[0].b` is -infinity"),
        ("decimal.Decimal('NaN')", "`bad` is NaN"),
        ("object()", "`bad` is a `object`, which JSON cannot carry"),
        (
            "{'x': 1j}",
            "`bad.x` is a `complex`, which JSON cannot carry: return its real and imaginary",
        ),
        ("b'bytes'", "write a file"),
        ("(x for x in [])", "return a list of its items"),
        ("iter([])", "return a list of its items"),
        ("lambda: 0", "`function`"),
        ("circle", "`bad[0]` contains itself"),
        ("deep(100_000)", "`bad` is nested too deeply"),
        ("{(1, 2): 3}", "has the key (1, 2): a `tuple`, not text"),
        ("{None: 3}", "a `NoneType`, not text"),
        ("{True: 3}", "a `bool`, not text"),
        ("{1: 'a', '1': 'b'}", "two keys that both read `1`"),
        ("10 ** 5000", "more than 4300 digits"),
        ("'\\udc80'", "lone surrogate"),
        ("{'\\udc80': 1}", "lone surrogate"),
        ("[float('nan')] * 1000", "and there may be more"),
    ],
)
def test_what_json_cannot_carry_is_named_with_its_place(
    workspace: Any, value: str, words: str
) -> None:
    workspace.write(
        module=f"""
        import decimal, math
        circle = []
        circle.append(circle)
        def deep(n):
            made = []
            for _ in range(n):
                made = [made]
            return made
        def f(): return {{"good": 1, "bad": {value}}}
        """
    )
    ended = workspace.run("module:f")
    assert ended.code == 1 and ended.error["type"] == "ContractError"
    assert words in ended.error["error"], ended.error["error"]
    assert "traceback" not in ended.error and ended.data is None


def test_all_faults_are_named_at_once(everywhere: Any) -> None:
    everywhere.write(
        module="""
        def f():
            return {"a": float("nan"), "b": [object()], "c": "/nowhere.txt", "d": b"", "e": 1}
        """
    )
    outputs = {"a": VALUE, "b": VALUE, "c": file("txt"), "d": file(), "e": VALUE}
    told = everywhere.run("module:f", outputs=outputs, open=False).error
    error = told["error"]
    assert [problem["path"] for problem in told["problems"]] == ["a", "b[0]", "c", "d"]
    for words in (
        "`a` is NaN",
        "`b[0]` is a `object`",
        "`c` is `/nowhere.txt`, which does not exist",
        "`d`",
    ):
        assert words in error


def test_files_go_to_their_places(everywhere: Any, tmp_path: Path) -> None:
    outside = tmp_path / "outside.TXT"
    outside.write_text("outside")
    everywhere.write(
        module=f"""
        import kedge
        from pathlib import Path

        def f():
            for name in ("out/under.txt", "out/artifacts/kept.tar.gz", "scratch/several1.csv", "out/twice.csv"):
                Path(name).write_text(name)
            kedge.out_path("direct", ".med").write_text("direct")
            case = kedge.out_path("case")
            (case / "system").mkdir(parents=True)
            (case / "system" / "controlDict").write_text("x")
            Path("out/tree/deep").mkdir(parents=True)
            Path("out/tree/deep/leaf").write_text("leaf")
            Path("out/link.txt").symlink_to({str(outside)!r})
            return {{
                "under": Path("out/under.txt"), "outside": Path({str(outside)!r}), "text": "out/artifacts/kept.tar.gz",
                "direct": kedge.out_path("direct", "med"), "case": case, "tree": Path("out/tree"),
                "several": [Path("scratch/several1.csv"), "out/twice.csv"], "again": Path("out/twice.csv"),
                "link": Path("out/link.txt"), "none": None,
                "ordered": [Path("out/twice.csv"), Path("scratch/several1.csv")],
            }}
        """
    )
    outputs = {
        "under": file("txt"), "outside": file("txt"), "text": file(), "direct": file(), "none": file(),
        "case": file(kind="folder"), "tree": file(kind="folder"), "several": file("csv", kind="files"),
        "again": file("csv"), "link": file("txt"), "ordered": file(kind="files"),
    }  # fmt: skip
    ended = everywhere.run("module:f", outputs=outputs, open=False)
    assert ended.code == 0, ended.stderr
    assert ended.data == {}
    assert ended.files == {
        "under.txt": b"out/under.txt", "outside.TXT": b"outside", "text.tar.gz": b"out/artifacts/kept.tar.gz",
        "direct.med": b"direct", "case/system/controlDict": b"x", "tree/deep/leaf": b"leaf",
        "several/several1.csv": b"scratch/several1.csv", "several/twice.csv": b"out/twice.csv",
        "ordered/0-twice.csv": b"out/twice.csv", "ordered/1-several1.csv": b"scratch/several1.csv",
        "again.csv": b"out/twice.csv", "link.txt": b"outside",
    }  # fmt: skip
    assert (
        not (ended.out / "under.txt").exists()
        and not (ended.out / "files" / "link.txt").is_symlink()
    )
    assert outside.exists()


def test_an_open_output_that_is_a_file_is_kept_as_one(workspace: Any) -> None:
    workspace.write(
        module="""
        from pathlib import Path
        def f():
            Path("scratch/plot.svg").write_text("<svg/>")
            return {"plot": Path("scratch/plot.svg"), "name": Path("not/there"), "text": "scratch/plot.svg"}
        """
    )
    ended = workspace.run("module:f")
    assert ended.data == {"name": "not/there", "text": "scratch/plot.svg"}
    assert ended.files == {"plot.svg": b"<svg/>"}


@pytest.mark.parametrize(
    ("value", "output", "words"),
    [
        ("Path('out/a.txt')", file("pdf", "svg"), "`x` takes .pdf, .svg, not `a.txt`"),
        ("Path('out')", file(), "is no regular file"),
        ("Path('out/a.txt')", file(kind="folder"), "is not a folder"),
        ("3", file(kind="folder"), "`x` is a Folder: return its path, not a `int`"),
        ("[Path('out/a.txt'), 3]", file(kind="files"), "return paths, not a `int`"),
        (
            "[Path('out/a.txt')]",
            file("pdf", kind="files"),
            "does not take the extension of `a.txt`",
        ),
        ("Path('out')", file(kind="folder"), "which holds the outputs themselves"),
        ("Path('/dev/null')", file(), "is no regular file"),
        ("Path('bad' + chr(0))", file(), "`x`"),
    ],
)
def test_files_that_cannot_be_outputs_are_named(
    workspace: Any, value: str, output: dict[str, Any], words: str
) -> None:
    workspace.write(
        module=f"""
        from pathlib import Path
        def f():
            Path("out/a.txt").write_text("a")
            Path("scratch/a.txt").write_text("b")
            return {{"x": {value}, "y": 1}}
        """
    )
    ended = workspace.run("module:f", outputs={"x": output, "y": VALUE}, open=False)
    assert ended.code == 1 and ended.error["type"] == "ContractError"
    assert words in ended.error["error"], ended.error["error"]


def test_the_result_is_written_whole_or_not_at_all(workspace: Any) -> None:
    workspace.write(module="import os\ndef f():\n    os.mkdir('out/data.json')\n    return 1")
    (workspace.root / "in" / "data.json").write_text("{}")
    ended = workspace.start("run", {"handler": "module:f", "outputs": {}, "open": True})
    ended.communicate()
    assert ended.returncode == 1
    error = json.loads((workspace.root / "out" / "_runner_error.json").read_text())
    assert error["type"] == "ContractError" and "cannot be written" in error["error"]


def test_data_json_replaces_a_link_and_does_not_follow_it(workspace: Any, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    workspace.write(
        module=f"import os\ndef f():\n    os.symlink({str(victim)!r}, 'out/data.json')\n    return 1"
    )
    assert workspace.result("module:f") == {"result": 1}
    assert victim.read_text() == "untouched"
    assert not os.path.islink(workspace.root / "out" / "data.json")


def test_pydantic_models_travel_both_ways(equipped: Any) -> None:
    equipped.write(
        module="""
        import datetime as dt
        from decimal import Decimal
        from typing import Annotated, List, Optional
        from pydantic import BaseModel, Field

        class Inner(BaseModel):
            when: dt.date
            children: List["Inner"] = []

        class Bolt(BaseModel):
            diameter: float = Field(gt=0, description="Nominal", alias="d")
            inner: Optional[Inner] = None
            title: str = "x"

        class Report(BaseModel):
            stress: float
            when: dt.timedelta

        def f(bolt: Bolt, n: Annotated[int, Field(ge=1, description="Count")] = 1) -> Report:
            assert isinstance(bolt, Bolt) and isinstance(bolt.inner.when, dt.date)
            return Report(stress=bolt.diameter * n, when=dt.timedelta(hours=1))
        """
    )
    described = equipped.describe("module:f")["module:f"]
    bolt = described["inputs"]["properties"]["bolt"]
    assert bolt["properties"]["d"] == {
        "type": "number",
        "exclusiveMinimum": 0,
        "description": "Nominal",
    }
    assert bolt["properties"]["title"] == {"type": "string", "default": "x"}
    assert bolt["required"] == ["d"]
    assert "$ref" not in json.dumps(described) and "$defs" not in json.dumps(described)
    number = described["inputs"]["properties"]["n"]
    assert number == {"type": "integer", "minimum": 1, "description": "Count", "default": 1}
    assert described["outputs"]["properties"]["when"] == {"type": "string", "format": "duration"}
    assert described["outputs"]["required"] == ["stress", "when"]
    outputs = {"stress": VALUE, "when": VALUE}
    values = {"bolt": {"d": 2.0, "inner": {"when": "2024-01-01"}}, "n": 2}
    data = equipped.result("module:f", values, outputs=outputs, open=False, convert=["bolt"])
    assert data == {"stress": 4.0, "when": "PT1H"}
