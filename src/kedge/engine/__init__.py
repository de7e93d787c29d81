"""Floor 1: container engines, reached by their command lines.

Docker and Podman answer to the same words; where they do not, the modules here know.
"""

from typing import Final

KINDS: Final = ("docker", "podman")  # in the order in which `auto` takes them
