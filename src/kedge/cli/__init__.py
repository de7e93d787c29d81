"""Floor 8: the command line. Commands are loaded one by one, so each pays only for itself.

Only this room prints and exits; everything below raises and returns.
"""

import signal
import sys
from typing import Final

SUPERVISED: Final = (
    "run",
    "task",
    "test",
    "conform",
    "map",
)  # what runs functions: see `supervised`


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 fine, else the code of the error's kind.

    Args:
        arguments: the words after `kedge`; those of this process when not given.
    """
    words = sys.argv[1:] if arguments is None else arguments
    # Ignored by some who start us, and then no child can be waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until somebody can say it better
    if words and words[0] in SUPERVISED:
        from kedge.cli.streams import open_closed_streams
        from kedge.cli.supervised import begin

        open_closed_streams()
        begin()
    from kedge.cli import app

    app.main(words)
