"""The ports of a task: what goes in and what comes out, each by an id.

    class Mesh(Port):
        kind = "mesh"          # a kind of port from here on
        path: str | None = None
        ...

One port is one JSON Schema, as everywhere; the kinds are short ways to write one.
"""

import os
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

from kedge.data import Data, replace
from kedge.ports import Ports, Schema
from kedge.registry import Registered, Registry
from kedge.translation import Text

port_types: Registry["Port"] = Registry(
    "port type",
    "kedge.port_type",
    dict.fromkeys(
        ("file", "folder", "json", "number", "boolean", "string", "pickle"),
        "kedge.contract.port_kinds",
    ),
)


class Port(Data, Registered, registry=port_types):
    """A port: what it is called, and as an input what it is bound to.

    A subclass gives itself a `kind`, a `schema` and what it is `bound` to; its annotations are its fields.
    `kind_name` and `kind_description` are for people.

    Args:
        id: what it is called; a `-` in it is a `_` in Python code.

    >>> from kedge import Port, PythonFunctionRuntime, Task
    >>> class Percent(Port):
    ...     kind = "percent"
    ...     value: float | None = None
    ...     schema = {"type": "number", "minimum": 0, "maximum": 100}
    ...
    ...     @property
    ...     def bound(self):
    ...         return self.value
    >>> half = PythonFunctionRuntime(lambda filled: filled / 2)
    >>> Task(runtime=half, inputs=[Percent("filled", 50)]).run_sync().outputs
    {'result': 25.0}
    """

    kind_name: ClassVar[str | Text]
    kind_description: ClassVar[str | Text]

    id: str

    @property
    @abstractmethod
    def schema(self) -> Schema:
        """The JSON Schema of its values."""

    @property
    @abstractmethod
    def bound(self) -> Any:
        """What it is bound to: a value, of files their path on this machine; None if to nothing."""

    @property
    def is_bound(self) -> bool:
        """Whether it is bound to anything."""
        return self.bound is not None

    @property
    def required(self) -> bool:
        """Whether something has to be there."""
        return True

    def within(self, folder: str) -> Self:
        """The same, where its relative path, if it has one, is of `folder`."""
        path = getattr(self, "path", None)
        return replace(self, path=os.path.join(folder, path)) if path else self


class Typed(Port):
    """A port by its schema alone, as a package's functions have them; None is a value, `...` stands for none."""

    type: Schema
    value: Any = ...
    needed: bool = True

    @property
    def schema(self) -> Schema:
        """The schema itself."""
        return self.type

    @property
    def bound(self) -> Any:
        """The value itself."""
        return None if self.value is ... else self.value

    @property
    def is_bound(self) -> bool:
        """Whether there is a value."""
        return self.value is not ...

    @property
    def required(self) -> bool:
        """As the function declares it."""
        return self.needed


def ports_of(ports: Iterable[Port], rest: Schema | None = None) -> Ports:
    """The ports of one side; `rest` is the schema of those that are not named, None where there are none."""
    return Ports(
        {port.id: port.schema for port in ports},
        frozenset(port.id for port in ports if port.required),
        rest,
    )


def declared(ports: Ports) -> tuple[Port, ...]:
    """Ports by their schemas."""
    return tuple(
        Typed(name, schema, needed=name in ports.required)
        for name, schema in ports.properties.items()
    )


def given(ports: Ports, values: Mapping[str, Any]) -> tuple[Port, ...]:
    """Ports by their schemas, those that are bound to values."""
    return tuple(Typed(name, ports.schema_of(name) or {}, value) for name, value in values.items())
