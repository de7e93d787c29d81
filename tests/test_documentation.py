"""What the documentation shows is what happens.

Of README.md and every document below docs/, in order and in one folder:

- a fenced block with `file=NAME` after its language is written to that file;
- a `console` block whose first line starts with `$ ` is run, each of its commands in bash, and what is
  shown is compared with standard output, for a command that fails with standard error after it;
- not if `engine` follows `console`: those are run on each container engine, in tests/containers/;
- a `python` block with `run` after its language is run by Kedge's own interpreter;
- so is each `pycon` block with `run`, and what is shown in it is compared, where `...` matches anything.

`…` in what is shown matches anything, also nothing and several lines. A document under docs/ finds
`kedge` on PATH and the examples beside it; README.md is read in a fresh checkout of its own. HOME is
empty for each; only the cache of downloaded packages is shared.

The tables of the reference (commands, options, settings, errors) are compared with the code.
"""

import fcntl
import importlib
import inspect
import os
import pkgutil
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

import kedge
from kedge.cli.app import COMMANDS
from kedge.client.decorated import Decorated
from kedge.errors import FAILURES, KedgeError, PluginError, RequestError, RunFailed
from kedge.settings import KEYS

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# Long enough to make an environment with numpy on a slow machine; a command that hangs still ends.
COMMAND_TIMEOUT = 600

FENCE = re.compile(r"^```(\w+)[ \t]*([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: its language, the words after it, its text, the line it starts on."""

    language: str
    words: str
    text: str
    line: int


class Command(NamedTuple):
    """A command line of a console block and the output shown below it."""

    line: str
    shown: str


def blocks(document: Path) -> Iterator[Block]:
    """The fenced blocks of a document, in order."""
    text = document.read_text("utf-8")
    for fence in FENCE.finditer(text):
        yield Block(*fence.groups(), text.count("\n", 0, fence.start()) + 1)


def commands(text: str) -> list[Command]:
    """The commands of a console block; a line ending in a backslash goes on in the next one."""
    found: list[Command] = []
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("$ "):
            command = line[2:]
            while command.endswith("\\"):
                command = command[:-1] + next(lines).strip()
            found.append(Command(command, ""))
        else:
            found[-1] = Command(found[-1].line, found[-1].shown + line + "\n")
    return found


def matches(shown: str, came: str) -> bool:
    """Whether what came is what is shown, but for `…` and white space at the ends of lines."""
    pattern = ".*?".join(re.escape(part) for part in tidy(shown).split("…"))
    return re.fullmatch(pattern, tidy(came), re.DOTALL) is not None


def tidy(text: str) -> str:
    """The text without white space at the ends of its lines and at its end."""
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def copy_checkout(to: Path) -> Path:
    """A copy of what git has or would add: tracked files and new ones, nothing ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    for name in os.fsdecode(listed.stdout).split("\0"):
        source = ROOT / name
        if name and os.path.lexists(source):
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, to / name, follow_symlinks=False)
    return to


@pytest.fixture(scope="session")
def shared_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One copy of the checkout for all workers, with its own environment made once."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    copy = base / "documentation-checkout"
    with open(f"{copy}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not copy.exists():
            copy_checkout(copy.with_suffix(".new")).rename(copy)
    return copy


def environment(home: Path, checkout: Path) -> dict[str, str]:
    """A newcomer's variables: an empty HOME, nothing of Kedge's, `kedge` on PATH."""
    ours = ("KEDGE_", "PRIMER_", "PYTEST_", "XDG_", "UV_CACHE_DIR", "VIRTUAL_ENV", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    cache = os.environ.get("UV_CACHE_DIR") or os.path.expanduser("~/.cache/uv")
    return kept | {
        "HOME": str(home),
        "PATH": f"{checkout}{os.pathsep}{os.environ['PATH']}",
        "UV_CACHE_DIR": cache,
        "NO_COLOR": "1",
        "COLUMNS": "100",
        "LC_ALL": "C.UTF-8",
    }


def follow(document: Path, folder: Path, variables: dict[str, str]) -> None:
    """Does what the document says, and compares."""
    for block in blocks(document):
        place = f"{document.relative_to(ROOT)}:{block.line}"
        named = re.search(r"\bfile=(\S+)", block.words)
        if named:
            (folder / named[1]).parent.mkdir(parents=True, exist_ok=True)
            (folder / named[1]).write_text(block.text)
        elif block.language == "console" and not block.words and block.text.startswith("$ "):
            for command in commands(block.text):
                ended = run(["bash", "-c", command.line], folder, variables)
                came = ended.stdout + (ended.stderr if ended.returncode else "")
                assert matches(command.shown, came), (
                    f"{place}: $ {command.line}\nshown:\n{command.shown}\ncame:\n{came}\n"
                    f"standard error:\n{ended.stderr}"
                )
        elif block.language == "python" and block.words == "run":
            ended = run(["kedge", "python", "-c", block.text], folder, variables)
            assert ended.returncode == 0, f"{place}:\n{ended.stdout}{ended.stderr}"
        elif block.language == "pycon" and block.words == "run":
            (folder / "session.txt").write_text(block.text)
            words = ["kedge", "python", "-m", "doctest", "-o", "ELLIPSIS", "session.txt"]
            ended = run(words, folder, variables)
            assert ended.returncode == 0, f"{place}:\n{ended.stdout}{ended.stderr}"


def run(
    argv: list[str], folder: Path, variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """The program's end, with its output; it finds nobody at its standard input."""
    return subprocess.run(
        argv,
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=COMMAND_TIMEOUT,
        check=False,
    )


def runs_something(document: Path) -> bool:
    """Whether there is anything to run in a document."""
    return any(
        block.language == "console" or block.words == "run" or "file=" in block.words
        for block in blocks(document)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "document",
    [document for document in DOCUMENTS if runs_something(document)],
    ids=lambda document: str(document.relative_to(ROOT)),
)
def test_a_document_shows_what_happens(
    document: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    if document.name == "README.md":
        folder = checkout = copy_checkout(tmp_path / "kedge")
    else:
        checkout = request.getfixturevalue("shared_checkout")
        folder = tmp_path / "work"
        folder.mkdir()
        shutil.copytree(checkout / "examples", folder / "examples")
    variables = environment(home, checkout)
    try:
        follow(document, folder, variables)
    finally:
        if (
            home / ".local/share/kedge/agent"
        ).exists():  # of a document that did not get to its stop
            run(["kedge", "agent", "stop"], folder, variables)


@pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT))
)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
        path, _, section = target.partition("#")
        if "://" in path:
            continue
        other = (document.parent / path).resolve() if path else document
        if not other.exists() or (section and section not in anchors(other)):
            broken.append(target)
    assert broken == []


def anchors(document: Path) -> set[str]:
    """The sections of a document as links spell them."""
    titles = re.findall(r"^#+ (.+)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_shown_output_matches_with_gaps() -> None:
    assert matches("a … c\n", "a b c\n")
    assert matches("first\n…\nlast", "first\n1\n2\nlast\n")
    assert matches("", "\n")
    assert not matches("a … c", "a b d")
    assert not matches("", "something")


def reference() -> str:
    """The page on commands."""
    return (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")


def test_every_command_has_a_line_in_the_reference_and_no_other_has() -> None:
    assert re.findall(r"^\| `kedge ([a-z-]+)[ `]", reference(), re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_reference_has_every_option_of_a_command_and_no_other(name: str) -> None:
    module = importlib.import_module(f"kedge.cli.commands.{name.replace('-', '_')}")
    below = getattr(module.command, "commands", {})  # of a command that is a group
    every = {name: module.command} | {f"{name} {one}": found for one, found in below.items()}
    for words, command in every.items():
        options = {
            text
            for parameter in command.params
            if isinstance(parameter, click.Option)
            for text in parameter.opts
        }
        assert documented_options(words) == options, words


def documented_options(name: str) -> set[str]:
    """The options that the reference gives a command, in its own table or in that of the others."""
    run, others = reference().split("### `run`")[1].split("### The others")
    if name == "run":
        rows = re.findall(r"^\| (`-.*?) \|", run, re.MULTILINE)
    else:
        rows, commands = [], ""
        for first, second in re.findall(r"^\| (.*?) ?\| (`-.*?) \|", others, re.MULTILINE):
            commands = first or commands
            if f"`{name}`" in commands:
                rows.append(second)
    return {option for row in rows for option in re.findall(r"`(--?[a-z-]+)", row)}


def test_the_reference_has_every_option_and_method_of_decorated_functions_and_no_other() -> None:
    text = (ROOT / "docs" / "reference" / "functions.md").read_text("utf-8")
    options, methods = text.partition("## Methods")[::2]
    parameters = inspect.signature(kedge.function).parameters.values()
    named = {one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY}
    firsts = re.findall(r"^\| (`.*?) \|", options, re.MULTILINE)
    assert {name for first in firsts for name in re.findall(r"\w+", first)} == named
    public = {name for name in vars(Decorated) if not name.startswith("_")}
    assert set(re.findall(r"^\| `(\w+)\(", methods, re.MULTILINE)) == public


def test_the_reference_lists_every_setting_with_its_default() -> None:
    text = (ROOT / "docs" / "reference" / "configuration.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([a-z_.]+)` \| (.+?) \|", text, re.MULTILINE))
    shown = {"none": [], "true": True, "false": False, "3600": 3600.0, "`auto`": "auto"}
    shown["`python:{version}-slim`"] = "python:{version}-slim"
    assert {name: shown[default] for name, default in rows.items()} == {
        key.name: key.default for key in KEYS.values()
    }
    for key in KEYS.values():
        mentioned = f"`{key.name}`" in text.partition("A project's `kedge.toml`")[2]
        assert mentioned == key.owner_only


def test_the_reference_lists_every_code_and_kind_of_error_with_its_exit_code() -> None:
    text = (ROOT / "docs" / "reference" / "errors.md").read_text("utf-8")
    for module in pkgutil.walk_packages(kedge.__path__, "kedge."):
        importlib.import_module(module.name)
    codes, kinds = text.partition("## Codes of requests")[2].split("## Kinds of failed runs")
    assert set(re.findall(r"^\| `([a-z-]+)` \|", codes, re.MULTILINE)) == {
        error.code for error in subclasses(KedgeError) if not issubclass(error, RunFailed)
    } - {RequestError.code, PluginError.code}
    listed = re.findall(r"^\| `([a-z_]+)` \|.*\| (\d+) \|$", kinds, re.MULTILINE)
    assert dict(listed) == {kind: str(error.exit_code) for kind, error in FAILURES.items()}


def subclasses(error: type[KedgeError]) -> Iterator[type[KedgeError]]:
    """Every class of the package below one of Kedge's errors."""
    for child in error.__subclasses__():
        if child.__module__.startswith("kedge."):
            yield child
            yield from subclasses(child)
