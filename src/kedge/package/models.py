"""The manifest's blocks as pydantic models: what is written, field by field.

Rules that span several fields, or that need the package's files, are not here but in `stages`: each
stage of checking reports all of its problems, and a model stops at its own.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from kedge.errors import nearest
from kedge.package import names, pythons
from kedge.package.document import described
from kedge.package.resources import TIERS

REFUSED = "kedge_refused"
"""The type of errors whose context says `expected` and `hint` in our own words."""


class Block(BaseModel):
    """A mapping whose keys are all known. A key left blank counts as not given."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        known = {field.alias or name for name, field in cls.model_fields.items()}
        return {key: value for key, value in data.items() if value is not None or key not in known}


def refused(expected: str, hint: str) -> PydanticCustomError:
    """An error that says what was expected in place of the value."""
    # Context values go through pydantic's own templates only when named in the message: safe as data.
    return PydanticCustomError(REFUSED, "refused", {"expected": expected, "hint": hint})


def _text(rule: Callable[[str], names.Refusal | None]) -> AfterValidator:
    def check(value: str) -> str:
        if refusal := rule(value):
            raise refused(*refusal)
        return value

    return AfterValidator(check)


def _python_version(value: str) -> names.Refusal | None:
    expected = pythons.check_version(value)
    return (expected, 'for example version: "3.12"') if expected else None


def _no_null_byte(value: str) -> names.Refusal | None:
    return ("a text without the character U+0000", "remove it") if "\0" in value else None


def _below_root(value: str) -> names.Refusal | None:
    parts = value.split("/")
    if not value or value.startswith("/") or ".." in parts or "\0" in value:
        return "a path below the package's root", "for example tests/cases.json"
    return None


def _absolute(value: str) -> names.Refusal | None:
    if value.startswith("/") and ".." not in value.split("/") and not {"\0", "\n"} & set(value):
        return None
    return "an absolute path", "for example /opt/solver"


def _image(value: str) -> names.Refusal | None:
    if value and value.isascii() and value.isprintable() and not set(value) & set(" '\"`$<>|;&"):
        return None if not value.startswith("-") else ("an image reference", "remove the dash")
    return "an image reference", "for example registry.example/me/solver:15.4"


def _platform(value: str) -> names.Refusal | None:
    parts = value.split("/")
    if len(parts) in (2, 3) and all(part.replace("_", "").isalnum() for part in parts):
        return None
    return "an operating system and an architecture", "for example linux/amd64"


def _distribution(value: str) -> names.Refusal | None:
    if value.strip() and value.isprintable() and not value.lstrip().startswith("-"):
        return None
    return "one requirement", 'for example "numpy>=2"'


def _command(value: str) -> names.Refusal | None:
    if value.strip() and "\0" not in value:
        return None
    return "one shell command", 'for example "make -C /opt/solver install"'


def _requirements(value: Any) -> bool | str | list[str]:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value and not _below_root(value):
        return value
    if isinstance(value, list):
        for number, item in enumerate(value):
            if not isinstance(item, str) or _distribution(item):
                raise refused(
                    f"a list of requirement texts (item {number + 1} is {described(item)})",
                    'for example requirements: ["numpy>=2", "scipy"]',
                )
        return value
    raise refused(
        "false, true (requirements.txt), a path below the root, or a list of requirement texts",
        'for example requirements: ["numpy>=2", "scipy"]',
    )


def _one_of(*choices: str) -> AfterValidator:
    """One of a few words, with the nearest one as the hint."""

    def rule(value: str) -> names.Refusal | None:
        if value in choices:
            return None
        close = nearest(value, choices)
        expected = " or ".join(filter(None, (", ".join(choices[:-1]), choices[-1])))
        return expected, f"did you mean `{close}`?" if close else f"for example {choices[0]}"

    return _text(rule)


def _environment_value(value: Any) -> str | dict[str, str]:
    if isinstance(value, str):
        if refusal := _no_null_byte(value):
            raise refused(*refusal)
        return value
    if isinstance(value, dict) and set(value) == {"secret"} and isinstance(value["secret"], str):
        if refusal := names.variable_name(value["secret"]):
            raise refused(*refusal)
        return cast(dict[str, str], value)
    hint = "put numbers and booleans in quotes"
    if isinstance(value, bool | int | float):
        hint = f'put it in quotes: "{str(value).lower() if isinstance(value, bool) else value}"'
    raise refused("a text, or {secret: NAME}", hint)


def _retries(value: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return {"max": value} if whole else value


def _format_version(value: Any) -> str:
    if value == "1" or (value == 1 and isinstance(value, int) and not isinstance(value, bool)):
        return "1"
    raise refused(
        'the manifest format\'s version, "1"',
        'beside a `package:` block, write version: "1"; the package\'s own version goes inside it',
    )


_FAILURES = (
    "function_error", "contract_error", "timeout", "out_of_memory", "out_of_disk", "start_failed",
    "environment_error", "lost",
)  # fmt: skip
_BACKOFFS = ("exponential", "linear", "constant")
_VISIBILITIES = ("private", "internal", "public")

Path = Annotated[str, _text(_below_root)]
Failure = Annotated[str, _one_of(*_FAILURES), WithJsonSchema({"enum": list(_FAILURES)})]
Backoff = Annotated[str, _one_of(*_BACKOFFS), WithJsonSchema({"enum": list(_BACKOFFS)})]
Visibility = Annotated[str, _one_of(*_VISIBILITIES), WithJsonSchema({"enum": list(_VISIBILITIES)})]
ImageUser = Annotated[str, _one_of("image"), WithJsonSchema({"const": "image"})]
TierName = Annotated[str, _one_of(*TIERS), WithJsonSchema({"enum": list(TIERS)})]
PackageName = Annotated[str, _text(names.package_name)]
SemanticVersion = Annotated[str, _text(names.semantic_version)]
EnvironmentValue = Annotated[
    str | dict[str, str],
    PlainValidator(_environment_value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {"secret": {"type": "string"}},
                    "required": ["secret"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
FormatVersion = Annotated[
    str,
    PlainValidator(_format_version),
    WithJsonSchema({"enum": ["1", 1], "description": "Version of the manifest format."}),
]


class ResourcesBlock(Block):
    """What a run may use: a tier, or cpu and memory_mb; timeout goes with either."""

    tier: TierName | None = Field(
        None, description="nano, micro, small, medium or large: CPUs, memory and timeout at once."
    )
    cpu: float | None = Field(None, gt=0, le=4096, description="CPUs, fractions allowed.")
    memory_mb: int | None = Field(None, gt=0, le=1 << 30, description="MiB of memory.")
    timeout: float | None = Field(
        None, gt=0, le=1e9, description="Seconds from the program's start to its end."
    )
    gpu: int | None = Field(None, ge=0, le=1024, description="Number of GPUs.")
    grace: float | None = Field(
        None, ge=0, le=3600, description="Seconds between the request to stop and the kill."
    )
    pids: int | None = Field(None, gt=0, le=1 << 22, description="Processes and threads at once.")
    disk_mb: int | None = Field(None, gt=0, le=1 << 40, description="MiB that a run may write.")


class RetriesBlock(Block):
    """When a run that did not succeed is tried again."""

    max: int = Field(ge=0, le=1000, description="Further attempts after the first.")
    backoff: Backoff = Field("exponential", description="How the wait between attempts grows.")
    base_s: float | None = Field(None, ge=0, description="Seconds before the first retry.")
    max_s: float | None = Field(None, ge=0, description="The longest wait, in seconds.")
    jitter: bool | None = Field(None, description="Whether waits are varied at random.")
    on: list[Failure] | None = Field(None, description="Kinds of failure that are retried.")
    memory_factor: float | None = Field(
        None, ge=1, description="How much more memory each retry after `out_of_memory` gets."
    )


class FunctionBlock(Block):
    """One function: what is called, its ports, what it may use."""

    handler: str | None = Field(
        None, description="Kind python: `module:function`, a function at module level."
    )
    entrypoint: list[Annotated[str, _text(_no_null_byte)]] | None = Field(
        None, description="Kinds dockerfile and image: the program and its arguments."
    )
    description: str = Field("", description="Text for people.")
    inputs: dict[str, Any] | None = Field(None, description="Typed input ports by name.")
    outputs: dict[str, Any] | None = Field(None, description="Typed output ports by name.")
    inputs_schema: dict[str, Any] | None = Field(
        None, description="The input ports as a JSON Schema object, in place of `inputs`."
    )
    outputs_schema: dict[str, Any] | None = Field(
        None, description="The output ports as a JSON Schema object, in place of `outputs`."
    )
    resources: ResourcesBlock | None = Field(None, description="What a run may use.")
    network: bool = Field(False, description="Whether the host's network may be used.")
    env: dict[Annotated[str, _text(names.variable_name)], EnvironmentValue] = Field(
        default_factory=dict, description="Extra variables: texts, or secrets by reference."
    )
    testcases: Path | None = Field(None, description="JSON file of test cases, below the root.")
    retries: Annotated[RetriesBlock, BeforeValidator(_retries)] | None = Field(
        None, description="When a run is tried again: a number of times, or the whole block."
    )
    cache: bool | None = Field(None, description="Whether results may be reused.")


class PackageBlock(Block):
    """What a package is called, and what its functions inherit."""

    name: PackageName = Field(description="The package's name.")
    version: SemanticVersion | None = Field(None, description="Semantic version of the package.")
    description: str = Field("", description="Text for people.")
    author: str = Field("", description="Who wrote it.")
    license: Annotated[str, _text(names.license_expression)] | None = Field(
        None, description="SPDX licence expression."
    )
    tags: list[Annotated[str, _text(names.tag)]] = Field(
        default_factory=list, description="Words to find it by."
    )
    visibility: Visibility = Field("private", description="Who may see it on a server.")
    resources: ResourcesBlock | None = Field(None, description="Defaults for every function.")


class FullPackageBlock(PackageBlock):
    """The `package:` block of the full form: there the version is required."""

    version: SemanticVersion = Field(description="Semantic version of the package.")


class ValidationBlock(Block):
    """When test cases are run on their own."""

    on_deployment: bool = Field(
        True, description="Run the test cases when the package is deployed."
    )
    fail_on_error: bool = Field(False, description="Refuse the deployment when one fails.")


class QualityBlock(Block):
    """What is checked besides the manifest."""

    validation_testcases: ValidationBlock = Field(
        default_factory=lambda: ValidationBlock.model_validate({}),
        description="Test cases at deployment.",
    )


class BodyBlock(Block):
    """What stands below either head."""

    runtime: dict[str, Any] = Field(
        description="How the code runs; `kind` says which fields follow."
    )
    functions: dict[str, FunctionBlock] = Field(description="One or more functions by name.")
    quality: QualityBlock = Field(default_factory=QualityBlock, description="Extra checks.")


class _RuntimeBlock(Block):
    host_paths: list[Annotated[str, _text(_absolute)]] = Field(
        default_factory=list, description="Folders of the host that the code asks to read."
    )
    warm: bool = Field(
        True, description="false: every run begins by itself, none is a fork of what is kept warm."
    )
    build_timeout: float | None = Field(
        None,
        gt=0,
        le=1e9,
        description="Seconds that preparing the environment or image may take; by default what kedge.toml says.",
    )


class PythonRuntime(_RuntimeBlock):
    """A Python environment that Kedge builds."""

    kind: Literal["python"]
    version: Annotated[str, _text(_python_version)] = Field(
        description='Python minor version in quotes, "3.8" or newer.'
    )
    requirements: (
        Annotated[
            bool | str | list[str],
            PlainValidator(_requirements),
            WithJsonSchema(
                {
                    "anyOf": [
                        {"type": "boolean"},
                        {"type": "string"},
                        {"type": "array", "items": {"type": "string"}},
                    ]
                }
            ),
        ]
        | None
    ) = Field(
        None, description="false, true (requirements.txt), a path, or a list of requirements."
    )
    system: list[Annotated[str, _text(names.debian_package)]] = Field(
        default_factory=list, description="Debian packages; needs a container executor."
    )
    base_image: Annotated[str, _text(_image)] | None = Field(
        None, description="The image to build on, by its reference; needs a container executor."
    )
    commands: list[Annotated[str, _text(_command)]] = Field(
        default_factory=list,
        description="Shell commands, run as root when the image is built; needs a container executor.",
    )


class _ContainerBlock(_RuntimeBlock):
    user: ImageUser | None = Field(None, description="`image`: run as the image's own user.")
    writable: bool = Field(
        False, description="A private writable layer, thrown away after the run."
    )
    platform: Annotated[str, _text(_platform)] | None = Field(
        None, description="Platform of the image, such as linux/amd64."
    )


class DockerfileRuntime(_ContainerBlock):
    """An image that Kedge builds from the package's Dockerfile."""

    kind: Literal["dockerfile"]
    dockerfile: Path = Field(description="The Dockerfile, below the root.")
    context: Path = Field(".", description="The build context, below the root.")
    build_args: dict[str, str] = Field(
        default_factory=dict, description="Values of the Dockerfile's ARGs, strings."
    )


class ImageRuntime(_ContainerBlock):
    """An image that is ready in a registry."""

    kind: Literal["image"]
    image: Annotated[str, _text(_image)] = Field(description="Reference with a tag or digest.")


RUNTIMES: dict[str, type[_RuntimeBlock]] = {
    "python": PythonRuntime,
    "dockerfile": DockerfileRuntime,
    "image": ImageRuntime,
}
Runtime = Annotated[PythonRuntime | DockerfileRuntime | ImageRuntime, Field(discriminator="kind")]
