"""Images from a registry: pulled by tag or digest, refused with the reason, whole or not there at all."""

import json
import os
import random
import re
import secrets
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from kedge.engine.look import Engine

PROGRAM = [
    "/bin/sh",
    "-c",
    """read -r said < /said; echo "{\\"said\\": \\"$said\\"}" > /workspace/out/data.json""",
]
BIG = 50 << 20
KILLS = 10
KILL_EVERY_S = 0.1  # later each time; to pull the big image takes about a second


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No login of the user's counts, and what a killed engine leaves of a download is the test's."""
    config = tmp_path / "config"
    config.mkdir()
    (config / "auth.json").write_text("{}")
    monkeypatch.setenv("DOCKER_CONFIG", str(config))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(config / "auth.json"))
    monkeypatch.setenv("TMPDIR", str(config))
    return config


@pytest.fixture
def layers() -> list[dict[str, bytes]]:
    """Two layers: this machine's shell with the libraries that it needs, and what nobody has yet."""
    shell = os.path.realpath("/bin/sh")
    said = subprocess.run(["ldd", shell], capture_output=True, text=True, check=True).stdout
    libraries = re.findall(r"(/\S+) \(0x", said)
    files = {path[1:]: Path(path).read_bytes() for path in libraries}
    return [
        {"bin/sh": Path(shell).read_bytes(), **files},
        {"said": b"whole\n", "unique": secrets.token_bytes(8)},
    ]


@pytest.fixture
def big(request: pytest.FixtureRequest) -> dict[str, bytes]:
    """A layer that cannot be made small: of each test the same, since the registry keeps what it has."""
    return {"big": random.Random(request.node.name).randbytes(BIG)}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """An empty folder for a package."""
    folder = tmp_path / "pulled"
    folder.mkdir()
    return folder


@pytest.fixture
def run(kedge_alone: Any, engine: Engine, package: Path) -> Any:
    """Runs the program of an image on the engine."""

    def runs(image: str, code: int = 0) -> Any:
        write_manifest(package, image)
        return kedge_alone("run", package, "--executor", engine.kind, "--json", code=code)

    return runs


def write_manifest(folder: Path, image: str) -> None:
    manifest = {
        "name": "pulled",
        "runtime": {"kind": "image", "image": image},
        "functions": {"f": {"entrypoint": PROGRAM, "inputs": {}, "outputs": {"said": "String"}}},
    }
    (folder / "kedge.yml").write_text(json.dumps(manifest))


def has(engine: Engine, image: str) -> bool:
    return (
        subprocess.run([engine.path, "image", "inspect", image], capture_output=True).returncode
        == 0
    )


def refusal(ended: Any) -> Any:
    """An error that says which part of Kedge failed, and what to do."""
    error = ended.json["error"]
    assert error["code"] == "environment_error" and error["hint"], error
    return error


def machines(engine: Engine) -> tuple[str, str]:
    """The engine's platform, and one that it is not."""
    other = "linux/amd64" if engine.platform == "linux/arm64" else "linux/arm64"
    return engine.platform, other


def test_by_tag_it_is_pulled_once_and_its_digest_recorded(
    run: Any, kedge_alone: Any, registry: Any, layers: Any, engine: Engine
) -> None:
    digest = registry.push("1.4", *layers, platform=engine.platform)
    image = f"{registry.repository}:1.4"
    first = run(image)
    assert f"preparing: pulling {image}\n" in first.err
    assert f"preparing: pulling {image}: 2 of 2 layers\n" in first.err
    record = kedge_alone("show", first.json["_run"]["id"], "--json").json
    assert record["environment"] == digest
    assert "not reproducible" not in first.err
    assert "pulling" not in run(image).err


def test_by_digest_it_is_that_image(
    run: Any, kedge_alone: Any, registry: Any, layers: Any, engine: Engine
) -> None:
    digest = registry.push("1", *layers, platform=engine.platform)
    registry.push("1", {"said": b"another"}, platform=engine.platform)
    ended = run(f"{registry.repository}@{digest}")
    record = kedge_alone("show", ended.json["_run"]["id"], "--json").json
    assert record["environment"] == digest


@pytest.mark.parametrize("tag", ["", ":latest"])
def test_without_a_version_it_is_run_with_a_warning(
    run: Any, kedge_alone: Any, registry: Any, layers: Any, engine: Engine, tag: str
) -> None:
    digest = registry.push("latest", *layers, platform=engine.platform)
    ended = run(f"{registry.repository}{tag}")
    assert "warning" in ended.err and "reproducible" in ended.err
    record = kedge_alone("show", ended.json["_run"]["id"], "--json").json
    assert record["environment"] == digest


def test_of_several_platforms_the_engine_takes_its_own(
    run: Any, kedge_alone: Any, registry: Any, layers: Any, engine: Engine
) -> None:
    own, other = machines(engine)
    digest = registry.push_list("1", {other: [{"said": b"none"}], own: layers})
    ended = run(f"{registry.repository}:1")
    record = kedge_alone("show", ended.json["_run"]["id"], "--json").json
    assert record["environment"] == digest


def test_an_image_for_another_machine_is_refused_with_both_platforms(
    run: Any, registry: Any, layers: Any, engine: Engine
) -> None:
    own, other = machines(engine)
    registry.push("1", *layers, platform=other)
    error = refusal(run(f"{registry.repository}:1", code=3))
    assert own in error["message"] and other in error["message"]


def test_an_image_that_is_not_there_for_this_machine_is_refused(
    run: Any, registry: Any, layers: Any, engine: Engine
) -> None:
    _, other = machines(engine)
    registry.push_list("1", {other: layers})
    error = refusal(run(f"{registry.repository}:1", code=3))
    assert f"does not have it for {engine.platform}" in error["message"], error


@pytest.mark.parametrize("name", ["{}:2", "{}-nothing:1", "{}@sha256:" + "0" * 64])
def test_what_the_registry_does_not_have_is_said(
    run: Any, registry: Any, layers: Any, engine: Engine, name: str
) -> None:
    registry.push("1", *layers, platform=engine.platform)
    image = name.format(registry.repository)
    error = refusal(run(image, code=3))
    assert f"`{image}`" in error["message"] and "has no such image" in error["message"], error


def test_a_private_registry_wants_the_engines_login(
    run: Any, kedge_alone: Any, private_registry: Any, layers: Any, engine: Engine
) -> None:
    digest = private_registry.push("1", *layers, platform=engine.platform)
    image = f"{private_registry.repository}:1"
    error = refusal(run(image, code=3))
    assert "refuses" in error["message"] and f"`{engine.kind} login`" in error["hint"], error
    account, _, password = private_registry.login.partition(":")
    words = ("login", "--username", account, "--password-stdin", private_registry.address)
    subprocess.run([engine.path, *words], input=password.encode(), check=True, capture_output=True)
    record = kedge_alone("show", run(image).json["_run"]["id"], "--json").json
    assert record["environment"] == digest


def test_a_registry_that_is_down_is_said(run: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        image = f"127.0.0.1:{free.getsockname()[1]}/nothing:1"
        error = refusal(run(image, code=3))
    assert "cannot be reached" in error["message"] and "connection refused" in error["message"]


def test_two_at_once_pull_it_once(
    run: Any, registry: Any, layers: Any, big: Any, engine: Engine
) -> None:
    registry.push("1", *layers, big, platform=engine.platform)
    image = f"{registry.repository}:1"
    ended: list[Any] = []
    threads = [threading.Thread(target=lambda: ended.append(run(image))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = [one.err.count(f"preparing: pulling {image}\n") for one in ended]
    assert sorted(told) == [0, 1], [one.err for one in ended]


@pytest.mark.slow
def test_a_pull_that_is_killed_leaves_nothing_that_is_taken_for_whole(
    run: Any,
    killing: Any,
    kedge_alone: Any,
    registry: Any,
    layers: Any,
    big: Any,
    engine: Engine,
    package: Path,
) -> None:
    registry.push("1", *layers, big, platform=engine.platform)
    image = f"{registry.repository}:1"
    write_manifest(package, image)
    cut_off = 0
    for number in range(KILLS):
        process = pulling(kedge_alone, engine, package)
        time.sleep(KILL_EVERY_S * number)
        # On every other they have to notice by themselves that their face is gone.
        said = killing.kill(process, supervisor=number % 2 == 1)
        assert process.returncode in (0, -signal.SIGKILL), said
        if has(engine, image):
            subprocess.run([engine.path, "rmi", "--force", image], check=True, capture_output=True)
        else:
            cut_off += 1
    assert cut_off > 1
    began = time.monotonic()
    assert run(image).json["said"] == "whole"
    assert time.monotonic() - began < 60  # a lock that is left would be waited for much longer


def pulling(kedge_alone: Any, engine: Engine, folder: Path) -> subprocess.Popen[bytes]:
    """A command that has begun to pull."""
    process: subprocess.Popen[bytes] = kedge_alone.start("run", folder, "--executor", engine.kind)
    said = b""
    assert process.stderr is not None
    for raw in process.stderr:
        if raw.startswith(b"preparing: pulling"):
            return process
        said += raw
    pytest.fail(f"nothing was pulled: {said.decode()}")
