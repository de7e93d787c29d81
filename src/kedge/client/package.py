"""A package as a Python object: its functions are its attributes."""

import os
from collections.abc import Iterator
from types import TracebackType
from typing import Self, final

from kedge.client import hints
from kedge.client.function import Function
from kedge.client.opened import Opened
from kedge.client.values import attribute
from kedge.errors import UnknownName, nearest


class UnknownFunction(UnknownName, AttributeError, KeyError):
    """A package has no function of that name."""


def load(path: "str | os.PathLike[str]") -> "Package":
    """The package at `path`, ready to run: a folder, a `.zip`, a Python file.

    What it needs is made if it is not there. Its functions run in processes that have imported their
    modules already, as far as these can be kept (the setting `warm`).

    Args:
        path: of the package; relative to the working directory.

    Raises:
        UnknownName: nothing is there.
        ManifestError, PackageError: it is not right; all that is wrong.
        EnvironmentFailed: its environment cannot be made.
        Unavailable: its kind of runtime cannot run here.

    >>> import kedge
    >>> bolts = kedge.load("examples/bolt-sizing")
    >>> bolts.sizing(diameter_mm=12, load_n=15000)
    {'stress_mpa': 132.6963906581741}
    """
    with hints.shown():
        return Package(Opened(os.fspath(path)))


@final
class Package:
    """A package that was loaded, made by `kedge.load`.

    Functions are attributes, `-` as `_`, or entries by their own names: `package.mesh_part(…)` is
    `package["mesh-part"](…)`. `close` is the package's own: a function of that name is an entry only. Each
    call looks whether a file of the package has changed.

    Runs end and nothing is kept any more when it is closed: by `close()`, at the end of a `with` block, at
    the end of the interpreter, or when nobody refers to it or one of its functions and runs any more.
    """

    def __init__(self, opened: Opened) -> None:
        self._opened = opened

    def close(self) -> None:
        """Cancel the runs that go on, wait for their end, and end what was kept warm for others."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _where: TracebackType | None,
    ) -> None:
        self.close()

    def __getattr__(self, name: str) -> Function:
        if name.startswith("_"):  # no function's name does, and tools ask for many such
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        for known in self:
            if attribute(known) == name:
                return Function(self._opened, known)
        return self[name]

    def __getitem__(self, name: str) -> Function:
        with hints.shown():
            return Function(self._opened, self._known(name))

    def _known(self, name: str) -> str:
        """The function's own name, by either spelling; one that was added since is found too."""
        if name in self._opened.description.functions:
            return name
        self._opened.ready(None)
        functions = self._opened.description.functions
        spelt = {attribute(known): known for known in functions}
        if name in functions or name in spelt:
            return spelt.get(name, name)
        close = nearest(name, [*functions, *spelt])
        raise UnknownFunction(
            f"`{self._opened.description.name}` has no function `{name}`",
            hint=f"did you mean `{close}`?" if close else f"it has: {', '.join(functions)}",
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._opened.description.functions)

    def __len__(self) -> int:
        return len(self._opened.description.functions)

    def __contains__(self, name: object) -> bool:
        return name in self._opened.description.functions

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *map(attribute, self)]

    def __repr__(self) -> str:
        return f"<kedge package {self._opened.description.name} in {self._opened.root}>"
