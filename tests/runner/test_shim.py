"""What `import kedge` gives inside, without anything installed."""

import json
from typing import Any


def test_the_shim_has_what_functions_use(everywhere: Any) -> None:
    everywhere.write(
        module="""
        import inspect
        import kedge
        from kedge import Cancelled, File, Folder, Unit, function, out_path, progress

        @kedge.function
        def bare(x): return x

        @kedge.function(pip=["numpy"], python_version="3.12", cpu=1)
        def options(x): return x

        def f():
            assert issubclass(Cancelled, BaseException) and not issubclass(Cancelled, Exception)
            assert bare(1) == options(1) == kedge.function(bare, pip=[])(1) == 1
            assert inspect.unwrap(options).__name__ == "options"
            assert Unit("mm") == Unit("mm") != Unit("m") and repr(Unit("mm")) == "Unit('mm')"
            assert File["pdf"].extensions == ("pdf",) and issubclass(File["pdf"], File)
            try:
                kedge.run
            except AttributeError as error:
                message = str(error)
            try:
                __import__("kedge.cli")
            except ImportError as error:
                assert "kedge" in str(error)
            return {"path": str(out_path("mesh", "med")), "folder": str(out_path("case")), "message": message}
        """
    )
    data = everywhere.result("module:f")
    files = everywhere.root / "out" / "files"
    assert data["path"] == str(files / "mesh.med") and data["folder"] == str(files / "case")
    assert "no attribute 'run'" in data["message"] and "out_path, progress" in data["message"]


def test_a_package_that_brings_its_own_kedge_gets_that(everywhere: Any) -> None:
    everywhere.write(kedge="name = 'real'", module="import kedge\ndef f(): return kedge.name")
    assert everywhere.result("module:f") == {"result": "real"}


def test_progress_is_one_json_object_a_line(everywhere: Any) -> None:
    everywhere.write(
        module="""
        import datetime, kedge, os, threading

        def many(n):
            for step in range(100):
                kedge.progress(step, 100, "thread %d" % n)

        def f():
            kedge.progress(1, 3, "meshing", residual=1e-3, day=datetime.date(2024, 1, 1))
            kedge.progress(message="only \\udc80 words")
            kedge.progress(float("nan"), object=object, circle=None)
            kedge.progress(1, 2, "x" * 200_000, more=["y"] * 100_000)
            threads = [threading.Thread(target=many, args=(n,)) for n in range(4)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            os.chdir("/"); os.environ.clear()
            kedge.progress(9)
        """
    )
    everywhere.result("module:f")
    raw = (everywhere.root / "out" / "progress.jsonl").read_bytes()
    assert raw.endswith(b"\n") and max(map(len, raw.splitlines(keepends=True))) <= 64 * 1024
    events = [json.loads(line) for line in raw.splitlines()]
    assert events[0] == {
        "step": 1,
        "total": 3,
        "message": "meshing",
        "residual": 1e-3,
        "day": "2024-01-01",
    }
    assert "words" in events[1]["message"]
    assert (
        events[2]["step"] == "nan"
        and "object" in events[2]["object"]
        and events[2]["circle"] is None
    )
    assert (events[3]["step"], events[3]["total"], events[3]["truncated"]) == (1, 2, True)
    assert len(events) == 405 and events[-1] == {"step": 9}


def test_progress_never_fails_a_run(everywhere: Any) -> None:
    everywhere.write(
        module="""
        import kedge, os
        def f():
            os.mkdir("out/progress.jsonl")
            kedge.progress(1, 2)
            class Hostile:
                def __str__(self): raise ValueError("no")
                __repr__ = __str__
            kedge.progress(Hostile(), message=Hostile())
        """
    )
    assert everywhere.result("module:f") == {}


def test_out_path_refuses_what_is_no_port(workspace: Any) -> None:
    workspace.write(module="import kedge\ndef f(): kedge.out_path('../x')")
    error = workspace.run("module:f").error
    assert error["type"] == "ValueError" and "`../x`" in error["error"]
