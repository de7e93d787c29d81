"""The variables of a container: a package's own never reach the engine's program, secrets only that one."""

import os
from pathlib import Path
from typing import Any

import pytest

from kedge.contract.workspace import Workspace
from kedge.engine.look import Engine
from kedge.errors import InputError
from kedge.executor.container_command import command
from kedge.executor.job import Job
from kedge.task import ImageRoot, Process, Resources
from kedge.task.payload import Secret

IMAGE = "localhost/kedge-test/debian:bookworm"
STEERING = {
    "BASH_ENV": "/nowhere/start",
    "CONTAINERS_CONF": "/nowhere/containers.conf",
    "DOCKER_HOST": "tcp://127.0.0.1:1",
    "GODEBUG": "nonsense",
    "HTTP_PROXY": "http://127.0.0.1:1",
    "LISTEN_FDS": "3",
    "NOTIFY_SOCKET": "/nowhere/notify",
    "PODMAN_USERNS": "nomap",
    "STORAGE_DRIVER": "nonsense",
    "XDG_RUNTIME_DIR": "/nowhere",
    "_CONTAINERS_USERNS_CONFIGURED": "done",
}


def called(kind: str, env: dict[str, str], folder: Path) -> tuple[list[str], dict[str, str]]:
    engine = Engine(
        kind=kind,
        path=f"/usr/bin/{kind}",
        version="1",
        platform="linux/amd64",
        rootless=False,
        local=True,
        limits=("memory", "cpu", "pids"),
    )
    root = ImageRoot(image="sha256:0", folder="/workspace")
    payload = Process(("true",), root, env)
    job = Job(
        run_id="r1",
        package="p",
        function="f",
        workspace=Workspace(folder=str(folder), package=None, files=()),
        resources=Resources(cpu=1, memory_mb=64),
    )
    words, own = command(engine, payload, root, job, None, str(folder))
    return words, dict(own)


@pytest.mark.parametrize("kind", ["docker", "podman"])
def test_only_secrets_are_in_the_engines_own_environment(tmp_path: Path, kind: str) -> None:
    env = {**STEERING, "TOKEN": Secret("hidden\nvalue"), "plain": "a b\nc"}
    words, own = called(kind, env, tmp_path)
    assert own.pop("TOKEN") == "hidden\nvalue"
    assert own.keys() <= os.environ.keys() | {"DOCKER_CLI_HINTS", "LC_ALL", "NO_COLOR"}
    given = [words[at + 1] for at, word in enumerate(words) if word == "--env"]
    assert {"TOKEN", "plain=a b\nc", *(f"{name}={text}" for name, text in STEERING.items())} <= {
        *given
    }
    assert not any("hidden" in word for word in words)


@pytest.mark.parametrize("name", [*STEERING, "LD_PRELOAD", "https_proxy", "GLIBC_TUNABLES", "HOME"])
def test_a_secret_may_not_steer_the_engine(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=name) as caught:
        called("podman", {name: Secret("hidden")}, tmp_path)
    assert "hidden" not in str(caught.value) and caught.value.hint


@pytest.mark.parametrize(
    "name", ["GOOGLE_API_KEY", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "home"]
)
def test_other_names_are_a_secrets_to_have(tmp_path: Path, name: str) -> None:
    assert called("docker", {name: Secret("hidden")}, tmp_path)[1][name] == "hidden"


def test_a_program_has_them_as_the_package_says(
    kedge_alone: Any, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f'      {name}: "{text}"' for name, text in STEERING.items()]
    shown = "".join(f"${name}|" for name in (*STEERING, "TOKEN"))
    (tmp_path / "kedge.yml").write_text(
        "\n".join(
            [
                "name: told",
                f'runtime: {{kind: image, image: "{IMAGE}"}}',
                "functions:",
                "  f:",
                "    env:",
                "      TOKEN: {secret: TEST_TOKEN}",
                *lines,
                f"    entrypoint: [sh, -c, 'echo \"{shown}\" > /workspace/out/files/said']",
                "    inputs: {}",
                "    outputs: {said: File}",
            ]
        )
    )
    monkeypatch.setenv("KEDGE_SECRET_TEST_TOKEN", "hidden")
    words = ("--executor", engine.kind, "--json", "--out", tmp_path / "results")
    kedge_alone("run", tmp_path, "f", *words)
    said = (tmp_path / "results" / "said").read_text()
    assert said == "".join(f"{text}|" for text in (*STEERING.values(), "hidden")) + "\n"
