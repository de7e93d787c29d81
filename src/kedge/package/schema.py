"""The JSON Schema of the manifest, for editors and for anyone who writes one by program."""

from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from kedge.package.models import (
    BodyBlock,
    FormatVersion,
    FullPackageBlock,
    FunctionBlock,
    PackageBlock,
    Runtime,
)

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_DEFS: Final = "#/$defs/{model}"
_PORT: Final[dict[str, Any]] = {
    "description": "A port: a type expression, an inline struct, or a mapping with `type`.",
    "anyOf": [
        {"type": "string", "description": "A type expression, such as Length[mm] or File[pdf]."},
        {"type": "object"},
    ],
}
_PORTS: Final[dict[str, Any]] = {
    "type": "object",
    "propertyNames": {"pattern": "^(?!list$|task$)[A-Za-z][A-Za-z0-9_-]{0,62}$"},
    "additionalProperties": {"$ref": "#/$defs/Port"},
}
_SEMVER: Final = r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$"
_NAME: Final = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$"
_HANDLER: Final = r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*$"


def manifest_schema() -> dict[str, Any]:
    """The schema, JSON Schema 2020-12, of both spellings of the head.

    It accepts every manifest that loads. Rules that need the package's files, and the grammar of type
    expressions, are beyond it.

    >>> manifest_schema()["title"]
    'Kedge package manifest'
    """
    _, generated = models_json_schema(
        [
            (PackageBlock, "validation"),
            (FullPackageBlock, "validation"),
            (BodyBlock, "validation"),
            (FunctionBlock, "validation"),
        ],
        ref_template=_DEFS,
    )
    runtime = TypeAdapter(Runtime).json_schema(ref_template=_DEFS)
    definitions: dict[str, Any] = generated["$defs"] | runtime.pop("$defs")
    runtime.pop("discriminator", None)
    definitions["Runtime"] = {"description": "How the code runs.", **runtime}
    definitions["Port"] = _PORT
    for name in definitions:
        _without_titles(definitions[name])
    _narrow(definitions)
    head = definitions.pop("PackageBlock")
    body = definitions.pop("BodyBlock")
    body["properties"]["runtime"] = {"$ref": "#/$defs/Runtime"}
    version = TypeAdapter(FormatVersion).json_schema()
    return {
        "$schema": DIALECT,
        "title": "Kedge package manifest",
        "description": "What a package is called, how its code runs, and its functions.",
        "type": "object",
        "required": ["runtime", "functions"],
        "properties": body["properties"],
        "if": {"required": ["package"]},
        "then": {
            "properties": {
                "version": version,
                "package": {"$ref": "#/$defs/FullPackageBlock"},
                **{name: False for name in head["properties"] if name != "version"},
            }
        },
        "else": {"required": head["required"], "properties": head["properties"]},
        "allOf": [_only_with("python", "handler", "entrypoint")]
        + [_only_with(kind, "entrypoint", "handler") for kind in ("dockerfile", "image")],
        "$defs": dict(sorted(definitions.items())),
    }


def _only_with(kind: str, wanted: str, unwanted: str) -> dict[str, Any]:
    function: dict[str, Any] = {"required": [wanted], "properties": {unwanted: False}}
    if wanted == "entrypoint":
        function["allOf"] = [
            {"anyOf": [{"required": [name]}, {"required": [f"{name}_schema"]}]}
            for name in ("inputs", "outputs")
        ]
    return {
        "if": {"properties": {"runtime": {"properties": {"kind": {"const": kind}}}}},
        "then": {"properties": {"functions": {"additionalProperties": function}}},
    }


def _without_titles(block: dict[str, Any]) -> None:
    """Titles that only repeat the key are noise in an editor."""
    block.pop("title", None)
    for field in block.get("properties", {}).values():
        field.pop("title", None)


def _narrow(definitions: dict[str, Any]) -> None:
    """Rules that the models check by code, in the schema's own words."""
    for name in ("PackageBlock", "FullPackageBlock"):
        properties = definitions[name]["properties"]
        properties["name"]["pattern"] = _NAME
        properties["version"] = {
            "type": "string",
            "pattern": _SEMVER,
            "description": "Semantic version of the package.",
        }
    definitions["PythonRuntime"]["properties"]["version"]["pattern"] = r"^3\.([89]|[1-9]\d{1,2})$"
    function = definitions["FunctionBlock"]["properties"]
    for ports in ("inputs", "outputs"):
        function[ports] = {"description": function[ports]["description"], **_PORTS}
    function["handler"] = {
        "type": "string", "pattern": _HANDLER, "description": function["handler"]["description"],
    }  # fmt: skip
    function["entrypoint"] = {
        "type": "array",
        "items": {"type": "string"},
        "minItems": 1,
        "description": function["entrypoint"]["description"],
    }
    function["retries"] = {
        "anyOf": [{"type": "integer", "minimum": 0}, {"$ref": "#/$defs/RetriesBlock"}],
        "description": function["retries"]["description"],
    }
    functions = definitions["BodyBlock"]["properties"]["functions"]
    functions["minProperties"] = 1
    functions["propertyNames"] = _PORTS["propertyNames"]
    # Both at once is what a tier excludes.
    definitions["ResourcesBlock"]["not"] = {
        "required": ["tier"],
        "anyOf": [{"required": ["cpu"]}, {"required": ["memory_mb"]}],
    }
