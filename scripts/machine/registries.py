"""Two registries on loopback, one of which wants a login. Files in a folder say to the tests where they are.

Those that another checkout of this machine has started are as good: they are used, and left running.
"""

import json
import os
import secrets
import shutil
from pathlib import Path

from kedge.primer import Context, state
from kedge.primer.ready import Service, service
from kedge.primer.ready.services import responds
from machine.engines import engine_packages

FOLDER = Path("/run/kedge-registries")
STORED = Path("/var/lib/kedge-registries")
ADDRESSES = {"open": "127.0.0.1:5055", "private": "127.0.0.1:5056"}
ACCOUNT = "kedge-test"


def there(_: Context) -> bool:
    """Whether the files are there; the folder that they are in is empty after each start of the machine."""
    return all((FOLDER / kind / "config.yml").exists() for kind in ADDRESSES)


@state(needs=[engine_packages], check=there)
def registry_files(ctx: Context) -> None:
    """What the registries read, and what the tests read of them."""
    if there(ctx):
        return
    password = secrets.token_hex(16)
    for kind, address in ADDRESSES.items():
        folder = FOLDER / kind
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        config = {
            "version": "0.1",
            "storage": {
                "filesystem": {"rootdirectory": str(STORED / kind)},
                "delete": {"enabled": True},
            },
            "http": {"addr": address, "secret": kind},
            "log": {"level": "warn"},
        }
        if kind == "private":
            accounts = folder / "accounts"
            ctx.run("htpasswd", "-B", "-b", "-c", accounts, ACCOUNT, password)
            (folder / "login").write_text(f"{ACCOUNT}:{password}\n")
            config["auth"] = {"htpasswd": {"realm": ACCOUNT, "path": str(accounts)}}
        (folder / "address").write_text(f"{address}\n")
        unfinished = folder / f"config.yml.{os.getpid()}"
        unfinished.write_text(json.dumps(config))  # which is YAML too
        unfinished.rename(folder / "config.yml")


def registry(kind: str) -> Service:
    """The state in which one of them answers."""
    started = service(
        f"{kind}_registry",
        ["docker-registry", "serve", str(FOLDER / kind / "config.yml")],
        answers=f"http://{ADDRESSES[kind]}/",
        needs=[registry_files],
    )
    check = started.check

    def somebodys(ctx: Context) -> str:
        ours = check is not None and check(ctx)
        return "" if ours or not answers(ctx, kind) else "another checkout's registry answers"

    started.skip_if = somebodys
    return started


def answers(ctx: Context, kind: str) -> bool:
    """Whether one of them answers, whoever has started it."""
    return (FOLDER / kind / "address").exists() and responds(f"http://{ADDRESSES[kind]}/", ctx)


def remove(ctx: Context) -> None:
    """Remove what the registries read and keep, unless one of another checkout is left."""
    if not any(answers(ctx, kind) for kind in ADDRESSES):
        for folder in (FOLDER, STORED):
            shutil.rmtree(folder, ignore_errors=True)


open_registry = registry("open")
private_registry = registry("private")


@state(needs=[open_registry, private_registry])
def registries(_: Context) -> None:
    """Registries answer on loopback."""
