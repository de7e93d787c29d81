"""Floor 8: the command line. Commands are loaded one by one, so each pays only for itself.

Only this room prints and exits; everything below raises and returns.
"""

from kedge.cli.app import main

__all__ = ["main"]
