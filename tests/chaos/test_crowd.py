"""Many runs of one package at once, none of which finds it prepared."""

import importlib.util
import sys
from pathlib import Path

RUNS = 40  # as many as a small machine starts in a minute; two hundred by hand


def test_a_package_that_many_run_at_once_is_prepared_once(kedge_home: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("crowd", Path(__file__).parent / "crowd.py")
    assert spec is not None and spec.loader is not None
    crowd = importlib.util.module_from_spec(spec)
    sys.modules["crowd"] = crowd
    spec.loader.exec_module(crowd)
    found = crowd.crowd(RUNS, tmp_path, kedge_home)
    assert found.errors == []
    assert sorted(found.results) == [2 * number for number in range(RUNS)]
    assert (found.resolved, found.built) == (1, 1)
