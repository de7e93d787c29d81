"""Where a run that serves is reached."""

from kedge.data import Data


class Published(Data):
    """A port at which a run serves while it goes on.

    Args:
        port: its number, on this machine and inside alike.
        host: the address of this machine at which it is to be reached; `0.0.0.0` and `::` are all of them.
    """

    port: int
    host: str = "127.0.0.1"

    @property
    def address(self) -> str:
        """Host and port, as they stand in a URL."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"
