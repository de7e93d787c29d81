"""Loads and checks a package's manifest: every problem of the first failing stage, each with its place.

Stages: the file's syntax, the model, the runtime union, handler xor entrypoint, fit to the kind,
resources, port types, files and modules that are named. Signatures come later, inside the function's own
environment.
"""

import os
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError

from kedge.data import replace
from kedge.errors import ManifestError, Problem, nearest
from kedge.package import stages
from kedge.package.declaration import FunctionDeclaration, LoadedPackage
from kedge.package.document import Document, Path, by_place, described
from kedge.package.locate import PYPROJECT, find_manifest
from kedge.package.models import (
    RUNTIMES,
    BodyBlock,
    FormatVersion,
    FullPackageBlock,
    PackageBlock,
)
from kedge.package.reading import read_text, shown
from kedge.package.toml_source import read_toml
from kedge.package.wording import problems_of, refusal, unknown_key
from kedge.package.yaml_source import read_yaml
from kedge.ports import Ports
from kedge.ports.wording import first_problems

_HEAD: Final = tuple(PackageBlock.model_fields)
_BODY: Final = tuple(BodyBlock.model_fields)
_TOP: Final = ("package", *_HEAD, *_BODY)
_OWN_PREFIX: Final = "x-"  # keys of the author's own, to hang anchors on: no warning
_FORMAT: Final[TypeAdapter[str]] = TypeAdapter(FormatVersion)


def load(path: str, *, author: str | None = None) -> LoadedPackage:
    """The package at `path`, checked.

    A script's `runtime` also has `requires_python`, the specifier text ("" for any), for machines that do
    not have the newest version, which `version` names.

    Args:
        path: a folder with a manifest, or a Python file, which inline metadata makes a package.
        author: what messages name in place of `path`, when that is a snapshot of it.

    Raises:
        ManifestError: all problems of the first stage that has any.
        PackageError: no manifest, two of them, or files that cannot be read.

    >>> load("examples/bolt-sizing").functions["sizing"].handler
    'bolts:size'
    """
    if path.endswith(".py") and not os.path.isdir(path):
        from kedge.package.script import read_script

        script = read_script(path, author)
        package = check(script.document, os.path.dirname(path), path, script.warnings, root=path)
        if script.requires_python is None:
            return package
        return replace(
            package, runtime={**package.runtime, "requires_python": script.requires_python}
        )
    manifest = find_manifest(path, author)
    return check(read_manifest(manifest, author), path, manifest)


def read_manifest(manifest: str, author: str | None = None) -> Document:
    """The document of one manifest file, TOML or YAML, unchecked."""
    file = shown(os.path.join(author, os.path.basename(manifest)) if author else manifest)
    text = read_text(manifest, file)
    if os.path.basename(manifest) == PYPROJECT:
        return tool_table(read_toml(text, file))
    return read_yaml(text, file)


def tool_table(document: Document) -> Document:
    """`[tool.kedge]` of a TOML document, as a document of its own."""
    prefix = ("tool", "kedge")
    tool = document.data.get("tool", {})
    return Document(
        document.file,
        tool.get("kedge", {}) if isinstance(tool, dict) else {},
        {path[2:]: place for path, place in document.keys.items() if path[:2] == prefix},
        {path[2:]: place for path, place in document.values.items() if path[:2] == prefix},
    )


def check(
    document: Document,
    folder: str,
    manifest: str,
    warnings: tuple[Problem, ...] = (),
    *,
    root: str | None = None,
) -> LoadedPackage:
    """The package that `document` declares.

    Args:
        document: the manifest's data.
        folder: where the package's files are.
        manifest: path of what was read.
        warnings: found while reading.
        root: the package's root when it is not `folder`: a script.

    Raises:
        ManifestError: all problems of the first stage that has any.
    """
    head, at, body, found = _model(document)
    runtime = _runtime(document, body)
    for stage in (stages.handler_xor_entrypoint, stages.fit_to_kind):
        _refuse(document, stage(document, body))
    _refuse(document, stages.resource_rules(document, head, at, body))
    ports, problems = stages.port_types(document, body)
    _refuse(document, problems)
    _refuse(
        document,
        stages.files_of_runtime(document, body, folder)
        + stages.modules_exist(document, body, folder),
    )
    return LoadedPackage(
        root=root or folder,
        name=head.name,
        version=head.version,
        description=head.description,
        runtime=runtime,
        functions={
            name: _declaration(document, name, body, *ports[name]) for name in body.functions
        },
        manifest_file=manifest,
        author=head.author,
        license=head.license,
        tags=tuple(head.tags),
        visibility=head.visibility,
        resources=_block(head.resources),
        quality=body.quality.validation_testcases.model_dump(),
        warnings=(*warnings, *found, *_image_warnings(document, runtime)),
    )


def _refuse(document: Document, problems: list[Problem]) -> None:
    if problems:
        raise ManifestError.of(first_problems(by_place(problems)), document.file)


def _model(document: Document) -> tuple[PackageBlock, Path, BodyBlock, list[Problem]]:
    data = document.data
    if not isinstance(data, dict) or not data:
        found = described(data)
        raise ManifestError(
            f"{document.file} is {'empty' if data is None or data == {} else found}, expected a mapping",
            where=document.where(()),
            hint="start with `name:`, `runtime:` and `functions:`; `kedge init` writes an example",
        )
    given = {key: value for key, value in data.items() if value is not None}
    full = "package" in given
    at: Path = ("package",) if full else ()
    problems: list[Problem] = []
    head_data = given["package"] if full else {key: given[key] for key in _HEAD if key in given}
    head = _validated(FullPackageBlock if full else PackageBlock, head_data, document, at, problems)
    if full:
        problems += _full_form(document, given)
    body_data = {key: given[key] for key in _BODY if key in given}
    body = _validated(BodyBlock, body_data, document, (), problems)
    functions = given.get("functions")
    if isinstance(functions, dict):
        problems += stages.function_names(document, functions)
        if not functions:
            where = document.where(("functions",))
            hint = "add one: functions: {size: {handler: bolts:size}}"
            problems.append(Problem("`functions` is empty", where, hint))
    warnings = first_problems(
        unknown_key(document, (key,), _TOP, "the manifest")
        for key in given
        if key not in _TOP and not key.startswith(_OWN_PREFIX)
    )
    _point_at_misspellings(problems, warnings)
    _refuse(document, problems)
    assert isinstance(head, PackageBlock)
    assert isinstance(body, BodyBlock)
    return head, at, body, warnings


def _point_at_misspellings(problems: list[Problem], warnings: list[Problem]) -> None:
    """A missing key whose misspelling is there: the hint that says so is worth more than an example."""
    for problem in problems:
        missing = problem.message.split("`")[1] if " is missing in " in problem.message else ""
        for warning in warnings:
            misspelt = warning.message.split("`")[1] if "`" in warning.message else ""
            if missing and nearest(misspelt, (missing,)):
                problem.hint = f"is `{misspelt}` on line {warning.where.line if warning.where else '?'} meant to be it?"


def _full_form(document: Document, given: Mapping[str, Any]) -> list[Problem]:
    problems: list[Problem] = []
    if "version" in given:
        try:
            _FORMAT.validate_python(given["version"])
        except ValidationError as error:
            context = error.errors()[0].get("ctx") or {}
            problems.append(
                refusal(
                    document, ("version",), given["version"], context["expected"], context["hint"]
                )
            )
    problems += [
        Problem(
            f"`{key}` stands beside the `package:` block, expected inside it",
            document.where((key,), key=True),
            f"move it: package: {{{key}: …}}",
        )
        for key in _HEAD
        if key in given and key != "version"
    ]
    return problems


def _validated[Model: BaseModel](
    model: type[Model], data: Any, document: Document, at: Path, problems: list[Problem]
) -> Model | None:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems += problems_of(error, model, document, at)
        return None


def _runtime(document: Document, body: BodyBlock) -> dict[str, Any]:
    kind = body.runtime.get("kind")
    path: Path = ("runtime", "kind")
    if kind is None:
        _refuse(
            document,
            [
                Problem(
                    "`kind` is missing in `runtime`",
                    document.where(path),
                    f'one of {", ".join(RUNTIMES)}: runtime: {{kind: python, version: "3.12"}}',
                )
            ],
        )
    if not isinstance(kind, str) or kind not in RUNTIMES:
        close = nearest(str(kind), tuple(RUNTIMES)) if isinstance(kind, str) else None
        hint = f"did you mean `{close}`?" if close else "plug-in kinds need their plug-in installed"
        expected = " or ".join((", ".join(list(RUNTIMES)[:-1]), list(RUNTIMES)[-1]))
        _refuse(document, [refusal(document, path, kind, expected, hint)])
    problems: list[Problem] = []
    model = RUNTIMES[str(kind)]
    runtime = _validated(model, body.runtime, document, ("runtime",), problems)
    _refuse(document, problems)
    assert runtime is not None
    return runtime.model_dump(mode="json")


def _declaration(
    document: Document,
    name: str,
    body: BodyBlock,
    inputs: Ports | None,
    outputs: Ports | None,
) -> FunctionDeclaration:
    function = body.functions[name]
    return FunctionDeclaration(
        name=name,
        handler=function.handler,
        entrypoint=tuple(function.entrypoint or ()),
        description=function.description,
        inputs=inputs,
        outputs=outputs,
        resources=_block(function.resources),
        network=function.network,
        env=function.env,
        testcases=function.testcases,
        retries=_block(function.retries) if function.retries else None,
        cache=function.cache,
        where=document.where(("functions", name), key=True),
    )


def _block(model: BaseModel | None) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_unset=True, exclude_none=True) if model else {}


def _image_warnings(document: Document, runtime: Mapping[str, Any]) -> list[Problem]:
    field = {"image": "image", "python": "base_image"}.get(runtime["kind"], "")
    image = str(runtime.get(field) or "")
    if not image or "@sha256:" in image:
        return []
    tag = image.rpartition("/")[2].partition(":")[2]
    if tag and tag != "latest":
        return []
    found = "the tag `latest`" if tag else "no tag"
    return [
        Problem(
            f"`{field}` is {described(image)}, with {found}: what it means changes, so runs are not "
            "reproducible",
            document.where(("runtime", field)),
            f"name a version or a digest: {image.removesuffix(':latest')}:1.0",
        )
    ]
