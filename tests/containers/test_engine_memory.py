"""What is known of an engine is asked anew when anything changed that decides the answer."""

import os
from pathlib import Path

import pytest

from kedge.engine.look import look

PROGRAM = """\
#!/bin/sh
echo x >> {asked}
echo '{told}'
"""
TOLD = {
    "docker": '{"ServerVersion": "1", "OSType": "linux", "Architecture": "x86_64", "Name": "here"}',
    "podman": '{"host": {"os": "linux", "arch": "amd64", "security": {"rootless": true},'
    ' "cgroupControllers": []}, "version": {"Version": "1"}}',
}


@pytest.mark.parametrize(
    ("kind", "variable"),
    [
        ("docker", "DOCKER_CONTEXT"),
        ("docker", "DOCKER_TLS_VERIFY"),
        ("docker", "XDG_RUNTIME_DIR"),
        ("docker", "HOME"),
        ("docker", "home/.docker/config.json"),
        ("docker", "home/.docker/contexts/meta/one/meta.json"),
        ("podman", "CONTAINERS_CONF"),
        ("podman", "CONTAINER_HOST"),
        ("podman", "home/.config/containers/storage.conf"),
    ],
)
def test_it_is_asked_again(
    tmp_path: Path,
    kedge_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    variable: str,
) -> None:
    program, asked = tmp_path / kind, tmp_path / "asked"
    program.write_text(PROGRAM.format(asked=asked, told=TOLD[kind]))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    for name in ("XDG_CONFIG_HOME", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    def times() -> int:
        assert look(kind).engine is not None
        return len(asked.read_text().splitlines())

    assert kedge_home and (times(), times()) == (1, 1)
    if "/" in variable:
        (tmp_path / variable).parent.mkdir(parents=True)
        (tmp_path / variable).write_text("changed")
    else:
        monkeypatch.setenv(variable, str(tmp_path / "changed"))
    assert (times(), times()) == (2, 2)
