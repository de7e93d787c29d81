"""The second half of the primer: what a project wants ready, as a graph of states.

The first half, `primer/proto.py`, takes a bare checkout to its environment and calls `boot.main` in it. A
project writes its states with `state`, in a module that it names in a boot script; what has been reached
is recorded, so that a start with nothing to do executes nothing. Such a start is a hot path: only what it
needs is imported at the top of these modules, and of Kedge nothing but `errors`, where something is wrong.
"""

from kedge.primer.context import Context
from kedge.primer.states import State, state

__all__ = ["Context", "State", "state"]
