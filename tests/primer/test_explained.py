"""`kedge primer explain` and `graph`: what a repository's own entry scripts say of themselves."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from kedge.primer.repository.entry import Entry, shell_script

REPOSITORY = Path(__file__).resolve().parents[2]

STATES = """
from kedge.primer import state

@state(inputs=["page.txt"], outputs=["built"])
def page(ctx):
    '''The page.'''
    (ctx.root / "built").write_text("built")

@state(needs=[page])
def site(ctx):
    '''The site.'''

@state(needs=[page, site], skip_if=lambda ctx: "nobody asked")
def end(ctx):
    '''The end.'''
"""


@pytest.fixture
def repository(checkout: Any) -> Any:
    """The small project with a boot script beside its entry script, both started once."""
    source = os.path.relpath(REPOSITORY / "src", checkout.root)
    own = {"lock": "requirements/app.txt", "paths": ["src", source]}
    checkout.configure(environments={"app": own})
    (checkout.root / "src/states.py").write_text(STATES)
    (checkout.root / "page.txt").write_text("one")
    (checkout.root / "prime").write_text(shell_script(Entry("boot", "states", "app")))
    (checkout.root / "prime").chmod(0o755)
    ended = checkout.start(entry=checkout.root / "prime")
    assert ended.returncode == 0, ended.stderr
    return checkout


@pytest.fixture
def primer(kedge: Any, repository: Any) -> Any:
    """`kedge primer` in the repository."""

    ours = {name: os.environ[name] for name in ("KEDGE_HOME", "PYTHONPATH") if name in os.environ}

    def call(*words: object, variables: Any = None, **options: Any) -> Any:
        env = repository.variables | ours | (variables or {})
        return kedge("primer", *words, **{"cwd": repository.root, "env": env} | options)

    return call


def test_what_is_fresh_is_said_of_every_entry_script(primer: Any, repository: Any) -> None:
    shown = primer("explain", cwd=repository.root / "src").out
    app, _, prime = shown.partition("\nprime\n")
    for part in (app, prime):
        assert f"{repository.root}/.primer/app  fresh\n" in part
        assert "requirements/app.txt is the same\n" in part
        assert f"{repository.root}/.primer/app/bin/python\n" in part
        assert ">=3.12\n" in part
    assert "states" not in app
    assert prime.splitlines()[-3:] == [
        "states       page  fresh",
        "             site  fresh",
        "             end   skipped: nobody asked",
    ]


def test_what_changed_is_named(primer: Any, repository: Any, wheels: dict[str, Path]) -> None:
    (repository.root / "page.txt").write_text("another")
    shown = primer("explain", "prime").out.splitlines()
    assert shown[-5] == "states       page  stale"
    assert "page.txt" in shown[-4]
    assert shown[-3] == "             site  stale"
    repository.lock(wheels["2.0"])
    before = sorted(repository.root.rglob("*"))
    app = primer("explain", repository.root / "app", cwd="/").out
    assert "  stale: requirements/app.txt changed\n" in app
    assert "primer.json is the same\n             primer.local.json is the same\n" in app
    assert "requirements/app.txt changed\n" in app
    assert "states" not in primer("explain", "prime").out
    assert sorted(repository.root.rglob("*")) == before
    shutil.rmtree(repository.root / ".primer")
    assert "/.primer/app  stale: not made yet\n" in primer("explain", "app").out
    assert not (repository.root / ".primer").exists()


def test_the_document_itself_is_that_of_the_entry_script(primer: Any, repository: Any) -> None:
    document = primer("explain", "prime", "--json").json
    own = repository.start(
        entry=repository.root / "prime", env=repository.variables | {"PRIMER_EXPLAIN": "1"}
    )
    assert document == json.loads(own.stdout)
    assert document["fresh"] is True
    assert [one["name"] for one in document["states"]] == ["page", "site", "end"]
    several = primer("explain", "--json", code=2).json["error"]
    assert several["message"] == "there are several entry scripts: `app`, `prime`"


def test_a_rebuild_that_is_asked_for_is_not_explained(primer: Any) -> None:
    document = primer("explain", "prime", "--json", variables={"PRIMER_REBUILD": "1"}).json
    assert [one["fresh"] for one in document["states"]] == [True, True, False]


def test_the_graph_is_drawn(primer: Any, repository: Any) -> None:
    assert primer("graph").out.splitlines() == [
        "end  skipped: nobody asked",
        "├── page  fresh",
        "└── site  fresh",
        "    └── page  fresh",
    ]
    (repository.root / "built").unlink()
    assert primer("graph", "prime", "--format", "mermaid").out.splitlines() == [
        "flowchart TD",
        '    s0["page"]:::stale',
        '    s1["site"]',
        '    s2(["end"])',
        "    s0 --> s1",
        "    s0 --> s2",
        "    s1 --> s2",
        "    classDef stale stroke-dasharray: 5 5",
    ]
    as_json = primer("graph", "--format", "json").json
    assert as_json == primer("explain", "prime", "--json").json["states"]


def test_what_cannot_be_explained_or_drawn_is_an_error_with_a_hint(
    primer: Any, repository: Any, tmp_path: Path
) -> None:
    def said(*words: object, **options: Any) -> str:
        err: str = primer(*words, code=2, **options).err
        assert "hint: " in err
        return err

    assert "`app` has no states" in said("graph", "app")
    assert "`page.txt` is no entry script" in said("explain", "page.txt")
    assert "`nothing` is no entry script" in said("explain", "nothing")
    assert "primer/proto.py`" in said("explain", cwd=tmp_path)
    # What the project's own code says is passed on as it is.
    (repository.root / "src/states.py").write_text("raise LookupError('of the project')\n")
    broken = said("graph")
    assert "LookupError: of the project" in broken
    assert "did not explain itself" in broken
    (repository.root / "primer.json").write_text("{")
    assert "primer: error: primer.json is not JSON" in said("explain", "app")
    (repository.root / "primer.json").write_text(json.dumps({"environments": {}}))
    (repository.root / "prime").chmod(0o644)
    assert "hint: `chmod +x " in said("explain", "prime")


def test_a_graph_needs_an_environment(primer: Any, repository: Any) -> None:
    shutil.rmtree(repository.root / ".primer")
    err = primer("graph", code=2).err
    assert "is not ready" in err
    assert f"hint: start `{repository.root}/prime` once" in err
    (repository.root / "prime").unlink()
    assert "there is no boot script" in primer("graph", code=2).err


def test_entry_scripts_are_completed(primer: Any, repository: Any) -> None:
    words = {"_KEDGE_COMPLETE": "bash_complete", "COMP_WORDS": "kedge primer explain "}
    words["COMP_CWORD"] = "3"
    assert primer(variables=words).out.split() == ["plain,app", "plain,prime"]
    assert primer(variables=words, cwd="/").out.split() == []
