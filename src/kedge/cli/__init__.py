"""Floor 8: the command line. Commands are loaded one by one, so each pays only for itself.

Only this room prints and exits; everything below raises and returns.
"""

import signal
import sys
from typing import Final

SUPERVISED: Final = ("run", "test", "map")  # what runs functions: see `supervised`


def main() -> None:
    """Run the command line of this process and exit; `kedge.cli.app.main` says how."""
    # Ignored by some who start us, and then no child can be waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until somebody can say it better
    if sys.argv[1:2] and sys.argv[1] in SUPERVISED:
        from kedge.cli.streams import open_closed_streams
        from kedge.cli.supervised import begin

        open_closed_streams()
        begin()
    from kedge.cli.app import main

    main()
