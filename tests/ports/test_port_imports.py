"""What is loaded when: the path of an ordinary run stays light."""

import subprocess
import sys

HEAVY = ("pint", "pydantic", "yaml", "jsonschema_rs", "fractions", "asyncio", "difflib")


def loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_the_room_loads_nothing_heavy() -> None:
    assert loaded_after("import kedge.ports") == set()


def test_an_ordinary_run_checks_its_values_without_anything_heavy() -> None:
    code = """
from kedge.ports import Ports, check_inputs, check_outputs, mask, read_text
number = {"type": "number", "x-type": "Length", "x-unit": "mm", "minimum": 0}
ports = Ports({
    "d": number, "n": {"type": "integer"}, "s": {"type": "string"}, "b": {"type": "boolean"},
    "l": {"type": "array", "items": {"type": "number"}}, "c": {"enum": ["a", "b"]},
    "o": {"anyOf": [{"type": "number"}, {"type": "null"}]}, "any": {},
}, frozenset({"d"}))
texts = {"d": "12", "n": "3", "s": "x", "b": "true", "l": "[1, 2.5]", "c": "a", "o": "null", "any": "x"}
values = {name: read_text(ports.properties[name], text) for name, text in texts.items()}
inputs, problems = check_inputs(ports, values)
assert not problems, problems
assert not check_outputs(ports, inputs, {})
assert check_inputs(ports, {"d": "12 mm"})[0] == {"d": 12.0}
mask(ports, inputs)
"""
    assert loaded_after(code) == set()


def test_a_wrong_plain_value_loads_the_validator_and_no_units() -> None:
    code = """
from kedge.ports import Ports, check_inputs
assert check_inputs(Ports({"n": {"type": "integer"}}), {"n": "x"})[1]
"""
    assert loaded_after(code) <= {"jsonschema_rs", "fractions", "asyncio", "difflib"}


def test_every_public_name_can_be_loaded() -> None:
    import kedge.ports

    for name in kedge.ports.__all__:
        assert getattr(kedge.ports, name) is not None
