"""A package as its manifest declares it: plain data, the same for every file name and spelling."""

from collections.abc import Mapping
from typing import Any

from kedge.data import Data, field
from kedge.errors import Problem, Where
from kedge.ports import Ports


class FunctionDeclaration(Data):
    """One function as declared.

    Args:
        name: its key under `functions`.
        handler: `module:function`, for kind python.
        entrypoint: argument list, for kinds dockerfile and image; empty otherwise.
        description: text for people.
        inputs: declared ports, None when none are (they are read from the signature then).
        outputs: the same for outputs.
        resources: its own `resources` block as written; `kedge.package.resources.effective` reads it.
        network: whether the host's network is asked for.
        env: variables; a value is a text or `{"secret": NAME}`.
        testcases: path of its case file below the root.
        retries: `max`, `backoff`, `base_s`, `max_s`, `jitter`, `on`, `memory_factor` as written.
        cache: whether results may be reused; None when not said.
        where: its place in the manifest.
    """

    name: str
    handler: str | None = None
    entrypoint: tuple[str, ...] = ()
    description: str = ""
    inputs: Ports | None = None
    outputs: Ports | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)
    network: bool = False
    env: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)
    testcases: str | None = None
    retries: Mapping[str, Any] | None = None
    cache: bool | None = None
    where: Where | None = None


class LoadedPackage(Data):
    """A package whose manifest holds.

    Args:
        root: the folder, or the script, that was read.
        name: the package's name.
        version: its semantic version, None when the short form leaves it out.
        description: text for people.
        runtime: the `runtime` block as JSON data, `kind` and the kind's fields with their defaults.
        functions: by name, in the manifest's order.
        manifest_file: what was read: the manifest's path, or the script's.
        author, license, tags, visibility: as declared.
        resources: the package's own `resources` block as written.
        quality: `on_deployment` and `fail_on_error` of `validation_testcases`.
        warnings: what is odd but does not stop anything.
    """

    root: str
    name: str
    version: str | None
    description: str
    runtime: Mapping[str, Any]
    functions: Mapping[str, FunctionDeclaration]
    manifest_file: str
    author: str = ""
    license: str | None = None
    tags: tuple[str, ...] = ()
    visibility: str = "private"
    resources: Mapping[str, Any] = field(default_factory=dict)
    quality: Mapping[str, bool] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()
