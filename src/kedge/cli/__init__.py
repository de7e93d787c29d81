"""Floor 8: the command line. Commands are loaded one by one, so each pays only for itself.

Only this room prints and exits; everything below raises and returns.
"""

import sys
from typing import Final

SUPERVISED: Final = ("run", "test", "map")  # what runs functions: see `supervised`


def main() -> None:
    """Run the command line of this process and exit; `kedge.cli.app.main` says how."""
    if sys.argv[1:2] and sys.argv[1] in SUPERVISED:
        from kedge.cli.streams import open_closed_streams
        from kedge.cli.supervised import begin

        open_closed_streams()
        begin()
    from kedge.cli.app import main

    main()
