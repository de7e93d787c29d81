"""The kind of port `seed`: where a sequence of random numbers begins."""

from typing import Any, ClassVar

from kedge import Port
from kedge_sample import _


class Seed(Port):
    """A whole number from 0 on."""

    kind: ClassVar[str] = "seed"
    kind_name = _("Seed")
    kind_description = _("Where a sequence of random numbers begins.")

    value: int | None = None

    @property
    def schema(self) -> dict[str, Any]:
        """An integer that is not negative."""
        return {"type": "integer", "minimum": 0}

    @property
    def bound(self) -> int | None:
        """The value."""
        return self.value
