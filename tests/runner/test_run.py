"""One call of a handler: inputs, conversions, wrapping, streams."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest


def test_a_plain_function_runs_on_every_python(everywhere: Any) -> None:
    everywhere.write(
        bolts="""
        def size(diameter_mm: float, load_n: float) -> dict:
            return {"stress_mpa": load_n / (3.14 * (diameter_mm / 2) ** 2)}
        """
    )
    data = everywhere.result("bolts:size", {"diameter_mm": 12.0, "load_n": 15000.0})
    assert data == {"stress_mpa": pytest.approx(132.696, abs=1e-3)}


def test_submodules_async_functions_and_keywords(everywhere: Any) -> None:
    everywhere.write(
        {
            "pkg/__init__.py": "",
            "pkg/sub/__init__.py": "",
            "pkg/sub/module.py": """
                import asyncio
                from ..helper import twice

                async def f(x, **more):
                    await asyncio.sleep(0)
                    return {"x": twice(x), **more}
                """,
            "pkg/helper.py": "def twice(x): return 2 * x",
        }
    )
    assert everywhere.result("pkg.sub.module:f", {"x": 4, "y": "ü"}) == {"x": 8, "y": "ü"}


def test_inputs_become_the_objects_that_annotations_name(everywhere: Any) -> None:
    everywhere.write(
        module="""
        from __future__ import annotations

        import collections
        import dataclasses
        import datetime as dt
        import decimal
        import enum
        from pathlib import Path
        from typing import Any, Dict, List, NamedTuple, Optional, TypedDict, Union

        class Grade(enum.Enum):
            MILD = "S235"

        class Level(enum.IntEnum):
            LOW = 1

        @dataclasses.dataclass
        class Inner:
            when: dt.date
            grade: Grade = Grade.MILD

        @dataclasses.dataclass
        class Outer:
            inner: Inner
            others: list[Inner] = dataclasses.field(default_factory=list)

        class Point(NamedTuple):
            x: float
            y: float = 0.5

        class Row(TypedDict):
            at: dt.datetime
            points: List[Point]

        def f(a: dt.date, b: dt.datetime, c: dt.timedelta, d: Grade, e: Level, g: Outer, h: Point, i: Row,
              j: tuple[int, str], k: set[int], l: frozenset[str], m: Optional[dt.date],
              n: Union[dt.date, str], o: Union[int, dt.timedelta], p: dict[int, float],
              q: list[tuple[float, float]], r: decimal.Decimal, s: collections.deque, t: dict[str, Path],
              u: dt.time):
            values = dict(locals())
            assert type(a) is dt.date and type(b) is dt.datetime
            return {name: repr(value) for name, value in values.items()}
        """
    )
    values = {
        "a": "2024-02-29",
        "b": "2024-02-29T12:30:00.5Z",
        "c": "P1DT2H3M4.5S",
        "d": "S235",
        "e": 1,
        "g": {"inner": {"when": "2024-01-01"}, "others": [{"when": "2024-01-02", "grade": "S235"}]},
        "h": {"x": 1},
        "i": {"at": "2024-01-01T00:00:00", "points": [{"x": 1.0, "y": 2.0}]},
        "j": [1, "a"],
        "k": [1, 2],
        "l": ["a"],
        "m": None,
        "n": "not a date",
        "o": "PT1M",
        "p": {"3": 1.5},
        "q": [[1, 2]],
        "r": 0.1,
        "s": [1],
        "t": {"x": "a/b"},
        "u": "12:00:00",
    }
    data = everywhere.result("module:f", values, convert=sorted(values))
    data = {name: re.sub(r"<(\w+)\.(\w+): [^>]*>", r"\1.\2", text) for name, text in data.items()}
    data["b"] = data["b"].replace("datetime.timezone.utc", "UTC")
    assert data == {
        "a": "datetime.date(2024, 2, 29)",
        "b": "datetime.datetime(2024, 2, 29, 12, 30, 0, 500000, tzinfo=UTC)",
        "c": "datetime.timedelta(days=1, seconds=7384, microseconds=500000)",
        "d": "Grade.MILD",
        "e": "Level.LOW",
        "g": "Outer(inner=Inner(when=datetime.date(2024, 1, 1), grade=Grade.MILD), "
        "others=[Inner(when=datetime.date(2024, 1, 2), grade=Grade.MILD)])",
        "h": "Point(x=1.0, y=0.5)",
        "i": "{'at': datetime.datetime(2024, 1, 1, 0, 0), 'points': [Point(x=1.0, y=2.0)]}",
        "j": "(1, 'a')",
        "k": "{1, 2}",
        "l": "frozenset({'a'})",
        "m": "None",
        "n": "'not a date'",
        "o": "datetime.timedelta(seconds=60)",
        "p": "{3: 1.5}",
        "q": "[(1.0, 2.0)]",
        "r": "Decimal('0.1')",
        "s": "deque([1])",
        "t": "{'x': PosixPath('a/b')}",
        "u": "datetime.time(12, 0)",
    }


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        ("dt.date", "2024-02-30", "`x` is '2024-02-30', not a date"),
        ("dt.timedelta", "P1Y", "`x` is 'P1Y', not a duration"),
        ("dt.timedelta", "PT", "not a duration"),
        ("Optional[dt.date]", "soon", "not a date"),
        ("List[dt.date]", ["2024-01-01", 3], "`x[1]` is 3, not a date"),
        ("Grade", "S999", "not one of 'S235'"),
        ("Tuple[int, int]", [1], "a list of 2 items"),
        ("Bolt", {"d": 1.0, "e": 2}, "not a field of `Bolt`"),
        ("Bolt", {}, "an object with `d`"),
        ("Dict[int, int]", {"a": 1}, "a key that is a number"),
    ],
)
def test_what_cannot_be_converted_is_named(
    workspace: Any, annotation: str, value: Any, words: str
) -> None:
    workspace.write(
        module=f"""
        import dataclasses, enum, datetime as dt
        from typing import *
        class Grade(enum.Enum):
            MILD = "S235"
        @dataclasses.dataclass
        class Bolt:
            d: float
        def f(x: {annotation}): ...
        """
    )
    ended = workspace.run("module:f", {"x": value}, convert=["x"])
    assert ended.code == 1
    assert ended.error["type"] == "InputError" and words in ended.error["error"]
    assert "traceback" not in ended.error


def test_files_arrive_as_paths(everywhere: Any) -> None:
    everywhere.write(
        {
            "in/files/one.tar.gz": "one",
            "in/files/several/b.txt": "b",
            "in/files/several/a.txt": "a",
            "in/files/tree/x/y.txt": "y",
            "module.py": """
                from pathlib import Path

                def f(one, several, tree, absent, other=3):
                    assert isinstance(one, Path) and all(isinstance(p, Path) for p in several)
                    return {"one": one.name, "several": [p.read_text() for p in several],
                            "tree": (tree / "x" / "y.txt").read_text(), "absent": absent, "other": other}
                """,
        }
    )
    kinds = {"one": "file", "several": "files", "tree": "folder", "absent": "file", "other": "file"}
    assert everywhere.result("module:f", inputs=kinds) == {
        "one": "one.tar.gz", "several": ["a", "b"], "tree": "y", "absent": None, "other": 3
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "outputs", "is_open", "data"),
    [
        ("3", ["result"], False, {"result": 3}),
        ("{'result': 3}", ["result"], False, {"result": 3}),
        ("{'result': 3, 'x': 1}", ["result"], False, {"result": {"result": 3, "x": 1}}),
        ("{'area': 3}", ["area"], False, {"area": 3}),
        ("{'x': 3}", ["area"], False, {"area": {"x": 3}}),
        ("None", ["area"], False, {"area": None}),
        ("{'a': 1, 'b': 2}", ["a", "b"], False, {"a": 1, "b": 2}),
        ("Point(1, 2)", ["x", "y"], False, {"x": 1, "y": 2}),
        ("Point(1, 2)", ["point"], False, {"point": {"x": 1, "y": 2}}),
        ("Pair(1, 2)", ["x", "y"], False, {"x": 1, "y": 2}),
        ("{'a': 1, 'b': 2}", [], True, {"a": 1, "b": 2}),
        ("types.MappingProxyType({'a': 1})", [], True, {"a": 1}),
        ("5", [], True, {"result": 5}),
        ("Point(1, 2)", [], True, {"result": {"x": 1, "y": 2}}),
        ("None", [], True, {}),
        ("None", [], False, {}),
        ("None", ["a", "b"], False, {}),
        ("{'a': 1, 'z': 2}", ["a"], True, {"a": 1, "z": 2}),
        ("5", ["a"], True, {"a": 5}),
        ("{'wall_thickness': 2}", ["wall-thickness"], True, {"wall-thickness": 2}),
        ("[1, 2]", ["a", "b"], False, "not a dict with the outputs `a`, `b`"),
        ("5", [], False, "no outputs are declared"),
    ],
)
def test_wrapping_goes_by_declaration(
    workspace: Any, value: str, outputs: list[str], is_open: bool, data: Any
) -> None:
    workspace.write(
        module=f"""
        import types
        from dataclasses import dataclass
        from typing import ClassVar, NamedTuple
        @dataclass
        class Point:
            x: int
            y: int
            other: ClassVar[int] = 3
        class Pair(NamedTuple):
            x: int
            y: int
        def f(): return {value}
        """
    )
    declared = {name: {"kind": "value", "extensions": []} for name in outputs}
    if isinstance(data, str):
        ended = workspace.run("module:f", outputs=declared, open=is_open)
        assert ended.code == 1 and ended.error["type"] == "ContractError"
        assert data in ended.error["error"] and ended.data is None
    else:
        assert workspace.result("module:f", outputs=declared, open=is_open) == data


def test_ports_with_hyphens_reach_parameters_with_underscores(workspace: Any) -> None:
    workspace.write(
        module="def f(wall_thickness, **more): return {'t': wall_thickness, 'more': more}"
    )
    data = workspace.result("module:f", {"wall-thickness": 2, "x-y": 3})
    assert data == {"t": 2, "more": {"x-y": 3}}


def test_prints_arrive_live_and_in_any_encoding(everywhere: Any) -> None:
    everywhere.write(
        module="""
        import os, sys

        def f():
            print("first \\u00fc")
            open("scratch/fifo").read()
            print("lone \\udc80 surrogate")
            print("error", file=sys.stderr)
        """
    )
    (everywhere.root / "in" / "data.json").write_text("{}")
    fifo = everywhere.root / "scratch" / "fifo"
    os.mkfifo(fifo)
    process = everywhere.start("run", {"handler": "module:f", "outputs": {}, "open": True})
    assert process.stdout is not None
    assert process.stdout.readline().decode() == "first ü\n"  # the function is still waiting
    fifo.write_text("go on")
    ended = everywhere.ended(process)
    assert ended.code == 0
    assert ended.stdout == "lone \\udc80 surrogate\n" and ended.stderr == "error\n"


@pytest.mark.parametrize(
    "body",
    [
        "os.close(1); os.close(2)",
        "os.closerange(0, 100)",
        "print('x'); os.close(1)",
        "sys.stdout.close(); sys.stderr.close()",
        "sys.stdout = sys.stderr = None",
        "sys.stdout = object()",
        "import io; sys.stdout = io.StringIO(); print('gone')",
        "sys.stdout.write('unfinished'); os.close(1)",
        "os.chdir('/'); os.environ.clear(); os.environ['KEDGE_WORKSPACE'] = '/nowhere'",
        "sys.path[:] = []; sys.meta_path[:] = []",
        "import builtins; builtins.print = None",
        "import json; json.dumps = None",
    ],
)
def test_what_the_function_does_to_its_process_does_no_harm(workspace: Any, body: str) -> None:
    workspace.write(module=f"import os, sys\ndef f():\n    {body}\n    return 1")
    assert workspace.result("module:f") == {"result": 1}


def test_a_failure_is_recorded_also_when_streams_are_gone(workspace: Any) -> None:
    workspace.write(
        module="import os\ndef f():\n    os.closerange(0, 100)\n    raise ValueError('x')"
    )
    ended = workspace.run("module:f")
    assert ended.code == 1 and ended.error["type"] == "ValueError"


def test_a_full_pipe_that_nobody_reads_is_not_the_functions_failure(workspace: Any) -> None:
    workspace.write(module="import os\ndef f():\n    return 1")
    workspace.run("module:f")
    process = workspace.start("run", {"handler": "module:f", "outputs": {}, "open": True})
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    assert workspace.ended(process).code == 0


def test_daemon_threads_end_with_the_run_and_others_are_waited_for(everywhere: Any) -> None:
    everywhere.write(
        module="""
        import os, threading, time

        def late(path):
            time.sleep(0.2)
            assert os.path.exists(os.path.join(os.path.dirname(path), "data.json"))
            open(path, "w").close()

        def f():
            threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
            threading.Thread(target=late, args=("out/late",)).start()
        """
    )
    ended = everywhere.run("module:f")
    assert ended.code == 0 and ended.data == {}
    assert (ended.out / "late").exists()


def test_threads_that_never_end_are_ended_with_a_notice(workspace: Any, tmp_path: Path) -> None:
    source = Path(workspace.runner)
    import kedge.contract.runner as runner

    text = (
        Path(runner.__file__)
        .read_text("utf-8")
        .replace("THREADS_GRACE_S = 30.0", "THREADS_GRACE_S = 0.2")
    )
    impatient = source.with_name("impatient.py")
    impatient.write_text(text, "utf-8")
    workspace.runner = str(impatient)
    workspace.write(
        module="""
        import threading, time
        def f():
            threading.Thread(target=time.sleep, args=(3600,), name="sleeper").start()
            return 1
        """
    )
    ended = workspace.run("module:f")
    assert ended.code == 0 and ended.data == {"result": 1}
    assert "sleeper" in ended.stderr and "hint:" in ended.stderr


def test_idle_pool_threads_do_not_hold_the_exit(everywhere: Any) -> None:
    everywhere.write(
        module="""
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(4)
        def f():
            return sum(pool.map(abs, range(-3, 3)))
        """
    )
    ended = everywhere.run("module:f")
    assert ended.data == {"result": 9} and ended.code == 0 and ended.stderr == ""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_finds_the_package_and_kedge(everywhere: Any, method: str) -> None:
    everywhere.write(
        module=f"""
        import multiprocessing
        import kedge

        def work(n):
            kedge.progress(n, 3)
            return n * n

        def f():
            context = multiprocessing.get_context("{method}")
            with context.Pool(2) as pool:
                return pool.map(work, range(3))
        """
    )
    ended = everywhere.run("module:f")
    assert ended.data == {"result": [0, 1, 4]}, ended.stderr
    lines = (ended.out / "progress.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["step"] for line in lines) == [0, 1, 2]


def test_a_fork_of_the_handler_ends_at_sigterm_as_any_process_does(everywhere: Any) -> None:
    everywhere.write(
        module="""
        import os
        import signal

        def f():
            child = os.fork()
            if child == 0:
                try:
                    os.kill(os.getpid(), signal.SIGTERM)
                except BaseException:
                    pass
                os._exit(3)
            return os.waitpid(child, 0)[1]
        """
    )
    ended = everywhere.run("module:f")
    assert ended.data == {"result": signal.SIGTERM}, ended.stderr


def test_the_packages_modules_may_have_names_of_the_standard_library(workspace: Any) -> None:
    names = ("traceback", "shutil", "typing", "inspect", "difflib", "datetime", "dataclasses")
    workspace.write(
        {f"{name}.py": "raise RuntimeError('not this one')" for name in names},
        module="def f(x: int):\n    raise ValueError(x)\ndef g(x: int): return x",
    )
    ended = workspace.run("module:f", {"x": 1})
    assert ended.error["type"] == "ValueError" and 'module.py", line 2' in ended.error["traceback"]
    assert not workspace.describe("module:g")["module:g"]["warnings"]


def test_arguments_and_paths_of_the_runner_are_not_the_functions(workspace: Any) -> None:
    workspace.write(
        module="""
        import argparse, sys
        def f():
            argparse.ArgumentParser().parse_args()
            return {"path": sys.path[0], "arguments": len(sys.argv)}
        """
    )
    assert workspace.result("module:f") == {"path": str(workspace.root), "arguments": 1}


def test_a_wrong_command_line_is_a_usage_error(workspace: Any) -> None:
    ended = subprocess.run([workspace.python, "-I", workspace.runner, "dance"], capture_output=True)
    assert ended.returncode == 2 and b"usage:" in ended.stderr


def test_a_fork_that_is_asked_to_end_while_it_is_born_ends(everywhere: Any) -> None:
    everywhere.write(
        module="""
        import os
        import signal
        import time

        def f():
            ends = set()
            for _ in range(200):
                child = os.fork()
                if child == 0:
                    try:
                        time.sleep(5)
                    finally:
                        os._exit(9)
                os.kill(child, signal.SIGTERM)
                ends.add(os.waitpid(child, 0)[1])
            return sorted(ends)
        """
    )
    ended = everywhere.run("module:f")
    assert ended.data == {"result": [signal.SIGTERM]}, ended.stderr
