"""What a package is once compiled: plain data that a run needs, without models, YAML or signatures.

Compiling costs a second of imports; a package seen before is read from here in a millisecond.
"""

from collections.abc import Mapping
from typing import Any

from kedge.data import Data, asdict, field
from kedge.errors import ManifestError, Problem, UnknownName, Where, nearest
from kedge.ports import Ports


class Function(Data):
    """One function of a package.

    Args:
        name: its name in the manifest.
        handler: `module:function`, None in kinds that have none.
        description: for people.
        inputs, outputs: JSON Schemas of an object, one property a port.
        resources: its own block as declared.
        network: whether it asks for the host's network.
        env: its variables; a value is a text or `{"secret": NAME}`.
        entrypoint: the program and its arguments in kinds that have no handler.
        convert: parameters whose values become Python objects before the call.
        where: where the manifest declares it, `file:line:column`.
        problems: `message` and `hint` of what its signature cannot be; it cannot run then.
        warnings: sentences for its author.
        unread: why its signature could not be read, which may go otherwise when it runs; None when it was.
    """

    name: str
    handler: str | None
    description: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    resources: dict[str, Any] = field(default_factory=dict)
    network: bool = False
    env: dict[str, Any] = field(default_factory=dict)
    convert: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    where: str | None = None
    problems: tuple[dict[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    unread: str | None = None

    @property
    def input_ports(self) -> Ports:
        """The inputs as ports."""
        return Ports.from_schema(self.inputs)

    @property
    def output_ports(self) -> Ports:
        """The outputs as ports."""
        return Ports.from_schema(self.outputs)

    def found_problems(self) -> list[Problem]:
        """What its signature cannot be, each with its place."""
        return [Problem(entry["message"], self._place(), entry["hint"]) for entry in self.problems]

    def unread_problem(self) -> Problem | None:
        """That its signature could not be read, as a problem of the package."""
        if self.unread is None:
            return None
        return Problem(
            f"`{self.name}`: its signature could not be read: {self.unread}",
            self._place(),
            "correct what keeps the module from being imported",
        )

    def _place(self) -> Where:
        return Where(self.where, path=self.handler) if self.where else Where(path=self.handler)


class Description(Data):
    """A package: its name, its `runtime` block, its functions. `warnings` are for its author."""

    name: str
    version: str | None
    description: str
    runtime: dict[str, Any]
    functions: dict[str, Function]
    resources: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def function(self, name: str | None) -> Function:
        """The function of that name; the only one when no name is given.

        Raises:
            UnknownName: there is none of that name, or several and no name was given.
            ManifestError: its signature is not one that Kedge can call.
        """
        names = list(self.functions)
        if name is None:
            if len(names) > 1:
                raise UnknownName(
                    f"`{self.name}` has {len(names)} functions and none was named",
                    hint=f"name one of: {', '.join(names)}",
                )
            name = names[0]
        found = self.functions.get(name)
        if found is None:
            close = nearest(name, names)
            raise UnknownName(
                f"`{self.name}` has no function `{name}`",
                hint=f"did you mean `{close}`?" if close else f"it has: {', '.join(names)}",
            )
        if found.problems:
            raise ManifestError.of(found.found_problems(), f"`{name}`")
        return found

    def to_json(self) -> dict[str, Any]:
        """The description as JSON data; `from_json` gives an equal one back."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Description":
        """The description that `to_json` wrote."""
        tuples = ("convert", "entrypoint", "problems", "warnings")
        functions = {
            name: Function(**(entry | {key: tuple(entry[key]) for key in tuples}))
            for name, entry in data["functions"].items()
        }
        return Description(
            **(dict(data) | {"functions": functions, "warnings": tuple(data["warnings"])})
        )
