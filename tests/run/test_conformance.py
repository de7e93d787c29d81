"""How what was seen of a run is judged: shapes, mounts, an engine's list, what lies in `out/`."""

import json
import os
from pathlib import Path

from kedge.run.conformance_checks import differing, shape
from kedge.run.conformance_sight import left_in, writable_mounts, written

MOUNTS = """\
7 6 0:5 / / ro,relatime master:3 - overlay overlay rw,lowerdir=/a,upperdir=/b
8 7 0:6 / /proc rw,nosuid - proc proc rw
9 7 0:7 / /dev/shm rw,nosuid - tmpfs shm rw,size=65536k
10 7 8:1 / /workspace/out rw,relatime - ext4 /dev/vda rw,discard
11 7 8:1 / /tmp rw,relatime - ext4 /dev/vda rw,discard
12 7 8:1 / /etc/hosts ro,relatime - ext4 /dev/vda rw,discard
13 7 8:1 / /media rw,relatime - iso9660 /dev/sr0 ro
14 7 8:1 / /data rw,relatime - ext4 /dev/vda rw,discard
"""


def test_a_mount_that_can_be_written_to_is_found() -> None:
    assert list(writable_mounts(MOUNTS)) == ["/data"]


def test_what_the_engine_put_there_is_not_the_program_s() -> None:
    docker = [
        "C /usr",
        "C /usr/sbin",
        "A /usr/sbin/docker-init",
        "A /workspace",
        "A /workspace/out",
    ]
    podman = ["C /etc", "C /etc/passwd", "A /run/podman-init", "C /run"]
    assert written(docker) == written(podman) == []
    assert written([*docker, "C /var", "A /var/x", "A /var/x/y", "A /workspace/z"]) == [
        "/var/x/y",
        "/workspace/z",
    ]


def test_shapes_are_compared_and_not_values() -> None:
    one = shape({"y": 1, "table": {"rows": [1, 2], "name": "a"}, "none": None})
    assert differing(one, shape({"y": 2.5, "table": {"rows": [], "name": "b"}, "none": None})) == ""
    assert differing(shape({"y": 1}), shape({"y": True})) == "`y` was a number, then a truth value"
    assert differing(shape({"t": {"a": 1}}), shape({"t": {}})) == "`t.a` came only the first time"
    assert differing(shape({"t": {}}), shape({"t": []})) == "`t` was an object, then a list"


def test_what_lies_in_out_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "files" / "list.json").write_text("{}")
    (tmp_path / "files" / "mesh.med").write_text("x")
    (tmp_path / "artifacts" / "state").write_text("x")
    os.symlink("/etc/passwd", tmp_path / "artifacts" / "link")
    (tmp_path / "_error.json").write_text("[]")
    lines = [json.dumps({"step": 1}), "", "[1]", json.dumps({"step": 2})]
    (tmp_path / "progress.jsonl").write_text("\n".join(lines))
    left = left_in(str(tmp_path))
    assert sorted(left.kept) == ["artifacts/state", "files/mesh.med"]
    assert left.others == ("`out/artifacts/link` is a symbolic link",)
    assert left.errors == (("_error.json", "is a list, not a JSON object"),)
    assert left.lines == 3
    assert left.malformed == "line 3 of `out/progress.jsonl` is a list, not a JSON object"
