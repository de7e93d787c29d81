"""`kedge doctor`: the truth about this machine, and about machines that lack something."""

import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kedge.engine import look
from kedge.executor import executors, seccomp
from kedge.executor.obstacles import obstacles

NAMES = [
    *("system", "configuration", "home", "disk", "copies", "clock", "sandbox", "system calls"),
    *(
        "landlock",
        "control groups",
        "executor",
        "uv",
        "pythons",
        "warm",
        "docker",
        "podman",
        "agent",
    ),
]


@pytest.fixture
def path_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in front of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def checks(call: Callable[..., Any], code: int = 0) -> dict[str, dict[str, Any]]:
    said = call("doctor", "--json")
    assert said.code == code, said
    document = json.loads(said.out)
    assert document["can_run"] == (code == 0)
    return {one["name"]: one for one in document["checks"]}


def test_every_line_has_a_name_a_state_and_what(call: Callable[..., Any], kedge_home: Path) -> None:
    found = checks(call)
    assert list(found) == NAMES
    assert {one["state"] for one in found.values()} <= {"ok", "limited", "missing"}
    assert all(one["what"] for one in found.values())
    state = executors.get("sandbox")().usable()
    assert (found["sandbox"]["state"] == "ok") == state.ok
    assert f"gives {'sandbox' if state.ok else 'process'}" in found["executor"]["what"]
    assert seccomp.supported() == (found["system calls"]["state"] == "ok")
    assert platform.python_version().rpartition(".")[0] in found["pythons"]["what"]
    lines = call("doctor").out.splitlines()
    assert [line.split("  ")[0] for line in lines[: len(NAMES)]] == NAMES
    assert all(line.startswith(("hint: ", "  ")) for line in lines[len(NAMES) :])


def test_whether_runs_can_be_warm_is_tried(
    call: Callable[..., Any], kedge_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = checks(call)
    assert (found["warm"]["state"] == "ok") == executors.get("sandbox")().usable().ok
    assert os.listdir(kedge_home / "tmp") == []
    monkeypatch.setenv("KEDGE_WARM", "false")
    assert "turned off" in checks(call)["warm"]["what"]


def test_an_old_kernel_cannot_and_is_named(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not executors.get("sandbox")().usable().ok:
        pytest.skip("there are no sandboxes here")
    old = os.uname_result(("Linux", "here", "5.4.0-42-generic", "#1", os.uname().machine))
    monkeypatch.setattr(os, "uname", lambda: old)
    found = checks(call)["warm"]
    assert (found["state"], found["hints"]) == ("missing", ["use Linux 5.12 or newer"])
    assert "Linux 5.4.0" in found["what"]


def test_an_agent_is_told_of(kedge_alone: Any) -> None:
    assert kedge_alone("doctor").out.splitlines()[len(NAMES) - 1].startswith("agent           ok")
    kedge_alone("agent", "start")
    told = kedge_alone("agent", "status", "--json").json
    found = {one["name"]: one for one in kedge_alone("doctor", "--json").json["checks"]}
    assert found["agent"]["what"] == f"process {told['pid']}, which keeps 0"
    kedge_alone("agent", "stop")


def test_without_namespaces_functions_still_run_and_the_reason_is_told(
    call: Callable[..., Any], path_of_its_own: Path
) -> None:
    program(path_of_its_own, "bwrap", "echo 'bwrap: setting up uid map: denied' >&2; exit 1")
    found = checks(call)
    assert found["sandbox"]["state"] == "missing"
    assert "setting up uid map: denied" in found["sandbox"]["what"]
    assert found["sandbox"]["hints"]
    assert "gives process" in found["executor"]["what"]
    assert found["executor"]["state"] == "limited"
    assert "no sandbox" in found["warm"]["what"]


def test_a_home_that_cannot_be_written_lets_nothing_run(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDGE_HOME", "/proc/kedge")
    found = checks(call, code=3)
    assert found["home"]["state"] == "missing"
    assert "KEDGE_HOME" in found["home"]["hints"][0]


def test_a_program_that_hangs_is_given_up_on(
    call: Callable[..., Any], path_of_its_own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look, "_PATIENCE_S", 1.0)
    program(path_of_its_own, "docker", "sleep 3600 & sleep 3600")
    began = time.monotonic()
    found = checks(call)
    assert "did not answer within 1 s" in found["docker"]["what"]
    assert time.monotonic() - began < 600


def test_a_wrong_configuration_is_one_line_of_many(
    call: Callable[..., Any], kedge_home: Path
) -> None:
    kedge_home.mkdir()
    (kedge_home / "kedge.toml").write_text("exekutor = 'sandbox'\n")
    found = checks(call, code=3)
    assert found["configuration"]["state"] == "missing"
    assert found["configuration"]["hints"] == ["did you mean `executor`?"]
    assert found["system"]["state"] == "ok"


def test_others_who_can_write_to_the_home_are_noticed(
    call: Callable[..., Any], kedge_home: Path
) -> None:
    kedge_home.mkdir()
    kedge_home.chmod(0o777)
    found = checks(call)
    assert found["home"]["state"] == "limited"
    assert found["home"]["hints"] == [f"`chmod go-w {kedge_home}`"]


def machine(root: Path, capabilities: str = "000001ffffffffff", **settings: int) -> str:
    """A file system's root as such a machine has it."""
    (root / "proc/self/ns").mkdir(parents=True)
    (root / "proc/self/ns/user").touch()
    (root / "proc/1").mkdir()
    (root / "proc/1/environ").write_bytes(b"PATH=/bin\0")
    (root / "proc/self/status").write_text(f"Name:\tx\nCapEff:\t{capabilities}\n")
    for name, value in settings.items():
        path = root / "proc/sys" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    return str(root)


def test_apparmor_is_lifted_by_a_profile_for_the_program_that_was_found(tmp_path: Path) -> None:
    real = tmp_path / "opt" / "bwrap"
    real.parent.mkdir()
    real.touch()
    (tmp_path / "bwrap").symlink_to(real)
    root = machine(tmp_path / "root", kernel__apparmor_restrict_unprivileged_userns=1)
    (only,) = obstacles(str(tmp_path / "bwrap"), as_root=False, root=root)
    assert "AppArmor" in only.reason
    assert "apparmor_parser -r /etc/apparmor.d/bwrap" in only.hint
    assert only.hint.splitlines()[1:] == [
        "abi <abi/4.0>,",
        "include <tunables/global>",
        "",
        f"profile bwrap {real} flags=(unconfined) {{",
        "  userns,",
        "  include if exists <local/bwrap>",
        "}",
    ]
    assert obstacles(str(real), as_root=True, root=root) == []


def test_every_setting_that_is_in_the_way_is_named_with_its_command(tmp_path: Path) -> None:
    root = machine(
        tmp_path / "root", user__max_user_namespaces=0, kernel__unprivileged_userns_clone=0
    )
    found = obstacles("/usr/bin/bwrap", as_root=False, root=root)
    assert [one.reason for one in found] == [
        "user.max_user_namespaces is 0",
        "kernel.unprivileged_userns_clone is 0",
    ]
    assert "sysctl -w kernel.unprivileged_userns_clone=1" in found[1].hint
    allowed = machine(
        tmp_path / "other",
        user__max_user_namespaces=63000, kernel__unprivileged_userns_clone=1,
        kernel__apparmor_restrict_unprivileged_userns=0,
    )  # fmt: skip
    assert obstacles("/usr/bin/bwrap", as_root=False, root=allowed) == []


@pytest.mark.parametrize(
    ("mark", "told"),
    [(".dockerenv", "a Docker"), ("run/.containerenv", "a Podman"), (None, "a container")],
)
def test_a_container_without_privileges_is_told(
    tmp_path: Path, mark: str | None, told: str
) -> None:
    root = machine(tmp_path / "root", capabilities="00000000a80425fb")  # Docker's usual ones
    if mark:
        (tmp_path / "root" / mark).parent.mkdir(exist_ok=True)
        (tmp_path / "root" / mark).touch()
    else:
        (tmp_path / "root/proc/1/environ").write_bytes(b"PATH=/bin\0container=lxc\0")
    (only,) = obstacles("/usr/bin/bwrap", as_root=True, root=root)
    assert told in only.reason
    assert "--privileged" in only.hint
    (tmp_path / "root/proc/self/status").write_text("CapEff:\t000001ffffffffff\n")
    assert obstacles("/usr/bin/bwrap", as_root=True, root=root) == []


def test_a_kernel_without_user_namespaces_is_told(tmp_path: Path) -> None:
    (only,) = obstacles("/usr/bin/bwrap", as_root=False, root=str(tmp_path))
    assert "no user namespaces" in only.reason
