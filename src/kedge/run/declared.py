"""A package as its manifest has it: read from the snapshot, once, and found again by the snapshot's digest."""

import os
from collections.abc import Mapping
from typing import Any, Final

from kedge.data import Data
from kedge.environment.requirements import Requirements
from kedge.package.snapshot import Snapshot, snapshot
from kedge.package.source import PackageSource
from kedge.ports import Ports
from kedge.run import cache
from kedge.run.description import Description, Function

OPEN: Final[dict[str, Any]] = {"type": "object"}  # ports that may be anything


class Declared(Data):
    """A package as its manifest has it, before signatures were read.

    `requirements` are those of kind python, None for others. `declared` has the `inputs` and `outputs` that
    the manifest declares, by function: JSON Schemas with a list `decided` (see `Ports`), or None.
    """

    description: Description
    requirements: Requirements | None
    declared: Mapping[str, Mapping[str, Any]]


def declare(source: PackageSource) -> tuple[Declared, Snapshot]:
    """The package as declared, and its snapshot. Nothing is built, no user code is touched.

    Raises:
        ManifestError, PackageError: with every problem of the first stage that has any.
    """
    taken = snapshot(source.root)
    # With the root: the places in it are what messages name.
    place = cache.place("declared", taken.digest, source.root)
    if (known := cache.load(place)) is not None:
        requirements = known["requirements"]
        return Declared(
            Description.from_json(known["description"]),
            Requirements.from_json(requirements) if requirements is not None else None,
            known["declared"],
        ), taken
    found = _read(source, taken)
    cache.store(
        place,
        {
            "description": found.description.to_json(),
            "requirements": found.requirements.to_json() if found.requirements else None,
            "declared": found.declared,
        },
    )
    return found, taken


def _read(source: PackageSource, taken: Snapshot) -> Declared:
    """The manifest, read from the snapshot: what is checked is what will run."""
    from kedge.environment.requirements import declared as declared_requirements
    from kedge.package.manifest import load

    name = os.path.basename(source.root)
    root = os.path.join(taken.folder, name) if source.script else taken.folder
    package = load(root, author=source.root)
    requirements = None
    if package.runtime["kind"] == "python":
        requirements = declared_requirements(
            taken.folder,
            package.runtime.get("requirements"),
            package.runtime["version"],
            manifest=os.path.join(
                "" if source.script else source.root, os.path.basename(package.manifest_file)
            ),
        )
    functions = {
        entry.name: Function(
            name=entry.name,
            handler=entry.handler,
            entrypoint=entry.entrypoint,
            description=entry.description,
            inputs=entry.inputs.to_schema() if entry.inputs is not None else OPEN,
            outputs=entry.outputs.to_schema() if entry.outputs is not None else OPEN,
            resources=dict(entry.resources),
            network=entry.network,
            env=dict(entry.env),
            where=str(entry.where) if entry.where else None,
        )
        for entry in package.functions.values()
    }
    warnings = (*map(str, package.warnings), *taken.warnings)
    if requirements is not None:
        warnings = (*warnings, *requirements.notices)
    return Declared(
        Description(
            name=package.name,
            version=package.version,
            description=package.description,
            runtime=dict(package.runtime),
            functions=functions,
            resources=dict(package.resources),
            warnings=warnings,
        ),
        requirements,
        {
            entry.name: {
                "inputs": _decided(entry.inputs),
                "outputs": _decided(entry.outputs),
            }
            for entry in package.functions.values()
        },
    )


def _decided(ports: Ports | None) -> dict[str, Any] | None:
    return None if ports is None else ports.to_schema() | {"decided": sorted(ports.decided)}
