"""The kind of port `seed`: where a sequence of random numbers begins."""

from typing import Any, ClassVar

from kedge import Port


class Seed(Port):
    """A whole number from 0 on."""

    kind: ClassVar[str] = "seed"
    kind_name: ClassVar[str] = "Seed"
    kind_description: ClassVar[str] = "Where a sequence of random numbers begins."

    value: int | None = None

    @property
    def schema(self) -> dict[str, Any]:
        """An integer that is not negative."""
        return {"type": "integer", "minimum": 0}

    @property
    def bound(self) -> int | None:
        """The value."""
        return self.value
