"""Every version of Python that functions run on."""

import uv

from kedge.primer import Context, state
from support import pythons as interpreters


def lacking() -> list[str]:
    """The versions that no interpreter of this machine has."""
    interpreters.found.cache_clear()
    return sorted(set(interpreters.VERSIONS) - {one.version for one in interpreters.found()})


@state(check=lambda _: not lacking())
def pythons(ctx: Context) -> None:
    """Every Python that functions run on is here; those that lack are downloaded by uv."""
    missing = lacking()
    if missing:
        ctx.run(uv.find_uv_bin(), "python", "install", "--no-bin", *missing)
