"""What Kedge promises, each as a user would try it: by the command line, with real packages."""

import json
import os
import shutil
import socket
import stat
import subprocess
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

PACKAGES = Path(__file__).parents[1] / "packages"
BOLTS = PACKAGES / "seed-short"
SIZING = ["sizing", "diameter_mm=12", "load_n=15000", "--json"]
STRESS = pytest.approx(132.69639, rel=1e-6)


def manifest(folder: Path, functions: str, *, python: str = "3.12", more: str = "") -> Path:
    """A package's folder with a manifest, made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kedge.yml").write_text(
        f'name: made-here\nruntime: {{kind: python, version: "{python}"{more}}}\n'
        f"functions:\n{functions}\n"
    )
    return folder


WRONG_INPUTS = """
from pathlib import Path
from typing import Annotated
from kedge import Unit


def f(length: Annotated[float, Unit("mm")], mass: float, mesh: Path, count: int = 1) -> float:
    return 1.0
"""


def test_everything_wrong_with_inputs_is_named_at_once(kedge: Any, tmp_path: Path) -> None:
    functions = '  f: {handler: "m:f", inputs: {mesh: "File[med,msh]"}}'
    package = manifest(tmp_path / "p", functions)
    (package / "m.py").write_text(WRONG_INPUTS)
    (tmp_path / "a.pdf").write_text("")
    given = ["length=3 kg", "mesh=" + str(tmp_path / "a.pdf"), "count=few", "depht=2"]
    error = kedge("run", package, *given, "--json", code=2).json["error"]
    assert error["code"] == "input"
    told = {problem["where"]: problem["message"] for problem in error["problems"]}
    assert told.keys() == {"length", "mass", "mesh", "count", "depht"}
    for port, word in (("length", "kg"), ("mesh", "pdf"), ("count", "few"), ("mass", "mass")):
        assert word in told[port]
    assert all(problem["hint"] for problem in error["problems"])
    said = kedge("run", package, *given, code=2).err
    assert said.count("error[input]: ") == said.count("\n  at ") == said.count("\nhint: ") == 5


VERSIONS = ("3.8", "3.10", "3.12", "3.13", "3.14")


def test_the_same_package_runs_on_every_python_by_changing_one_word(
    kedge: Any, tmp_path: Path
) -> None:
    package = tmp_path / "p"
    shutil.copytree(PACKAGES / "python-versions", package)
    text = (package / "kedge.yml").read_text()
    ran = []
    for version in VERSIONS:
        (package / "kedge.yml").write_text(text.replace('"3.8"', f'"{version}"'))
        ended = kedge("run", package, "version", "--json", code=None)
        if ended.code == 0:
            assert ended.json["result"] == version
            ran.append(version)
        else:
            assert ended.json["error"]["code"] == "environment_error"
            assert version in ended.json["error"]["message"]
    assert {"3.8", "3.10", "3.12", "3.13"} <= set(ran)


def test_a_python_that_is_not_there_is_answered_with_those_that_are(kedge: Any) -> None:
    error = kedge("run", PACKAGES / "absent-python", "never", "--json", code=3).json["error"]
    assert error["code"] == "environment_error"
    assert "3.99" in error["message"]
    told = json.dumps(error)
    assert all(version in told for version in ("3.8", "3.10", "3.12", "3.13"))
    record = kedge("show", error["run"], "--json").json
    assert record["failure_kind"] == "environment_error"


def test_numpy_and_scipy_are_built_once_and_shared(kedge: Any) -> None:
    one = kedge("build", PACKAGES / "numpy-one", "--json").json
    again = kedge("build", PACKAGES / "numpy-one", "--json").json
    assert again["state"] == "was ready"
    two = kedge("build", PACKAGES / "numpy-two", "--json").json
    assert two["state"] == "was ready"
    assert one["folder"] == again["folder"] == two["folder"]
    before = os.stat(one["folder"]).st_mtime_ns
    kedge("run", PACKAGES / "numpy-two", "solve", "n=3")
    assert os.stat(one["folder"]).st_mtime_ns == before


@pytest.mark.parametrize(
    ("package", "words"),
    [("impossible-pin", ["tomli-w", "999.0"]), ("contradiction", ["tomli-w"])],
)
def test_requirements_that_cannot_be_had_are_explained(
    kedge: Any, package: str, words: list[str]
) -> None:
    error = kedge("run", PACKAGES / package, "--json", code=3).json["error"]
    assert error["code"] == "environment_error"
    assert all(word in error["message"] for word in words)
    assert error["hint"]


@pytest.fixture(params=["cold", "warm"])
def anyhow(request: pytest.FixtureRequest, kedge: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A command line whose runs have processes of their own, and one whose runs are forks."""
    if request.param == "cold":
        yield kedge
        return
    monkeypatch.setenv("KEDGE_HOME", str(request.getfixturevalue("warm_home")))
    began = time.monotonic()
    yield kedge
    assert kedge.since_warm() < time.monotonic() - began


def probe(kedge: Any, function: str, paths: list[str] | None = None) -> Any:
    """What the isolation probe says; what it may not see is not JSON that Kedge would refuse."""
    given = [] if paths is None else [f"paths={json.dumps(paths)}"]
    return kedge("run", PACKAGES / "isolation-probe", function, *given, "--json").json


def test_the_inside_has_no_home_no_variables_and_no_other_process(
    anyhow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "hunter2")
    report = probe(anyhow, "report")
    assert "hunter2" not in json.dumps(report)
    assert not {"MY_TOKEN", "KEDGE_HOME", "PYTHONPATH", "SHELL"} & report["variables"].keys()
    assert report["home"] == report["variables"]["KEDGE_SCRATCH"]
    assert report["cwd"] == report["workspace"] == "/workspace"
    assert report["uid"] != 0
    assert int(report["capabilities"]["CapEff"], 16) == 0
    assert int(report["capabilities"]["CapBnd"], 16) == 0
    assert report["stdin"] == ""
    assert len(report["processes"]) <= 3


def test_files_of_others_are_not_readable(anyhow: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    secret.chmod(0o600)
    home = os.path.expanduser("~")
    closed = [str(secret), "/etc/shadow", f"{home}/.profile", f"{home}/.ssh"]
    ways = [home, str(tmp_path)]
    kedges = os.environ["KEDGE_HOME"]
    answers = probe(anyhow, "read", [*closed, *ways, kedges])["answers"]
    assert {answers[path] for path in closed} <= {"FileNotFoundError", "PermissionError"}
    for path in ways:  # at most the one folder that leads to the interpreter
        assert isinstance(answers[path], str) or len(answers[path]) <= 1
    assert set(answers[kedges]) <= {"environments", "runners"}


def test_a_private_file_in_a_shown_folder_is_not_readable(anyhow: Any, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    shown.mkdir()
    (shown / "open").write_text("for all")
    (shown / "open").chmod(0o644)
    (shown / "closed").write_text("hunter2")
    (shown / "closed").chmod(0o600)
    for folder in (shown, *shown.parents):
        if folder.owner() == tmp_path.owner() and folder.is_relative_to(tmp_path):
            folder.chmod(0o755)
    env = os.environ | {"KEDGE_SANDBOX_PATHS": str(shown)}
    paths = json.dumps([str(shown / "open"), str(shown / "closed")])
    ended = anyhow(
        "run", PACKAGES / "isolation-probe", "read", f"paths={paths}", "--json", env=env
    ).json["answers"]
    assert ended[str(shown / "open")] == "for all"
    if os.geteuid() == 0:  # as an ordinary user the inside is that user, who may read their own
        assert ended[str(shown / "closed")] == "PermissionError"


def test_only_out_scratch_and_tmp_can_be_written(anyhow: Any) -> None:
    yes = ["out/artifacts/a", "scratch/a", "/tmp/a"]
    no = ["a", "probe.py", "in/a", "in/data.json", "/usr/a", "/etc/a", "/a", "/workspace/kedge.yml"]
    answers = probe(anyhow, "write", yes + no)["answers"]
    assert all(answers[path].startswith("0o") for path in yes)
    assert all(answers[path] in ("OSError", "PermissionError") for path in no)


def test_what_a_run_writes_belongs_to_nobody_while_it_runs_and_comes_home(
    anyhow: Any, tmp_path: Path
) -> None:
    package = manifest(tmp_path / "p", '  f: {handler: "m:f"}')
    (package / "m.py").write_text(
        "import os, time\nimport kedge\n"
        "def f() -> None:\n"
        "    open('out/artifacts/mine', 'w').close()\n"
        "    kedge.progress(1, 1, 'written')\n"
        "    time.sleep(3600)\n"
    )
    process = anyhow.start("run", package, "-v")
    assert process.stderr is not None
    run = ""
    for raw in process.stderr:
        if raw.startswith(b"running "):
            run = raw.decode().partition("(run ")[2].partition(",")[0]
        if raw.startswith(b"progress:"):
            break
    folder = Path(os.environ["KEDGE_HOME"]) / "runs" / run
    owner = (folder / "workspace" / "out" / "artifacts" / "mine").stat().st_uid
    assert owner != 0
    process.terminate()
    process.communicate()
    assert (folder / "artifacts" / "mine").stat().st_uid == os.geteuid()


def test_escapes_are_refused(anyhow: Any) -> None:
    answers = probe(anyhow, "escalate")
    for way in ("unshare", "keyctl", "ptrace", "bpf"):
        assert answers[way] == -1
    # In a user namespace of its own, 0 is nobody's number.
    assert answers["setuid"] in ("PermissionError", "OSError")
    assert answers["unshare_user"] not in ("0", 0)


def test_the_network_is_there_only_when_the_manifest_asks(anyhow: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            connection, _ = server.accept()
            connection.sendall(b"hello")
            connection.close()

        listener = threading.Thread(target=answer)
        listener.start()
        shut = anyhow("run", PACKAGES / "network-probe", "closed", f"port={port}", "--json").json
        there = anyhow("run", PACKAGES / "network-probe", "open", f"port={port}", "--json").json
        listener.join()
    assert (shut["reached"], set(shut["interfaces"]) <= {"lo"}) == (False, True)
    assert (there["reached"], there["said"]) == (True, "hello")


@pytest.fixture(params=["cold", "warm"])
def alone_anyhow(
    request: pytest.FixtureRequest, kedge_alone: Any, kedge_home: Path, agent_of: Any
) -> Any:
    """The same on the test's own home."""
    with agent_of(kedge_home) if request.param == "warm" else nullcontext():
        yield kedge_alone


def test_secrets_reach_the_code_and_nothing_that_is_kept(
    alone_anyhow: Any, kedge_home: Path, tmp_path: Path
) -> None:
    functions = '  f: {handler: "m:f", env: {TOKEN: {secret: MINE}}, inputs: {key: Secret, keys: "list[Secret]"}}'
    package = manifest(tmp_path / "p", functions)
    (package / "m.py").write_text(
        "import os\ndef f(key, keys) -> list:\n"
        "    return [len(os.environ['TOKEN']), len(key), len(keys[0])]\n"
    )
    given = ["run", package, "key=hunter-input", 'keys=["hunter-list"]', "--json"]
    error = alone_anyhow(*given, code=2).json["error"]
    assert "KEDGE_SECRET_MINE" in error["hint"]
    env = os.environ | {"KEDGE_SECRET_MINE": "hunter-env"}
    assert alone_anyhow(*given, env=env).json["result"] == [10, 12, 11]
    record = alone_anyhow("show", "last", "--json").json
    assert record["inputs"] == {"key": "***", "keys": ["***"]}
    for path in kedge_home.rglob("*"):
        if path.is_file():
            held = path.read_bytes()
            assert b"hunter-env" not in held and b"hunter-input" not in held, path
    again = alone_anyhow("run", package, "--like", "last", "--json", env=env, code=2)
    assert {problem["where"] for problem in again.json["error"]["problems"]} == {"key", "keys"}


def test_runs_at_once_do_not_meet(anyhow: Any) -> None:
    started = [
        anyhow.start("run", PACKAGES / name, *words, "--json")
        for name, words in (
            ("seed-short", SIZING[:3]),
            ("seed-short", SIZING[:3]),
            ("units", ["area", "width=2"]),
            ("open-dict", ["typed", "n=1"]),
        )
    ]
    answers = [json.loads(process.communicate()[0]) for process in started]
    assert all(process.returncode == 0 for process in started)
    assert len({answer["_run"]["id"] for answer in answers}) == 4
    assert answers[0]["stress_mpa"] == answers[1]["stress_mpa"] == STRESS
    assert answers[2]["result"] == 20.0
    assert answers[3]["x0"] == 0.0


def test_first_runs_at_once_make_one_environment(kedge_alone: Any, kedge_home: Path) -> None:
    started = [kedge_alone.start("run", BOLTS, *SIZING) for _ in range(2)]
    answers = [json.loads(process.communicate()[0]) for process in started]
    assert [answer["stress_mpa"] for answer in answers] == [STRESS, STRESS]
    listed = kedge_alone("runs", "--json").json
    assert len({run["environment"] for run in listed}) == 1
    assert not list((kedge_home / "tmp").iterdir())


@pytest.mark.parametrize(
    "name", ["with space", 'it\'s "quoted"', "Träger 😀", "new\nline", "-dash", "a=b", "$(x)"]
)
def test_a_package_may_lie_anywhere(kedge: Any, tmp_path: Path, name: str) -> None:
    shutil.copytree(BOLTS, tmp_path / name)
    assert kedge("run", tmp_path / name, *SIZING).json["stress_mpa"] == STRESS
    assert "sizing" in kedge("inspect", tmp_path / name).out


def test_a_package_may_be_reached_by_a_link(kedge: Any, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(BOLTS)
    assert kedge("run", tmp_path / "link", *SIZING).json["stress_mpa"] == STRESS


def mounted(command: str, *words: object) -> list[str]:
    """`words` where mounts of their own are made by `command` first."""
    space = ["unshare", "--mount", *(() if os.geteuid() == 0 else ("--user", "--map-root-user"))]
    return [*space, "/bin/sh", "-euc", f'{command}; exec "$@"', "sh", *map(str, words)]


def test_a_package_that_cannot_be_written_has_its_lock_elsewhere(
    kedge: Any, tmp_path: Path
) -> None:
    package = manifest(
        tmp_path / "p", '  f: {handler: "m:f"}', more=', requirements: ["tomli-w==1.2.0"]'
    )
    (package / "m.py").write_text("import tomli_w\ndef f() -> str:\n    return tomli_w.dumps({})\n")
    words = mounted(
        f"mount --bind {package} {package}; mount -o remount,ro,bind {package}",
        *kedge.words, "run", package, "--json",
    )  # fmt: skip
    for _ in range(2):
        ended = subprocess.run(words, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout)["result"] == ""
    assert not (package / "kedge.lock").exists()


def test_a_full_disk_is_a_typed_error(kedge: Any, tmp_path: Path) -> None:
    home = tmp_path / "small"
    home.mkdir()
    codes = []
    for size in ("16k", "128k", "384k"):
        words = mounted(
            f"mount -t tmpfs -o size={size} tmpfs {home}; export KEDGE_HOME={home}",
            *kedge.words, "run", BOLTS, *SIZING,
        )  # fmt: skip
        ended = subprocess.run(words, capture_output=True, text=True)
        assert "Traceback" not in ended.stderr
        codes.append(ended.returncode)
        if ended.returncode:
            error = json.loads(ended.stdout)["error"]
            assert error["code"] in ("store", "environment_error"), (size, error)
            assert error["hint"]
    assert codes[0] == 3
    assert set(codes) <= {0, 3}


def test_a_large_input_goes_in_and_comes_out(kedge: Any, tmp_path: Path) -> None:
    script = tmp_path / "big.py"
    script.write_text("def f(rows: list[list[float]]) -> list[list[float]]:\n    return rows\n")
    rows = [[float(i), i / 7] for i in range(30_000)]
    (tmp_path / "in.json").write_text(json.dumps({"rows": rows}))
    assert kedge("run", script, "--inputs", tmp_path / "in.json", "--json").json["result"] == rows


def test_an_empty_package_is_refused(kedge: Any, tmp_path: Path) -> None:
    error = kedge("run", tmp_path, "--json", code=2).json["error"]
    assert "kedge.yml" in json.dumps(error)
    (tmp_path / "kedge.yml").write_text("")
    error = kedge("run", tmp_path, "--json", code=2).json["error"]
    assert error["code"] == "manifest"


def test_bytes_that_are_no_text_do_no_harm(kedge: Any, tmp_path: Path) -> None:
    package = manifest(tmp_path / "p", '  f: {handler: "m:f"}')
    (package / "m.py").write_text(
        "import os\ndef f() -> None:\n    os.write(2, b'\\xff\\xfe last')\n    os._exit(5)\n"
    )
    ended = kedge("run", package, "--json", code=1)
    assert "last" in ended.json["error"]["message"]
    raw = subprocess.run(
        [*kedge.words, "logs", ended.json["error"]["run"]], capture_output=True, check=True
    )
    assert raw.stderr == b"\xff\xfe last"


def test_a_lock_beside_the_manifest_is_used_and_a_stale_one_renewed(
    kedge: Any, tmp_path: Path
) -> None:
    package = manifest(
        tmp_path / "p", '  f: {handler: "m:f"}', more=', requirements: ["tomli-w>=1.0"]'
    )
    (package / "m.py").write_text(
        "from importlib.metadata import version\ndef f() -> str:\n    return version('tomli-w')\n"
    )
    newest = kedge("run", package, "--json").json["result"]
    lock = package / "kedge.lock"
    assert f"tomli-w=={newest}" in lock.read_text()
    manifest(package, '  f: {handler: "m:f"}', more=', requirements: ["tomli-w==1.1.0"]')
    ended = kedge("run", package, "--json")
    assert ended.json["result"] == "1.1.0"
    assert "lock" in ended.err
    # What the lock says stands, though the requirements allow something newer again.
    manifest(package, '  f: {handler: "m:f"}', more=', requirements: ["tomli-w>=1.0"]')
    assert kedge("run", package, "--json").json["result"] == "1.1.0"
    assert stat.S_IMODE(lock.stat().st_mode) & 0o400


def test_an_input_that_changes_meanwhile_is_flagged(kedge: Any, tmp_path: Path) -> None:
    package = manifest(tmp_path / "p", '  f: {handler: "m:f", inputs: {file: File}}')
    (package / "m.py").write_text(
        "import time\nimport kedge\n"
        "def f(file) -> str:\n"
        "    kedge.progress(1, 2, 'ready')\n"
        "    while not file.read_text():\n        time.sleep(0.01)\n"
        "    return file.read_text()\n"
    )
    given = tmp_path / "given.txt"
    given.write_text("")
    process = kedge.start("run", package, f"file={given}", "--json")
    assert process.stderr is not None
    for raw in process.stderr:
        if raw.startswith(b"progress:"):
            break
    given.write_text("changed")
    out, err = process.communicate()
    assert json.loads(out)["result"] == "changed"
    assert b"changed while the run went on" in err
