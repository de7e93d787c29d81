"""The published JSON Schema agrees with what loads."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kedge.errors import PackageError
from kedge.package.manifest import load
from kedge.package.schema import DIALECT, manifest_schema
from kedge.package.yaml_source import read_yaml

ROOT = Path(__file__).parents[2]
GOOD = sorted([*ROOT.glob("examples/*/kedge.yml"), *ROOT.glob("tests/packages/*/kedge.yml")])
WRONG = ROOT / "tests/packages/wrong"


@pytest.fixture(scope="module")
def validator() -> Any:
    return jsonschema_rs.Draft202012Validator(manifest_schema())


def test_the_schema_is_one_and_says_what_its_fields_are() -> None:
    schema = manifest_schema()
    assert schema["$schema"] == DIALECT
    jsonschema_rs.meta.validate(schema)
    for block in (*schema["$defs"].values(), schema, schema["else"]):
        for name, field in block.get("properties", {}).items():
            described = field.get("description") or "$ref" in field or "const" in field
            assert described, name


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.parent.name)
def test_every_manifest_that_loads_is_accepted(validator: Any, path: Path) -> None:
    try:
        load(str(path.parent))
    except PackageError:
        return
    data = read_yaml(path.read_text(), path.name).data
    assert [error.message for error in validator.iter_errors(data)] == []


@pytest.mark.parametrize(
    "name",
    ["bad_function_name", "empty_entrypoint", "env_is_a_number", "full_form_without_version",
     "handler_and_entrypoint", "handler_of_an_image", "handler_without_function", "image_without_ports",
     "memory_is_text", "method_as_handler", "misspelt_key_in_function", "misspelt_key_in_resources",
     "neither_handler_nor_entrypoint", "network_is_not_a_boolean", "no_functions", "no_runtime", "not_semver",
     "old_python", "reserved_port_names", "tier_and_memory", "unknown_format_version", "unknown_kind",
     "unknown_tier", "version_without_quotes", "entrypoint_of_a_python_package", "a_list"],
)  # fmt: skip
def test_what_is_wrong_in_form_is_refused(validator: Any, name: str) -> None:
    data = read_yaml((WRONG / f"{name}.yml").read_text(), name).data
    assert not validator.is_valid(data)


FUNCTION = st.fixed_dictionaries(
    {"handler": st.sampled_from(["m:f", "m:f", "m", 3])},
    optional={
        "network": st.sampled_from([True, False, "x"]),
        "env": st.sampled_from([{}, {"A": "b"}, {"A": {"secret": "B"}}, {"A": 3}]),
        "resources": st.sampled_from(
            [{"tier": "nano"}, {"cpu": 1.5, "memory_mb": 1}, {"cpu": 0}, {"x": 1}]
        ),
        "inputs": st.sampled_from(
            [{}, {"d": "Length[mm]"}, {"d": {"type": "Float", "minimum": 1}}, []]
        ),
        "retries": st.sampled_from([1, {"max": 2, "on": ["timeout"]}, {"on": []}, "x"]),
        "cache": st.booleans(),
    },
)
MANIFEST = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "bolt-sizing", "a b", 3]),
        "runtime": st.sampled_from(
            [{"kind": "python", "version": "3.12"}, {"kind": "python", "version": "3.8", "requirements": ["a"]},
             {"kind": "python", "version": "3.12", "base_image": "a:1", "commands": ["x"], "system": ["b"]},
             {"kind": "python", "version": "3.12", "commands": "x"},
             {"kind": "python", "version": "3.12", "base_image": ["a:1"]},
             {"kind": "python", "version": 3.12}, {"kind": "python"}, {"kind": "x"}]
        ),
        "functions": st.dictionaries(st.sampled_from(["f", "g", "list"]), FUNCTION, min_size=0, max_size=2),
    },
    optional={
        "version": st.sampled_from(["0.1.0", "1", 1]),
        "tags": st.sampled_from([[], ["a"], "a"]),
        "visibility": st.sampled_from(["private", "x"]),
        "quality": st.sampled_from([{}, {"validation_testcases": {"on_deployment": False}}, {"x": 1}]),
    },
)  # fmt: skip


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=MANIFEST)
def test_schema_and_loading_agree(validator: Any, tmp_path: Path, data: dict[str, Any]) -> None:
    (tmp_path / "kedge.yml").write_text(json.dumps(data))
    (tmp_path / "m.py").write_text("")
    try:
        load(str(tmp_path))
        loads = True
    except PackageError:
        loads = False
    assert validator.is_valid(data) == loads
