"""Variables with their secrets filled in, and the store that keeps secrets between runs."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kedge.errors import InputError, StoreError, UnknownName, UsageError
from kedge.run import secret_store
from kedge.run.secrets import filled


def file_of(home: Path) -> Path:
    return home / "secrets" / "secrets.json"


def test_secrets_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDGE_SECRET_LICENSE", "hunter2")
    monkeypatch.setenv("KEDGE_SECRET_EMPTY", "")
    env = {"MODE": "fast", "TOKEN": {"secret": "LICENSE"}, "NONE": {"secret": "EMPTY"}}
    assert filled(env) == {"MODE": "fast", "TOKEN": "hunter2", "NONE": ""}


def test_every_missing_secret_is_named_with_both_ways_to_set_it() -> None:
    with pytest.raises(InputError) as refused:
        filled({"A": {"secret": "ONE"}, "B": "text", "C": {"secret": "TWO"}})
    told = [(str(one.where), one.hint) for one in refused.value.problems]
    assert told == [
        ("env.A", "keep it with `kedge secret set ONE`, or set the variable KEDGE_SECRET_ONE"),
        ("env.C", "keep it with `kedge secret set TWO`, or set the variable KEDGE_SECRET_TWO"),
    ]


def test_a_variable_wins_over_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    secret_store.put("LICENSE", "kept")
    assert filled({"TOKEN": {"secret": "LICENSE"}}) == {"TOKEN": "kept"}
    monkeypatch.setenv("KEDGE_SECRET_LICENSE", "given")
    assert filled({"TOKEN": {"secret": "LICENSE"}}) == {"TOKEN": "given"}


@pytest.mark.parametrize("value", ["", "plain", " spaces \n\n", "ключ 鍵 \u2028", "x" * 65536])
def test_a_value_comes_back_as_it_was(value: str) -> None:
    assert secret_store.put("KEY", "before") == secret_store.FILE
    secret_store.put("KEY", value)
    assert secret_store.value("KEY") == value
    assert secret_store.names() == {"KEY": secret_store.FILE}
    assert secret_store.value("OTHER") is None


def test_only_the_owner_reads_the_file_whatever_the_umask(kedge_home: Path) -> None:
    before = os.umask(0)
    try:
        secret_store.put("KEY", "value")
    finally:
        os.umask(before)
    assert stat.S_IMODE(file_of(kedge_home).stat().st_mode) == 0o600
    assert stat.S_IMODE(file_of(kedge_home).parent.stat().st_mode) == 0o700
    assert sorted(os.listdir(kedge_home / "secrets")) == ["secrets.json", "secrets.json.lock"]


@pytest.mark.parametrize("opened", ["secrets/secrets.json", "secrets"])
def test_a_file_that_others_can_get_at_is_refused(kedge_home: Path, opened: str) -> None:
    secret_store.put("KEY", "hunter2")
    (kedge_home / opened).chmod(0o666 if opened.endswith("json") else 0o777)
    for use in (secret_store.names, lambda: secret_store.value("KEY")):
        with pytest.raises(StoreError, match="others on this machine") as refused:
            use()
        assert "chmod" in str(refused.value.hint)
    with pytest.raises(StoreError):
        secret_store.put("KEY", "again")
    with pytest.raises(InputError, match="cannot be read") as told:
        filled({"A": {"secret": "KEY"}})
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"layout": 2, "secrets": {}}', b'{"layout": 1, "secrets": {"A": 1}}']
)
def test_a_damaged_file_is_refused_without_its_content(kedge_home: Path, content: bytes) -> None:
    secret_store.put("KEY", "hunter2")
    file_of(kedge_home).write_bytes(content + b" hunter2"[: len(content)])
    with pytest.raises(StoreError, match="damaged") as refused:
        secret_store.value("KEY")
    assert "hunter2" not in f"{refused.value} {refused.value.hint}"


@pytest.mark.parametrize("name", ["", "1A", "A-B", "KEDGE_X", "é", "A B", "A\n"])
def test_a_name_that_no_manifest_can_ask_for_is_refused(kedge_home: Path, name: str) -> None:
    with pytest.raises(UsageError) as refused:
        secret_store.put(name, "value")
    assert refused.value.hint
    assert not file_of(kedge_home).exists()


@pytest.mark.parametrize("value", ["a\0b", "x" * 65537, "\udc80"])
def test_a_value_that_no_variable_can_hold_is_refused_unseen(value: str) -> None:
    with pytest.raises(UsageError) as refused:
        secret_store.put("KEY", value)
    assert value not in str(refused.value)
    assert secret_store.names() == {}


def test_removing_an_unknown_name_removes_nothing() -> None:
    secret_store.put("LICENSE", "a")
    with pytest.raises(UnknownName, match="LICENCE") as refused:
        secret_store.remove(["LICENSE", "LICENCE"])
    assert refused.value.hint == "did you mean `LICENSE`?"
    assert list(secret_store.names()) == ["LICENSE"]
    secret_store.remove(["LICENSE", "LICENSE"])
    assert secret_store.names() == {}


def test_writers_at_once_lose_nothing() -> None:
    code = "import sys; from kedge.run import secret_store as s\n"
    code += "for n in range(10): s.put(f'{sys.argv[1]}_{n}', sys.argv[1])"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [
        subprocess.Popen([sys.executable, "-c", code, name], env=environment) for name in "ABC"
    ]
    assert [one.wait() for one in writers] == [0, 0, 0]
    assert len(secret_store.names()) == 30
    assert secret_store.value("B_9") == "B"


# A stand-in for the `keyring` distribution, whose real backends need a desktop session.
KEYRING = """
import json, os, pathlib
class Kept:
    path = pathlib.Path(os.environ["TEST_KEYRING"])
    def _all(self):
        return json.loads(self.path.read_text()) if self.path.exists() else {}
    def get_password(self, service, name):
        return self._all().get(f"{service} {name}")
    def set_password(self, service, name, value):
        if os.environ.get("TEST_LOCKED"): raise RuntimeError("locked: " + value)
        self.path.write_text(json.dumps(self._all() | {f"{service} {name}": value}))
    def delete_password(self, service, name):
        self.path.write_text(json.dumps({k: v for k, v in self._all().items() if k != f"{service} {name}"}))
Plain = type("Plain", (Kept,), {"__module__": "keyrings.alt.file"})
Null = type("Null", (Kept,), {"__module__": "keyring.backends.null"})
Good = type("Good", (Kept,), {"__module__": "keyring.backends.SecretService"})
class Chain:
    backends = [globals()[name]() for name in os.environ["TEST_BACKENDS"].split()]
def get_keyring():
    return Chain()
"""


@pytest.fixture
def keyring_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "keyring.py").write_text(KEYRING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "keyring", raising=False)
    monkeypatch.setenv("TEST_KEYRING", str(tmp_path / "ring.json"))
    monkeypatch.setenv("TEST_BACKENDS", "Plain Good")
    return tmp_path / "ring.json"


def test_a_keyring_keeps_the_value_and_the_file_the_name(
    keyring_file: Path, kedge_home: Path
) -> None:
    assert secret_store.put("KEY", "hunter2") == secret_store.KEYRING
    assert "hunter2" not in file_of(kedge_home).read_text()
    assert secret_store.names() == {"KEY": secret_store.KEYRING}
    assert secret_store.value("KEY") == "hunter2"
    secret_store.remove(["KEY"])
    assert json.loads(keyring_file.read_text()) == {}


def test_backends_that_protect_nothing_are_not_used(
    keyring_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_BACKENDS", "Plain Null")
    assert secret_store.put("KEY", "hunter2") == secret_store.FILE
    assert not keyring_file.exists()
    assert secret_store.value("KEY") == "hunter2"


def test_a_locked_keyring_leaves_the_value_to_the_file(
    keyring_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret_store.put("KEY", "old")
    monkeypatch.setenv("TEST_LOCKED", "1")
    assert secret_store.put("KEY", "new") == secret_store.FILE
    assert secret_store.value("KEY") == "new"
    assert json.loads(keyring_file.read_text()) == {}


def test_a_keyring_that_lost_the_value_says_so(keyring_file: Path) -> None:
    secret_store.put("KEY", "hunter2")
    keyring_file.unlink()
    with pytest.raises(StoreError, match="does not give"):
        secret_store.value("KEY")
