"""The mount plan as data, and what bubblewrap is told of it."""

import os
import posixpath
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.contract.workspace import StagedFile, Workspace
from kedge.errors import KedgeError, UsageError
from kedge.executor.bubblewrap import Bubblewrap, arguments, becoming
from kedge.executor.identity import Identity
from kedge.executor.plan import Bind, Folder, MountPlan, Seal, Text, make_plan
from kedge.task import HostRoot, PythonRoot


def plan_of(*visible: str, workspace: Workspace | None = None, network: bool = False) -> MountPlan:
    return make_plan(
        PythonRoot(visible) if visible else HostRoot(),
        workspace or Workspace("/run/w", "/snapshots/s"),
        "/run/w/tmp",
        uid=1000,
        gid=1000,
        memory_mb=64,
        network=network,
    )


def test_parents_come_before_what_is_in_them_and_the_root_is_sealed_last(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    entries = plan_of(str(inner)).entries
    paths = [entry.path for entry in entries]
    assert entries[-1] == Seal("/")
    # Below /tmp, only what is not there by itself.
    parent = posixpath.dirname(str(inner))
    assert Folder(parent) in entries
    assert paths.index(parent) < paths.index(str(inner))


def test_nothing_is_shown_twice(tmp_path: Path) -> None:
    inner = tmp_path / "a"
    inner.mkdir()
    entries = plan_of(str(tmp_path), str(inner), "/usr/share", str(tmp_path)).entries
    shown = [entry.path for entry in entries if isinstance(entry, Bind)]
    assert shown.count(str(tmp_path)) == 1
    assert str(inner) not in shown
    assert "/usr/share" not in shown


def test_a_link_is_shown_under_both_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    entries = plan_of(str(tmp_path / "link")).entries
    real = str(tmp_path / "real")
    assert Bind(real, str(tmp_path / "link")) in entries
    assert Bind(real, real) in entries


def test_only_out_scratch_and_tmp_are_writable() -> None:
    entries = plan_of().entries
    writable = {entry.path for entry in entries if isinstance(entry, Bind) and entry.writable}
    assert writable == {"/tmp", "/workspace/out", "/workspace/scratch"}


def test_no_key_of_the_host_is_shown() -> None:
    entries = plan_of().entries
    sources = {entry.source for entry in entries if isinstance(entry, Bind)}
    assert not sources & {"/etc", "/etc/ssl", "/etc/ssl/private", "/etc/pki", "/etc/shadow", "/"}


def test_the_resolver_is_shown_with_the_network_alone() -> None:
    for network in (False, True):
        [resolver] = [
            entry
            for entry in plan_of(network=network).entries
            if isinstance(entry, Text) and entry.path == "/etc/resolv.conf"
        ]
        expected = Path("/etc/resolv.conf").read_text() if network else ""
        assert resolver.content == expected


def test_a_path_inside_is_found_on_the_host(tmp_path: Path) -> None:
    mesh = tmp_path / "mesh.med"
    mesh.touch()
    workspace = Workspace("/run/w", "/snapshots/s", (StagedFile(str(mesh), "in/files/m.med"),))
    plan = plan_of(workspace=workspace)
    assert plan.locate("/workspace/bolts.py") == "/snapshots/s/bolts.py"
    assert plan.locate("/workspace/out/x") == "/run/w/out/x"
    assert plan.locate("/workspace/in/files/m.med") == str(mesh)
    assert plan.locate("/usr/bin/env") == "/usr/bin/env"
    assert plan.locate("/home/me") is None
    if os.path.islink("/bin"):
        assert plan.locate("/bin/sh") == "/usr/bin/sh"


@given(st.text(max_size=30).map(lambda text: "/" + text))
def test_any_path_is_shown_in_its_place_or_refused(path: str) -> None:
    try:
        entries = plan_of(path).entries
    except KedgeError as error:
        assert error.hint
        return
    plain = "/" + posixpath.normpath(path).lstrip("/")
    assert plain.startswith("/usr") or any(
        isinstance(entry, Bind) and plain.startswith(entry.path) for entry in entries
    )


def test_what_lies_below_the_other_tmp_is_shown_where_its_link_leads() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        place = "/tmp/" + os.path.basename(folder)
        plan = plan_of(folder)
        assert Bind(folder, place) in plan.entries
        assert plan.locate(folder + "/x") == folder + "/x"
        os.mkdir(place)
        try:
            with pytest.raises(UsageError, match="same run"):
                plan_of(folder, place)
        finally:
            os.rmdir(place)


def test_what_is_the_runs_own_cannot_be_covered() -> None:
    for path in (
        "/var/tmp",
        "/",
        "//",
        "/proc",
        "/dev",
        "/dev/null",
        "/workspace/in",
        "/tmp",
        "/etc",
        "/x/../etc",
    ):
        with pytest.raises(UsageError):
            plan_of(path)


def test_old_versions_get_no_option_that_they_lack() -> None:
    plan = plan_of()
    texts = {entry.path: 9 for entry in plan.entries if isinstance(entry, Text)}
    old = arguments(Bubblewrap("bwrap", frozenset()), plan, {}, texts, as_root=False)
    new = arguments(
        Bubblewrap("bwrap", frozenset({"--size", "--disable-userns"})),
        plan,
        {},
        texts,
        as_root=False,
    )
    assert not {"--size", "--disable-userns"} & set(old)
    assert {"--size", "--disable-userns"} <= set(new)


def test_root_makes_no_user_namespace_and_keeps_three_capabilities() -> None:
    plan = plan_of()
    texts = {entry.path: 9 for entry in plan.entries if isinstance(entry, Text)}
    told = arguments(Bubblewrap("bwrap", frozenset()), plan, {}, texts, as_root=True)
    assert "--unshare-user" not in told
    kept = {told[index + 1] for index, word in enumerate(told) if word == "--cap-add"}
    assert kept == {"CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"}


def test_no_loader_variable_reaches_the_program_that_drops_root() -> None:
    variables = {
        "LD_PRELOAD": "x.so",
        "GLIBC_TUNABLES": "y",
        "LOCPATH": "/z",
        "OMP_NUM_THREADS": "2",
    }
    command, early = becoming(Identity(7, 7), ("solver", "-x"), variables)
    assert early == {"OMP_NUM_THREADS": "2"}
    assert command[-6:] == (
        "/usr/bin/env", "LD_PRELOAD=x.so", "GLIBC_TUNABLES=y", "LOCPATH=/z", "solver", "-x",
    )  # fmt: skip
    assert becoming(Identity(7, 7), ("solver",), {})[0][-2:] == ("--", "solver")
