"""Ready-made states: what many projects want, to be used as they are or replaced by a state that calls them.

Each is a function that gives a state, which is called as the variable that it is given to:

    node_modules = node_packages("web")
    web_built = front_end("web", needs=[node_modules])

What asks the machine for something (a package, an engine, a service) does so at each start, and cheaply: by
a look at files or a connection, never by a program while nothing has changed. Modules are loaded when their
state is first used.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kedge.primer.ready.debian import debian_packages
    from kedge.primer.ready.engines import container_engine
    from kedge.primer.ready.hooks import git_hooks
    from kedge.primer.ready.node import front_end, node_packages
    from kedge.primer.ready.services import Service, service

__all__ = [
    "Service",
    "container_engine",
    "debian_packages",
    "front_end",
    "git_hooks",
    "node_packages",
    "service",
]

_HOMES = {
    "debian_packages": "debian",
    "container_engine": "engines",
    "git_hooks": "hooks",
    "front_end": "node",
    "node_packages": "node",
    "Service": "services",
    "service": "services",
}


def __getattr__(name: str) -> "Any":
    if name not in _HOMES:
        raise AttributeError(f"module 'kedge.primer.ready' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"kedge.primer.ready.{_HOMES[name]}"), name)
