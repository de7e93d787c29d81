"""What Python packages ask of their image: a base of their own, commands at its build; and what the base has."""

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kedge.engine.look import Engine
from kedge.errors import EnvironmentFailed
from kedge.package.source import open_package
from kedge.run.prepare import prepare

pytestmark = pytest.mark.usefixtures("cleared")

MANIFEST = """\
name: based
runtime:
  kind: python
  version: "3.11"
  requirements: {requirements}
{more}functions:
  f: {{handler: "based:f"}}
"""
CODE = """\
import os
import sys
from importlib.util import find_spec

def f() -> dict[str, str]:
    found = {name: find_spec(name) for name in ("six", "iniconfig", "pip")}
    told = {name: one.origin if one else "" for name, one in found.items()}
    told["base"] = os.environ.get("IS_BASE", "")
    told["made"] = open("/opt/made").read() if os.path.exists("/opt/made") else ""
    return told
"""
DOCKERFILE = """\
name: based
runtime: {kind: dockerfile, dockerfile: Dockerfile}
functions: {f: {entrypoint: [sh, -c, "true"], inputs: {}, outputs: {}}}
"""
# A distribution as it is installed, whose module is another one than the index has.
SIX = """\
RUN cd /usr/local/lib/python3.11/dist-packages && mkdir six-1.16.0.dist-info \\
    && printf 'Metadata-Version: 2.1\\nName: six\\nVersion: 1.16.0\\n' > six-1.16.0.dist-info/METADATA \\
    && printf 'text_type = str\\n' > six.py
"""
BASES = "/usr/local/lib/python3.11/dist-packages/"
OWN = "/opt/kedge/environment/lib/python3.11/site-packages/"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "based package"
    folder.mkdir()
    (folder / "based.py").write_text(CODE)
    return folder


def write(folder: Path, more: str = "", requirements: str = "false") -> None:
    text = MANIFEST.format(requirements=requirements, more=more)
    (folder / "kedge.yml").write_text(text)


@pytest.fixture
def run(kedge_alone: Any, package: Path) -> Any:
    def runs(engine: Engine, *words: str, code: int = 0) -> Any:
        options = ("--executor", engine.kind, "--json")
        return kedge_alone("run", package, "f", *options, *words, code=code).json

    return runs


def test_a_base_that_only_the_engine_has_is_built_on_and_nothing_is_assumed_in_it(
    run: Any, engine: Engine, package: Path, built_base: Any, base_image: Any
) -> None:
    base = built_base(engine, base_image(engine, "bookworm"), f"ENV IS_BASE=yes\n{SIX}")
    write(package, f"  base_image: {base}\n", "[six==1.16.0, iniconfig]")
    told = run(engine)
    assert told["base"] == "yes"
    assert told["six"] == f"{OWN}six.py" and told["iniconfig"].startswith(OWN)
    assert told["pip"] == ""


def test_what_kedges_own_base_has_in_the_locked_version_is_not_installed_again(
    run: Any,
    engine: Engine,
    package: Path,
    built_base: Any,
    base_image: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = built_base(engine, base_image(engine, "bookworm"), SIX)
    monkeypatch.setenv("KEDGE_IMAGES_BASE", base)
    write(package, requirements="[six==1.16.0, iniconfig]")
    told = run(engine)
    assert told["six"] == f"{BASES}six.py" and told["iniconfig"].startswith(OWN)
    # Another version is installed, and then nothing of the base is seen.
    write(package, requirements="[six==1.15.0, iniconfig]")
    told = run(engine)
    assert told["six"] == f"{OWN}six.py" and told["pip"] == ""
    # All that is locked: there is nothing to install.
    write(package, requirements="[six==1.16.0]")
    assert run(engine)["six"] == f"{BASES}six.py"


def test_commands_are_run_in_their_order_as_root_with_everything_there(
    run: Any, engine: Engine, package: Path, base_image: Any
) -> None:
    def write_with(last: str) -> None:
        write(
            package,
            f"""\
  base_image: {base_image(engine, "bookworm")}
  commands:
    - 'python -c "import iniconfig, os; assert not os.getuid()" && printf "%s;" "a \\"b\\" $HOME ü" > /opt/made'
    - |
      set -- one two
      printf "%s" "$2" >> /opt/made
      printf "%s" "{last}" >> /opt/made
""",
            "[iniconfig]",
        )

    write_with(".")
    assert run(engine)["made"] == 'a "b" /root ü;two.'
    # One that changed is run again, and the image is another one.
    write_with("!")
    assert run(engine)["made"] == 'a "b" /root ü;two!'


def test_the_command_that_fails_is_named_with_what_it_wrote(
    run: Any, kedge_alone: Any, engine: Engine, package: Path
) -> None:
    write(
        package,
        """\
  commands:
    - echo fine
    - |
      echo before >&2
      cat /nowhere/at-all
      echo never
    - echo after
""",
    )
    error = run(engine, code=3)["error"]
    assert error["code"] == "environment_error"
    assert error["where"] == "runtime.commands[1]"
    assert error["message"].startswith("the command `echo before >&2…` failed in the image: ")
    assert "/nowhere/at-all" in error["message"] and "No such file" in error["message"]
    assert error["hint"] == "before that it wrote: before"
    assert error["evidence"]["command"].splitlines()[1] == "cat /nowhere/at-all"
    # What is told on the way has the command's own words.
    write(package, "  commands: [echo fine, 'false']\n")
    ended = kedge_alone("run", package, "f", "--executor", engine.kind, code=3)
    assert ": echo fine\n" in ended.err
    assert "the command `false` failed in the image" in ended.err


@pytest.mark.parametrize(
    ("more", "words", "field"),
    [
        ("  base_image: registry.example/tools:1.2\n", "registry.example/tools:1.2", "base_image"),
        ("  commands: [make]\n", "`commands`", "commands"),
        ("  system: [hello]\n  commands: [make]\n", "hello and an image to run", "system"),
    ],
)
def test_what_needs_a_container_is_named_where_another_executor_was_asked_for(
    kedge_alone: Any, package: Path, more: str, words: str, field: str
) -> None:
    write(package, more)
    error = kedge_alone("run", package, "f", "--executor", "sandbox", "--json", code=2).json[
        "error"
    ]
    assert words in error["message"] and "'sandbox'" in error["message"]
    assert error["where"] == f"runtime.{field}"
    assert "docker" in error["hint"]


def test_without_a_choice_it_runs_in_a_container(
    kedge_alone: Any, any_engine: Engine, package: Path, base_image: Any
) -> None:
    write(package, f"  base_image: {base_image(any_engine, 'bookworm')}\n")
    ended = kedge_alone("run", package, "f", "--json").json
    record = kedge_alone("show", ended["_run"]["id"], "--json").json
    assert record["executor"] == any_engine.kind


def test_a_base_without_the_python_is_refused_where_it_is_named(
    run: Any, any_engine: Engine, package: Path, built_base: Any, base_image: Any
) -> None:
    write(package, f"  base_image: {base_image(any_engine, 'trixie')}\n")
    error = run(any_engine, code=3)["error"]
    assert "has Python 3.13" in error["message"] and "3.11 is asked for" in error["message"]
    assert error["where"] == "runtime.base_image"
    # A shim that is there, and does not work, is no Python.
    hidden = "RUN rm /usr/bin/python3* && printf '#!/bin/sh\\nexit 7\\n' > /usr/bin/python3.11"
    base = built_base(any_engine, base_image(any_engine, "bookworm"), hidden)
    write(package, f"  base_image: {base}\n")
    error = run(any_engine, code=3)["error"]
    assert f"`{base}` has no Python that answers" in error["message"]
    assert error["where"] == "runtime.base_image"


# What the Python of Debian 12 says of itself.
TRUE = {
    "path": "/usr/bin/python3.11",
    "version": "3.11.2",
    "implementation": "cpython",
    "cache_tag": "cpython-311",
    "magic": "a70d0d0a",
    "platform": f"linux-{os.uname().machine}",
    "base_prefix": "/usr",
    "stdlib": "/usr/lib/python3.11",
    "libc": ["glibc", "2.36"],
    "distributions": [],
}


def saying(told: dict[str, Any]) -> str:
    """Instructions by which a base has a Python that says this of itself."""
    script = f"#!/bin/sh\necho '{json.dumps(told)}'\n"
    encoded = base64.b64encode(script.encode()).decode()
    place = "/usr/local/bin/python3.11"
    return f"RUN echo {encoded} | base64 -d > {place} && chmod 755 {place}"


@pytest.mark.parametrize(
    "lie",
    [
        {"cache_tag": "x/../../../../planted"},
        {"path": "python3"},
        {"libc": ["glibc", 2.36]},
        {"distributions": {"six": "1.16.0"}},
        {"distributions": ["six"]},
        {"more": ""},
    ],
    ids=str,
)
def test_a_base_that_says_what_no_python_would_say_is_not_believed(
    run: Any,
    any_engine: Engine,
    package: Path,
    built_base: Any,
    base_image: Any,
    kedge_home: Path,
    lie: dict[str, Any],
) -> None:
    base = built_base(any_engine, base_image(any_engine, "bookworm"), saying(TRUE | lie))
    write(package, f"  base_image: {base}\n")
    assert "has no Python that answers" in run(any_engine, code=3)["error"]["message"]
    assert not list(kedge_home.rglob("*planted*"))


def test_a_base_that_says_it_has_packages_harms_itself_alone(
    run: Any,
    any_engine: Engine,
    package: Path,
    built_base: Any,
    base_image: Any,
    monkeypatch: pytest.MonkeyPatch,
    kedge_home: Path,
) -> None:
    lies = [
        ["six", "1.16.0"],
        ["../../planted", "1"],
        ["iniconfig", "/../planted"],
        ["x" * 999, "1"],
    ]
    told = TRUE | {"distributions": lies}
    base = built_base(any_engine, base_image(any_engine, "bookworm"), saying(told))
    monkeypatch.setenv("KEDGE_IMAGES_BASE", base)
    write(package, requirements="[six==1.16.0, iniconfig]")
    found = run(any_engine)
    assert found["six"] == "" and found["iniconfig"].startswith(OWN)
    kept = (kedge_home / "descriptions").glob("python-*.json")
    assert not any("planted" in file.read_text() for file in kept)


def test_a_base_that_cannot_be_had_is_named(run: Any, engine: Engine, package: Path) -> None:
    write(package, "  base_image: localhost:9/kedge-test/nowhere:1\n")
    error = run(engine, code=3)["error"]
    assert error["code"] == "environment_error"
    assert "`localhost:9/kedge-test/nowhere:1` cannot be pulled" in error["message"]
    assert error["where"] == "runtime.base_image"


@pytest.mark.parametrize("kind", ["python", "dockerfile"])
def test_a_base_that_becomes_another_image_during_the_build_is_no_base(
    kind: str, engine: Engine, package: Path, built_base: Any, base_image: Any, kedge_home: Path
) -> None:
    debian = base_image(engine, "bookworm")
    base, other = (built_base(engine, debian, f"ENV IS_BASE={word}") for word in ("one", "other"))
    if kind == "python":
        write(package, f"  base_image: {base}\n")
    else:
        (package / "Dockerfile").write_text(f"FROM {base}\n")
        (package / "kedge.yml").write_text(DOCKERFILE)

    def move(said: str) -> None:
        if said.startswith("building"):
            subprocess.run([engine.path, "tag", other, base], check=True)

    source = open_package(str(package))
    with pytest.raises(EnvironmentFailed, match=f"`{base}` became another image") as raised:
        prepare(source, move, executor=engine.kind)
    assert "run it again" in str(raised.value.hint)
    own = ("images", "--quiet", "--filter", f"label=kedge.home={kedge_home}")
    assert subprocess.run([engine.path, *own], capture_output=True, check=True).stdout == b""
    made = prepare(source, move, executor=engine.kind).image
    assert made is not None and made.image.variables["IS_BASE"] == "other"


def test_debian_packages_that_are_not_there_are_named(
    run: Any, any_engine: Engine, package: Path
) -> None:
    write(package, "  system: [hello, no-such-thing, hello=9:9]\n")
    error = run(any_engine, code=3)["error"]
    assert "`no-such-thing`" in error["message"] and error["where"] == "runtime.system"


def test_a_base_without_apt_is_told_from_a_package_that_is_not_there(
    run: Any, any_engine: Engine, package: Path, built_base: Any, base_image: Any
) -> None:
    base = built_base(any_engine, base_image(any_engine, "bookworm"), "RUN rm /usr/bin/apt-get")
    write(package, f"  base_image: {base}\n  system: [hello]\n")
    error = run(any_engine, code=3)["error"]
    assert "has no apt-get" in error["message"] and "hello" in error["message"]


def test_what_a_build_would_do_is_told(
    kedge_alone: Any, any_engine: Engine, package: Path, base_image: Any
) -> None:
    base = base_image(any_engine, "bookworm")
    write(package, f"  base_image: {base}\n  commands: [echo one, echo two]\n")
    words = ("build", package, "--executor", any_engine.kind)
    planned = kedge_alone(*words, "--print", "--json").json
    assert planned["base"] == base and planned["commands"] == "echo one; echo two"
    kedge_alone(*words)
    ready = kedge_alone(*words, "--print", "--json").json
    assert ready["state"] == "ready"
    write(package, f"  base_image: {base}\n  commands: [echo two, echo one]\n")
    other = kedge_alone(*words, "--print", "--json").json
    assert other["image"] != ready["image"] and other["state"].startswith("would be built")
    subprocess.run([any_engine.path, "image", "inspect", ready["image"]], check=True)
