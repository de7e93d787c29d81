"""Packages of Debian and its derivatives, present on the machine."""

from kedge.primer.ready import seen
from kedge.primer.states import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kedge.primer.context import Context

STATUS = "/var/lib/dpkg/status"  # dpkg's database, rewritten with each change
LOCK_SECONDS = 120  # as long as another installation may take; apt itself does not wait
APT = [
    "env",
    "DEBIAN_FRONTEND=noninteractive",
    "apt-get",
    "-o",
    f"DPkg::Lock::Timeout={LOCK_SECONDS}",
]
INSTALL = [*APT, "--yes", "--no-install-recommends", "install"]
UPDATE = [*APT, "update"]


def debian_packages(*names: str) -> State:
    """A state in which packages are installed; those that lack are installed by apt, as root or through sudo.

    Args:
        names: packages, as apt knows them.
    """

    def debian_packages(ctx: "Context") -> None:
        lacking = missing(ctx, names)
        if lacking:
            install(ctx, lacking)

    def check(ctx: "Context") -> bool:
        if seen.unchanged(ctx):
            return True
        stamped = seen.stamp(STATUS)
        if missing(ctx, names):
            return False
        ctx.remember(stamped)
        return True

    debian_packages.__doc__ = f"Debian packages are installed: {', '.join(names)}."
    return State(debian_packages, check=check)


def missing(ctx: "Context", names: tuple[str, ...]) -> list[str]:
    """Those of the packages that are not installed.

    Raises:
        Unavailable: this is no Debian.
    """
    from kedge.errors import FunctionError, Unavailable

    lacking = []
    for name in names:
        try:
            status = ctx.output("dpkg-query", "--show", "--showformat=${db:Status-Status}\n", name)
        except FunctionError:
            status = ""  # dpkg has never heard of it
        except Unavailable as error:
            raise Unavailable(
                f"this machine has no Debian packages; {', '.join(names)} cannot be looked for",
                hint="install them in this system's own way, and replace this state",
            ) from error
        if "installed" not in status.split():
            lacking.append(name)
    return lacking


def install(ctx: "Context", names: list[str]) -> None:
    """Install packages.

    Raises:
        Unavailable: this user may not.
    """
    import os

    from kedge.errors import FunctionError, KedgeError, Unavailable

    rights = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    if rights:
        try:
            ctx.output(*rights, "true")
        except KedgeError as error:
            raise Unavailable(
                f"{', '.join(names)} cannot be installed: this user is not root, and may not use sudo "
                "without a password",
                hint=f"sudo apt-get install {' '.join(names)}",
            ) from error
    try:
        ctx.run(*rights, *INSTALL, *names)
    except FunctionError:  # apt's lists are old, or there are none yet, as in a bare image
        ctx.say("fetching apt's lists of packages")
        ctx.run(*rights, *UPDATE)
        ctx.run(*rights, *INSTALL, *names)
