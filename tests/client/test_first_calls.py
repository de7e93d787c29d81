"""What stands ready before the first call of a decorated function: few things made, all that calls need imported."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

SHARED = """
import logging, sys
import kedge
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
@kedge.function(pip=["numpy"])
def one(x):
    return x
@kedge.function(pip=["numpy"])
def other(x):
    return -x
print(one.run(1), other.run(1), one.lock() == other.lock())
@kedge.function(pip=one.lock())
def locked(x):
    import numpy
    return x
print(locked.run(2))
"""


def test_functions_that_need_the_same_share_a_lock_which_can_be_named_too(
    program: Callable[..., Any], kedge_home: Path
) -> None:
    variables = os.environ | {"KEDGE_HOME": str(kedge_home)}
    code, out, err = program(SHARED, env=variables).ended()
    assert code == 0, err
    first, _, rest = out.partition("1 -1 True\n")
    assert first.count("resolving") == first.count("installing") == 1
    assert "installing" not in rest
    assert rest.endswith("2\n")
    assert "reading signatures" not in out


GIVEN = """
import sys
sys.path.append({site!r})
import bolts, kedge
@kedge.function
def own(x):
    import decimal
    return x
print(own.run(1))
try:
    own.run(bolts.Bolt())
except ModuleNotFoundError as error:
    print(error)
print(own.run(2))
"""


def test_what_arguments_are_made_of_is_imported_before_the_next_calls(
    program: Callable[..., Any], tmp_path: Path, kedge_home: Path
) -> None:
    site = tmp_path / "site-packages"
    site.mkdir()
    (site / "bolts.py").write_text("class Bolt: pass\n")
    variables = os.environ | {"KEDGE_HOME": str(kedge_home)}
    code, out, err = program(GIVEN.format(site=str(site)), env=variables).ended()
    said = "No module named 'bolts'"
    assert (code, out.splitlines()) == (0, ["1", said, "2"]), err
    made = [json.loads(one.read_text()) for one in kedge_home.glob("packages/*/_kedge_call.json")]
    ahead = [sorted({"bolts", "decimal"} & set(one["modules"])) for one in made]
    assert sorted(ahead) == [["bolts", "decimal"], ["decimal"]]


FORKED = """
import os, sys
import kedge
@kedge.function
def same(x):
    return x
print(same.run(1), flush=True)
if os.fork() == 0:
    print(same.run(2), flush=True)
    sys.exit()
os.wait()
print(same.run(3), flush=True)
"""


def test_calls_are_written_into_a_folder_of_each_process_which_goes_with_it(
    program: Callable[..., Any], kedge_home: Path
) -> None:
    variables = os.environ | {"KEDGE_HOME": str(kedge_home)}
    code, out, err = program(FORKED, env=variables).ended()
    assert (code, out.split()) == (0, ["1", "2", "3"]), err
    assert list((kedge_home / "tmp").iterdir()) == []
