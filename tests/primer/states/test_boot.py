"""A boot script's command line: goals, help, explanations, failures, what is told meanwhile."""

import os
import pty
import re
import signal
import subprocess
import sys
from typing import Any

import pytest

from kedge.primer import boot

TWO = """
@state(inputs=["web"])
def built(ctx):
    '''The front-end is built.'''
    note(ctx, "built")

@state
def database(ctx):
    note(ctx, "database")
"""


def test_help_lists_goals_with_what_they_are_and_whether_they_are_fresh(project: Any) -> None:
    project.states(TWO + "\n@state(needs=[built])\ndef checked(ctx): ...\n")
    project.boot("built")
    for word in ("-h", "--help"):
        lines = project.boot(word).out.splitlines()
        assert lines[0] == "usage: ./prime [STATE...]"
        assert lines[-3:] == [
            "  built     fresh    The front-end is built.",
            "* database  stale",
            "* checked   stale",
        ]
    assert project.reached() == ["built"]


def test_an_unknown_goal_is_an_error_with_the_nearest_names_and_nothing_is_reached(
    project: Any,
) -> None:
    project.states(TWO)
    ended = project.boot("database", "buillt", code=2)
    assert "primer: error: there is no state `buillt`\n" in ended.err
    assert "primer: hint: there is `built`" in ended.err
    assert project.reached() == []


def test_an_option_is_an_error(project: Any) -> None:
    project.states(TWO)
    assert "there is no option `--force`" in project.boot("--force", code=2).err
    assert project.reached() == []


def test_a_circle_is_an_error_with_its_path(project: Any) -> None:
    project.states(
        TWO
        + """
@state(needs=[built])
def checked(ctx): ...

@state(replaces=built, needs=[checked])
def mine(ctx): ...
"""
    )
    ended = project.boot("database", code=2)
    assert "states need each other in a circle: checked → mine → checked" in ended.err
    assert project.reached() == []


def test_two_states_of_one_name_are_an_error(project: Any) -> None:
    project.states("@state\ndef built(ctx): ...\n", module="ready")
    project.states(TWO + "\nfrom pkg.ready import built as other\n")
    ended = project.boot(code=2)
    assert "two states are called `built`: " in ended.err
    assert "things.py:" in ended.err and "ready.py:" in ended.err


def test_reading_what_a_state_does_not_need_is_an_error_that_says_what_to_add(project: Any) -> None:
    project.states(TWO + "\n@state(needs=[built])\ndef read(ctx):\n    ctx.value(database)\n")
    ended = project.boot("database", "read", code=2)
    assert (
        "primer: error: state `read` (src/pkg/things.py:19): `read` reads `database`, which is not "
        "among what it needs\n"
        "primer: hint: add it: @state(needs=[database])\n"
    ) in ended.err
    assert "Traceback" not in ended.err


def test_a_failing_state_shows_the_projects_traceback_and_leaves_the_others_as_they_were(
    project: Any,
) -> None:
    project.states(
        TWO
        + """
def inner():
    return {}["key"]

@state(needs=[built])
def failing(ctx):
    try:
        inner()
    except KeyError as error:
        raise LookupError("of the project") from error

@state(needs=[failing])
def after(ctx):
    note(ctx, "after")
"""
    )
    ended = project.boot("after", code=1)
    assert ended.err.count("Traceback (most recent call last):") == 2
    assert "KeyError: 'key'\n\nThe above exception was the direct cause" in ended.err
    assert "in inner\n" in ended.err and "in failing\n" in ended.err
    assert "LookupError: of the project\n" in ended.err
    assert "kedge/primer" not in ended.err and 'File "<string>"' not in ended.err
    assert "primer: error: state `failing` failed; what was reached before it stays so" in ended.err
    assert project.reached() == ["built"]
    assert project.reasons()["failing"] == ["it was begun and not finished"]
    project.boot("after", code=1)
    assert project.reached() == []


def test_an_error_while_the_states_are_imported_is_the_projects_own(project: Any) -> None:
    project.states("import no_such_module_of_the_project\n")
    ended = project.boot(code=1)
    assert ended.err.startswith("Traceback (most recent call last):\n")
    assert 'things.py", line 7, in <module>' in ended.err
    assert ended.err.endswith("No module named 'no_such_module_of_the_project'\n")
    assert "kedge" not in ended.err and "importlib" not in ended.err
    project.states("def broken(:\n")
    ended = project.boot(code=1)
    assert "SyntaxError" in ended.err and "things.py" in ended.err and "kedge" not in ended.err


def test_a_module_of_states_that_is_not_there_is_an_error(project: Any) -> None:
    ended = project.boot(code=2, module="pkg.nowhere")
    assert "there is no module `pkg.nowhere` to take states from" in ended.err
    assert "Traceback" not in ended.err


def test_a_declaration_that_makes_no_sense_is_an_error_with_its_line(project: Any) -> None:
    project.states('@state(inputs="web")\ndef built(ctx): ...\n')
    ended = project.boot(code=2)
    assert "(src/pkg/things.py:7): the inputs of `built` are 'web'" in ended.err
    assert 'hint: write inputs=["web"]' in ended.err


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return object()", "what it returned cannot be kept as JSON"),
        ("return 1", "its function has ended, but output `made` is not there"),
    ],
)
def test_a_state_that_does_not_keep_what_it_says_is_not_reached(
    project: Any, body: str, words: str
) -> None:
    project.states(f'@state(outputs=["made"])\ndef built(ctx):\n    {body}\n')
    ended = project.boot(code=1)
    assert f"primer: error: state `built`: {words}" in ended.err
    assert project.reasons() == {"built": ["it was begun and not finished"]}


def test_a_check_that_says_no_after_all_is_an_error(project: Any) -> None:
    project.states("@state(check=lambda ctx: False)\ndef built(ctx): ...\n")
    assert "its function has ended, but its check says no" in project.boot(code=1).err


def test_a_tool_that_fails_is_an_error_with_its_last_lines(project: Any) -> None:
    project.states(
        "@state\ndef built(ctx):\n    ctx.run('sh', '-c', 'seq 100; echo oh >&2; exit 7')\n"
    )
    ended = project.boot(code=1)
    assert "primer: error: state `built` (src/pkg/things.py:9): `sh -c 'seq 100" in ended.err
    assert "ended with exit code 7:\n  82\n" in ended.err
    assert ended.err.endswith("  100\n  oh\n")


def test_what_tools_write_is_shown_when_that_is_wanted(project: Any) -> None:
    project.states("@state\ndef built(ctx):\n    ctx.run('echo', 'from the tool')\n")
    ended = project.boot(verbose=True)
    assert ended.err.splitlines()[:2] == ["primer: built: it was never reached", "from the tool"]
    assert "from the tool" not in project.boot(rebuild=True).err


def test_a_tool_that_is_not_there_is_an_error(project: Any) -> None:
    project.states("@state\ndef built(ctx):\n    ctx.run('no-such-tool')\n")
    ended = project.boot(code=3)
    assert "there is no `no-such-tool` here" in ended.err and "hint: install it" in ended.err


def test_a_tool_that_leaves_something_running_does_not_hold_the_start(project: Any) -> None:
    project.states(
        "@state\ndef built(ctx):\n    ctx.run('sh', '-c', 'setsid sleep 300 & echo $! > pid')\n"
    )
    project.boot()
    pid = int((project.root / "pid").read_text())
    os.kill(pid, signal.SIGKILL)  # it was there


def test_what_a_state_raises_to_exit_is_the_exit_code(project: Any) -> None:
    project.states("@state\ndef built(ctx):\n    raise SystemExit(42)\n")
    project.boot(code=42)
    assert project.reasons() == {"built": ["it was begun and not finished"]}


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupted_boot_leaves_nothing_behind(
    project: Any, number: signal.Signals, code: int
) -> None:
    project.states(
        """
@state
def first(ctx):
    note(ctx, "first")

@state(needs=[first])
def waiting(ctx):
    ctx.run("sh", "-c", "trap '' INT; sleep 300 & echo $! > inner; echo $$ > ready; wait")
"""
    )
    boot, _, watched = project.begin_with_tool()
    boot.send_signal(number)
    said = boot.communicate(timeout=60)[1]
    assert boot.returncode == code, said
    assert "Traceback" not in said
    assert project.all_end(watched)
    assert project.reached() == ["first"]
    assert "first" not in project.reasons()


def test_a_tool_is_asked_to_end_before_it_is_killed(project: Any) -> None:
    project.states(
        """
@state
def waiting(ctx):
    ctx.run("sh", "-c", "trap 'echo tidied > tidied; exit' TERM; echo $$ > ready; sleep 300 & wait")
"""
    )
    ready = project.pipe("ready")
    boot = project.begin()
    ready.text()
    ready.close()
    boot.send_signal(signal.SIGINT)
    boot.communicate(timeout=60)
    assert (project.root / "tidied").read_text() == "tidied\n"


def test_each_state_is_told_in_plain_lines_without_a_terminal(project: Any) -> None:
    project.states(TWO.replace('note(ctx, "built")', 'ctx.say("halfway")'))
    lines = project.boot().err.splitlines()
    assert lines[:2] == ["primer: built: it was never reached", "primer: built: halfway"]
    assert lines[2].startswith("primer: built: reached in ")
    assert "\x1b" not in "".join(lines) and "\r" not in "".join(lines)
    assert project.boot().err == ""


def test_a_line_turns_and_counts_on_a_terminal(project: Any) -> None:
    project.states(
        """
@state
def slow(ctx):
    ctx.say("halfway")
    with open(ctx.root / "gate") as gate:
        gate.read()
"""
    )
    gate = project.pipe("gate")
    mine, its = pty.openpty()
    boot = subprocess.Popen(
        project.command(),
        env=project.variables | {"TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=its,
    )
    os.close(its)
    shown = b""
    turned = re.compile(rb"\| slow \d+ s: it was never.*/ slow \d+ s: it was never", re.DOTALL)
    while not turned.search(shown) or b"primer: slow: halfway\r\n" not in shown:
        shown += os.read(mine, 1000)
        assert len(shown) < 20_000, shown
    gate.close()
    assert boot.wait(60) == 0
    try:
        while more := os.read(mine, 1000):
            shown += more
    except OSError:
        pass  # Linux's way to say that nobody is at the other end
    os.close(mine)
    assert b"\r\x1b[Kprimer: slow: reached in " in shown


def test_a_closed_standard_error_is_no_trouble(project: Any) -> None:
    project.states(TWO)
    project.boot(before=("sh", "-c", 'exec "$@" 2>&-', "sh"))
    assert project.reached() == ["built", "database"]


def test_an_explanation_is_one_document_with_every_state_and_executes_nothing(project: Any) -> None:
    project.states(TWO + "\n@state(needs=[built])\ndef checked(ctx): ...\n")
    project.boot("built")
    project.write("web/a.ts", "")
    ended = project.boot(explain={"fresh": True, "environment": "e"}, audit=False)
    assert ended.json == {
        "fresh": True,
        "environment": "e",
        "states": [
            {
                "name": "built",
                "summary": "The front-end is built.",
                "goal": False,
                "needs": [],
                "fresh": False,
                "skipped": None,
                "reasons": ["input `web` changed", "input `web/a.ts` is new"],
            },
            {
                "name": "database",
                "summary": "",
                "goal": True,
                "needs": [],
                "fresh": False,
                "skipped": None,
                "reasons": ["it was never reached"],
            },
            {
                "name": "checked",
                "summary": "",
                "goal": True,
                "needs": ["built"],
                "fresh": False,
                "skipped": None,
                "reasons": ["it was never reached"],
            },
        ],
    }
    assert project.reached() == ["built"]
    assert ended.err == ""


def test_an_explanation_writes_nothing(project: Any) -> None:
    project.write("web/a.ts", "")
    project.states(TWO)
    project.boot(explain={})
    assert not (project.root / ".primer").exists()


def test_an_explanation_reads_well() -> None:
    from kedge.primer.explaining import as_text

    usual = {"summary": "", "goal": True, "needs": [], "skipped": None}
    found = [
        {**usual, "name": "a", "fresh": True, "reasons": []},
        {**usual, "name": "longer", "fresh": False, "reasons": [f"reason {n}" for n in range(7)]},
        {**usual, "name": "b", "fresh": False, "reasons": [], "skipped": "no engine here"},
    ]
    assert as_text(found).splitlines() == [
        "a       fresh",
        "longer  stale",
        *(f"          reason {number}" for number in range(5)),
        "          and 2 more",
        "b       skipped: no engine here",
    ]


def test_a_module_without_states_has_nothing_to_do(project: Any) -> None:
    project.states("")
    project.boot()
    ended = project.boot("built", code=2)
    assert "hint: the module has no states yet" in ended.err


def test_the_records_are_beside_the_environment(project: Any) -> None:
    project.states(TWO)
    project.boot("built")
    assert sorted(path.name for path in (project.home / "built").iterdir()) == [
        "inputs",
        "lock",
        "record",
    ]
    assert sys.prefix not in str(project.home)


def test_on_windows_it_says_where_states_are_reached(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(boot, "WINDOWS", True)
    assert boot.main("things", "C:/checkout", False, False, None) == 3
    assert "needs Linux or another POSIX system" in capsys.readouterr().err
