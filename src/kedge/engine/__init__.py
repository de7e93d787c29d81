"""Floor 1: container engines, reached by their command lines, and what they have: images, containers.

Docker and Podman answer to the same words; where they do not, `programs` knows.
"""

from kedge.engine.look import Engine, Found, look
from kedge.engine.programs import KINDS, Finished, call, program

__all__ = ["KINDS", "Engine", "Finished", "Found", "call", "look", "program"]
