"""numpy at the boundary, in an environment that has it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

ARRAY = {"kind": "array", "extensions": ["npy"]}
VALUE = {"kind": "value", "extensions": []}


@pytest.fixture(scope="session")
def numpy_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An environment with numpy, made by uv."""
    folder = tmp_path_factory.mktemp("numpy-env")
    python = str(folder / "env" / "bin" / "python")
    for command in (
        ["venv", "--python", sys.executable, str(folder / "env")],
        ["pip", "install", "--python", python, "numpy"],
    ):
        subprocess.run([find_uv_bin(), "--quiet", "--no-config", *command], check=True)
    return python


@pytest.fixture
def equipped_with_numpy(workspace: Any, numpy_python: str, compiled: Any) -> Any:
    workspace.python, workspace.runner = numpy_python, compiled(numpy_python)
    return workspace


def array_schema(x_type: str) -> dict[str, Any]:
    return {"type": "string", "format": "binary", "x-type": x_type, "x-extensions": ["npy"]}


def test_array_annotations_are_array_ports(equipped_with_numpy: Any) -> None:
    from kedge.contract.runner import describe_static
    from kedge.ports import kind_of

    equipped_with_numpy.write(
        module="""
        from typing import Any, List, Optional, Tuple
        import numpy as np
        import numpy.typing as npt
        from numpy.typing import NDArray

        def f(a: np.ndarray, b: NDArray[np.float64], c: "npt.NDArray[np.int32]",
              d: np.ndarray[Tuple[int, int], np.dtype[np.float32]], e: Optional[np.ndarray],
              g: np.float64, h: np.int64, i: np.bool_, j: List[np.ndarray], k: NDArray[np.floating],
              l: NDArray[Any], m: NDArray[np.str_]) -> NDArray[np.bool_]: ...
        """
    )
    described = equipped_with_numpy.describe("module:f")["module:f"]
    static = describe_static(str(equipped_with_numpy.root), "module:f")
    properties = described["inputs"]["properties"]
    assert properties == {
        "a": array_schema("Array[float64]"),
        "b": array_schema("Array[float64]"),
        "c": array_schema("Array[int32]"),
        "d": array_schema("Array[float32, 2]"),
        "e": array_schema("Array[float64]"),
        "g": {"type": "number"},
        "h": {"type": "integer"},
        "i": {"type": "boolean"},
        "j": {"type": "array", "items": {"type": "array"}},
        "k": array_schema("Array[float64]"),
        "l": array_schema("Array[float64]"),
        "m": {},
    }
    assert "e" not in described["inputs"]["required"]
    assert described["outputs"]["properties"]["result"] == array_schema("Array[bool]")
    assert kind_of(properties["d"]) == "array"
    assert static["inputs"] == described["inputs"] and static["outputs"] == described["outputs"]


def test_arrays_arrive_mapped_and_leave_as_files(equipped_with_numpy: Any) -> None:
    equipped_with_numpy.write(
        module="""
        import numpy as np
        from pathlib import Path

        def make():
            return {"a": np.arange(6.0).reshape(2, 3), "b": [1, 2]}

        def use(a, b, c, absent=None):
            assert isinstance(a, np.memmap) and not a.flags.writeable
            assert isinstance(c, np.ndarray)
            return {"sum": a.sum() + b.sum(), "shape": a.shape, "same": (c + a[0]).astype(np.float32)}

        def wrong():
            return {"a": np.array([object()]), "b": {"x": 1}}
        """
    )
    made = equipped_with_numpy.run("module:make", outputs={"a": ARRAY, "b": ARRAY}, open=False)
    assert made.code == 0, made.stderr
    assert sorted(made.files) == ["a.npy", "b.npy"] and made.data == {}
    for name, content in made.files.items():
        (equipped_with_numpy.root / "in" / "files" / name).write_bytes(content)
    kinds = {"a": "array", "b": "array", "c": "array", "absent": "array"}
    outputs = {"sum": VALUE, "shape": VALUE, "same": VALUE}
    data = equipped_with_numpy.result(
        "module:use", {"c": [1, 2, 3], "absent": None}, inputs=kinds, outputs=outputs
    )
    assert data == {"sum": 18.0, "shape": [2, 3], "same": [1.0, 3.0, 5.0]}
    error = equipped_with_numpy.run(
        "module:wrong", outputs={"a": ARRAY, "b": ARRAY}, open=False
    ).error
    assert "`a` cannot be stored" in error["error"] and "`b`" in error["error"]


def test_numpy_values_become_json(equipped_with_numpy: Any) -> None:
    equipped_with_numpy.write(
        module="""
        import numpy as np

        def good():
            return {
                "f": np.float64(1.5), "f32": np.float32(0.5), "i": np.int64(3), "b": np.bool_(True),
                "s": np.str_("x"), "d": np.datetime64("2024-02-29"), "t": np.timedelta64(90, "s"),
                "zero": np.array(2.5), "matrix": np.eye(2), "ints": np.arange(3), "bools": np.array([True]),
                "dates": np.array(["2024-01-01"], dtype="datetime64[D]"), "texts": np.array(["a", "b"]),
                "objects": np.array([1, "a", None], dtype=object), "half": np.array([0.5], np.float16),
                "masked": np.ma.array([1.0, np.nan], mask=[False, True]), "keys": {np.int64(1): 2},
                "list": [np.float64(0.5)], "long": np.longdouble(0.25), "set": {np.int64(2), np.int64(1)},
            }

        def bad():
            return {
                "a": np.float64("nan"), "b": np.array([[1.0, 2.0], [3.0, np.inf]]), "c": np.complex128(1j),
                "d": np.array([1j]), "e": np.datetime64("NaT"), "f": [np.array([np.nan])],
                "g": np.array([np.nan] * 1000),
            }
        """
    )
    assert equipped_with_numpy.result("module:good") == {
        "f": 1.5, "f32": 0.5, "i": 3, "b": True, "s": "x", "d": "2024-02-29", "t": "PT1M30S", "zero": 2.5,
        "matrix": [[1.0, 0.0], [0.0, 1.0]], "ints": [0, 1, 2], "bools": [True], "dates": ["2024-01-01"],
        "texts": ["a", "b"], "objects": [1, "a", None], "half": [0.5], "masked": [1.0, None],
        "keys": {"1": 2}, "list": [0.5], "long": 0.25, "set": [1, 2],
    }  # fmt: skip
    told = equipped_with_numpy.run("module:bad").error
    paths = {problem["path"] for problem in told["problems"]}
    assert {"a", "b[1][1]", "c", "d[0]", "e", "f[0][0]", "g[0]"} <= paths
    assert len(json.dumps(told)) < 4000


def test_an_array_port_without_numpy_says_what_to_add(workspace: Any) -> None:
    workspace.write({"in/files/a.npy": "x"}, module="def f(a=None): return [1.0]")
    error = workspace.run("module:f", inputs={"a": "array"}).error
    assert error["type"] == "ImportError" and "`requirements`" in error["hint"]
    (workspace.root / "in" / "files" / "a.npy").unlink()
    error = workspace.run("module:f", outputs={"x": ARRAY}, open=False).error
    assert "numpy cannot be imported" in error["error"]


def test_a_table_port_without_a_library_says_what_to_add(workspace: Any, tmp_path: Path) -> None:
    workspace.write({"in/files/t.parquet": "x"}, module="def f(t): return t")
    error = workspace.run("module:f", inputs={"t": "table"}).error
    assert error["type"] == "ImportError" and "pandas" in error["hint"]
    (workspace.root / "in" / "files" / "t.parquet").unlink()
    workspace.write(other="def f(): return 3")
    error = workspace.run(
        "other:f", outputs={"t": {"kind": "table", "extensions": []}}, open=False
    ).error
    assert "not a data frame" in error["error"]


if os.environ.get("KEDGE_TEST_ALL_ENGINES") == "1":  # 60 MB to download

    @pytest.mark.slow
    def test_tables_travel_as_parquet_and_arrow(
        workspace: Any, numpy_python: str, compiled: Any
    ) -> None:
        command = [
            find_uv_bin(),
            "--quiet",
            "--no-config",
            "pip",
            "install",
            "--python",
            numpy_python,
        ]
        subprocess.run([*command, "pandas", "pyarrow"], check=True)
        workspace.python, workspace.runner = numpy_python, compiled(numpy_python)
        workspace.write(
            module="""
            import pandas as pd
            import pyarrow as pa

            def make(n: int) -> pd.DataFrame:
                return pd.DataFrame({"x": range(n)})

            def make_arrow():
                return pa.table({"x": [1, 2]})

            def frame(t: pd.DataFrame, u: "pa.Table"):
                return {"t": [type(t).__module__.split(".")[0], int(t["x"].sum())],
                        "u": [type(u).__module__.split(".")[0], u.num_rows]}

            def plain(t, series=False):
                return {"s": t["x"], "frame": t} if series else type(t).__name__
            """
        )
        table = {"kind": "table", "extensions": ["parquet", "arrow"]}
        described = workspace.describe("module:make")["module:make"]["outputs"]["properties"][
            "result"
        ]
        assert described["x-type"] == "Table" and described["x-extensions"] == ["parquet", "arrow"]
        made = workspace.run("module:make", {"n": 4}, outputs={"result": table}, open=False)
        assert list(made.files) == ["result.parquet"], made.stderr
        (workspace.root / "in" / "files" / "t.parquet").write_bytes(made.files["result.parquet"])
        made = workspace.run("module:make_arrow", outputs={"result": table}, open=False)
        (workspace.root / "in" / "files" / "u.parquet").write_bytes(made.files["result.parquet"])
        kinds = {"t": "table", "u": "table"}
        data = workspace.result("module:frame", inputs=kinds)
        assert data == {"t": ["pandas", 6], "u": ["pyarrow", 2]}
        assert workspace.result("module:plain", inputs={"t": "table"}) == {"result": "DataFrame"}
        error = workspace.run("module:plain", {"series": True}, inputs={"t": "table"}).error[
            "error"
        ]
        assert "declare the output as a Table" in error and "`s`" not in error
