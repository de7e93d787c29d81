"""When a state is reached and when it is found fresh."""

import os
import shutil
from typing import Any

import pytest

CHAIN = """
@state(inputs=["web/package.json"], outputs=["web/modules"])
def modules(ctx: Context) -> object:
    "The packages are installed."
    note(ctx, "modules")
    (ctx.root / "web/modules").mkdir(exist_ok=True)
    return {"count": 2}

@state(needs=[modules], inputs=["web/src"], outputs=["web/dist"])
def built(ctx: Context) -> object:
    "The front-end is built."
    note(ctx, "built")
    (ctx.root / "web/dist").mkdir(exist_ok=True)
    return ctx.value(modules)["count"] + 1

@state(needs=[built])
def checked(ctx: Context) -> None:
    note(ctx, f"checked:{ctx.value(built)}")

@state(inputs=["docs/*.md"])
def documented(ctx: Context) -> None:
    note(ctx, "documented")
"""


@pytest.fixture
def chain(project: Any) -> Any:
    """A project with three states that need each other and one that stands alone, all reached."""
    project.write("web/package.json", "{}")
    project.write("web/src/app.ts", "1")
    project.write("web/src/deep/er/view.ts", "1")
    project.write("docs/index.md", "1")
    project.states(CHAIN)
    ended = project.boot()
    assert project.reached() == ["modules", "built", "checked:3", "documented"]
    assert "primer: built: it was never reached\n" in ended.err
    return project


def test_a_second_boot_executes_nothing_starts_nothing_and_writes_nothing(chain: Any) -> None:
    before = snapshot(chain)
    ended = chain.boot(audit=True)
    assert ended.json == []
    assert ended.err == ""
    assert chain.reached() == []
    assert snapshot(chain) == before


def snapshot(project: Any) -> dict[str, int]:
    """Every file of a project and when it was written; not what Python compiled."""
    files = (path for path in project.root.rglob("*") if "__pycache__" not in str(path))
    return {str(path): path.lstat().st_mtime_ns for path in files}


def test_the_audit_of_the_test_above_sees_what_a_boot_does(chain: Any) -> None:
    shutil.rmtree(chain.root / "web/dist")
    seen = chain.boot(audit=True).json
    assert any("reached" in event for event in seen)
    assert any("record" in event for event in seen)


def test_a_changed_file_of_a_folder_reaches_the_state_and_what_needs_it_anew(chain: Any) -> None:
    chain.write("web/src/deep/er/view.ts", "2")
    assert chain.reasons() == {
        "built": ["input `web/src/deep/er/view.ts` changed"],
        "checked": ["`built` is stale"],
    }
    chain.boot()
    assert chain.reached() == ["built", "checked:3"]
    chain.boot()
    assert chain.reached() == []


def test_an_added_and_a_removed_file_reach_the_state_anew(chain: Any) -> None:
    chain.write("web/src/new.ts", "")
    (chain.root / "web/src/app.ts").unlink()
    reasons = chain.reasons()["built"]
    assert reasons == ["input `web/src/new.ts` is new", "input `web/src/app.ts` is gone"]
    chain.boot("built")
    assert chain.reached() == ["built"]
    chain.boot()
    assert chain.reached() == ["checked:3"]


def test_a_parent_that_was_reached_alone_makes_what_needs_it_stale(chain: Any) -> None:
    chain.write("web/package.json", '{"private": true}')
    chain.boot("modules")
    assert chain.reached() == ["modules"]
    assert chain.reasons() == {
        "built": ["`modules` was reached anew"],
        "checked": ["`built` is stale"],
    }


def test_the_same_content_under_new_times_reaches_nothing(chain: Any) -> None:
    for file in ("web/src/app.ts", "web/package.json"):
        os.utime(chain.root / file)
    chain.boot()
    assert chain.reached() == []
    assert chain.boot(audit=True).json == []  # it was remembered under the new times


def test_content_that_was_taken_back_reaches_nothing(chain: Any) -> None:
    chain.write("web/src/app.ts", "2")
    chain.write("web/src/app.ts", "1")
    chain.boot()
    assert chain.reached() == []


def test_a_program_that_is_executable_no_more_is_another_input(chain: Any) -> None:
    (chain.root / "docs/index.md").chmod(0o755)
    chain.boot()
    assert chain.reached() == ["documented"]


def test_a_pattern_sees_new_files_and_no_others(chain: Any) -> None:
    chain.write("docs/notes.txt", "no pattern's")
    chain.write("docs/deep/page.md", "too deep for `*`")
    chain.boot()
    assert chain.reached() == []
    chain.write("docs/second.md", "")
    assert chain.reasons() == {"documented": ["input `docs/second.md` is new"]}
    chain.boot()
    assert chain.reached() == ["documented"]


def test_a_missing_input_is_one_too(chain: Any) -> None:
    (chain.root / "web/package.json").unlink()
    assert chain.reasons()["modules"] == ["input `web/package.json` changed"]
    chain.boot()
    assert chain.reached() == ["modules", "built", "checked:3"]
    chain.boot()
    assert chain.reached() == []


def test_an_output_that_is_gone_reaches_its_state_and_no_other(chain: Any) -> None:
    shutil.rmtree(chain.root / "web/modules")
    assert chain.reasons() == {"modules": ["output `web/modules` is not there"]}
    chain.boot()
    assert chain.reached() == ["modules"]


def test_outputs_of_states_within_an_input_are_no_input(project: Any) -> None:
    project.states(
        """
@state(inputs=["."], outputs=["made"])
def made(ctx):
    note(ctx, "made")
    (ctx.root / "made").mkdir(exist_ok=True)
    (ctx.root / "made/now").write_text(str(__import__("time").time_ns()))

@state(needs=[made], inputs=["made"])
def used(ctx):
    note(ctx, "used")
"""
    )
    project.boot()
    project.reached()
    (project.root / "made/now").write_text("")
    assert project.reasons() == {"used": ["input `made/now` changed"]}


def test_a_check_that_says_no_reaches_the_state_anew(project: Any) -> None:
    project.states(
        """
@state(check=lambda ctx: (ctx.root / "up").exists())
def up(ctx):
    note(ctx, "up")
    (ctx.root / "up").touch()
"""
    )
    project.boot()
    project.boot()
    assert project.reached() == ["up"]
    (project.root / "up").unlink()
    assert project.reasons() == {"up": ["its check says no"]}
    project.boot()
    assert project.reached() == ["up"]


def test_a_state_is_skipped_for_a_reason_and_reached_when_it_is_none_any_more(project: Any) -> None:
    project.states(
        """
@state(skip_if=lambda ctx: "no engine here" if (ctx.root / "bare").exists() else None)
def engine(ctx):
    note(ctx, "engine")
    return "docker"

@state(needs=[engine])
def image(ctx):
    note(ctx, f"image:{ctx.value(engine)}")
"""
    )
    bare = project.write("bare", "")
    assert "engine" not in project.boot().err
    assert project.reached() == ["image:None"]
    assert "engine: skipped: no engine here" in project.boot(verbose=True).err
    states = project.boot(explain={}).json["states"]
    assert [(one["skipped"], one["fresh"]) for one in states] == [
        ("no engine here", False),
        (None, True),
    ]
    bare.unlink()
    project.boot()
    assert project.reached() == ["engine", "image:docker"]
    bare.touch()
    project.boot()
    assert project.reached() == ["image:None"]  # not the value from before


def test_what_is_always_reached_makes_nothing_else_stale(project: Any) -> None:
    project.states(
        """
@state(always=True)
def told(ctx):
    note(ctx, "told")

@state(needs=[told])
def after(ctx):
    note(ctx, "after")
"""
    )
    project.boot()
    project.boot()
    assert project.reached() == ["told", "after", "told"]
    assert project.reasons() == {"told": ["it is reached at each start"]}


def test_a_rebuild_reaches_the_goals_anew_and_not_what_they_need(chain: Any) -> None:
    chain.boot("built", rebuild=True)
    assert chain.reached() == ["built"]


def test_the_default_goals_are_those_marked_so(chain: Any) -> None:
    chain.states(CHAIN.replace('@state(inputs=["docs', '@state(default=True, inputs=["docs'))
    chain.boot("modules", rebuild=True)
    assert chain.reached() == ["modules"]
    shutil.rmtree(chain.root / "web/dist")
    chain.boot()
    assert chain.reached() == []


def test_a_replacement_is_reached_instead_and_calls_the_original(project: Any) -> None:
    project.states(
        """
@state(inputs=["lock"], outputs=["installed"])
def packages(ctx):
    note(ctx, "packages")
    (ctx.root / "installed").touch()
    return 1

@state(needs=[packages])
def built(ctx):
    note(ctx, f"built:{ctx.value(packages)}")
""",
        module="ready",
    )
    project.states(
        """
from pkg.ready import built, packages

@state(replaces=packages)
def patched(ctx):
    note(ctx, "patched")
    return packages.reach(ctx) + 1
"""
    )
    project.boot()
    assert project.reached() == ["patched", "packages", "built:2"]
    project.boot("packages")
    assert project.reached() == []
    project.write("lock", "")  # the original's input
    project.boot("packages")
    assert project.reached() == ["patched", "packages"]
    (project.root / "installed").unlink()  # the original's output
    project.boot("patched")
    assert project.reached() == ["patched", "packages"]
    project.states(
        (project.root / "src/pkg/ready.py").read_text().replace("return 1", "return 5"),
        module="ready",
        header="",
    )
    project.boot()
    assert project.reached() == ["patched", "packages", "built:6"]


def test_a_replacement_may_be_called_as_the_original(project: Any) -> None:
    project.states("@state\ndef packages(ctx):\n    note(ctx, 'original')\n", module="ready")
    project.states(
        """
from pkg import ready

@state(replaces=ready.packages)
def packages(ctx):
    ready.packages.reach(ctx)
    note(ctx, "mine")
"""
    )
    project.boot("packages")
    assert project.reached() == ["original", "mine"]


def test_a_state_has_a_folder_of_its_own_that_stays(project: Any) -> None:
    project.states(
        """
@state(always=True)
def counted(ctx):
    file = ctx.folder / "count"
    file.write_text(file.read_text() + "|" if file.exists() else "|")
    note(ctx, file.read_text())
"""
    )
    project.boot()
    project.boot()
    assert project.reached() == ["|", "||"]
    assert (project.home / "counted/folder/count").exists()


def test_a_tool_runs_where_and_with_what_it_is_told(project: Any) -> None:
    project.states(
        """
@state
def ran(ctx):
    ctx.run("sh", "-c", 'pwd > "$1"; printf %s "$WORD" >> "$1"; cat >> "$1"', "sh",
            ctx.root / "out", folder="src", variables={"WORD": "said"})
    note(ctx, ctx.output("echo", "hello").strip())
"""
    )
    project.boot()
    assert (project.root / "out").read_text() == f"{project.root}/src\nsaid"
    assert project.reached() == ["hello"]
