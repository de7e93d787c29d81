"""`kedge conform` on each engine: nothing wrong with what honours the contract, one thing with each other."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kedge.engine.look import Engine

PACKAGE = Path(__file__).parents[1] / "packages" / "conform-image"

CHECKS = ["starts", "inputs", "outputs", "failure", "sigterm", "writes", "user", "progress"]

type Conform = Callable[..., dict[str, Any]]


@pytest.fixture
def conform(kedge_alone: Any, containers: Any, engine: Engine) -> Iterator[Conform]:
    """Tries a function on the engine: its checks by their names."""

    def conforms(function: str, *words: str, package: Path = PACKAGE, code: int = 1) -> Any:
        named = ("--executor", engine.kind, "--json")
        checks = kedge_alone("conform", package, function, *words, *named, code=code).json
        assert [one["check"] for one in checks] == CHECKS
        return {one["check"]: one for one in checks}

    yield conforms
    assert containers() == []


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[str], Path]:
    """Gives the package with another line in its `runtime`."""

    def changes(line: str) -> Path:
        folder = tmp_path / "changed"
        folder.mkdir()
        for path in PACKAGE.iterdir():
            text = path.read_text().replace("runtime:\n", f"runtime:\n  {line}\n")
            (folder / path.name).write_text(text)
        return folder

    return changes


def of(checks: dict[str, Any], result: str) -> list[str]:
    """The names of the checks with this result."""
    return [name for name, check in checks.items() if check["result"] == result]


def test_nothing_is_wrong_with_a_program_that_honours_the_contract(conform: Conform) -> None:
    assert of(conform("good", "--long", "n=50", code=0), "passed") == CHECKS


@pytest.mark.parametrize(
    ("function", "check", "why"),
    [
        ("starts", "starts", "/opt/nowhere"),
        ("inputs", "inputs", "unreadable"),
        ("outputs-missing", "outputs", "`out/data.json` is missing"),
        ("outputs-type", "outputs", "a whole number is expected"),
        ("outputs-extension", "outputs", ".txt is expected"),
        ("outputs-stray", "outputs", "`out/result.txt`"),
        ("outputs-undeclared", "outputs", "`z in out/data.json`"),
        ("outputs-link", "outputs", "`out/artifacts/accounts` is a symbolic link"),
        ("failure", "failure", "left no error file"),
        ("failure-type", "failure", "`type` of `out/_error.json` is no text"),
        ("failure-code", "failure", "as if it had succeeded"),
        ("writes", "writes", "`/opt/state`"),
        ("user", "user", "unless it is the image's own user"),
        ("progress", "progress", "line 2 of `out/progress.jsonl` is not valid JSON"),
    ],
)
def test_the_rule_that_is_broken_is_named_and_no_other(
    conform: Conform, function: str, check: str, why: str
) -> None:
    checks = conform(function)
    assert of(checks, "failed") == [check], checks
    assert why in checks[check]["why"]
    assert checks[check]["hint"]


def test_a_program_that_ignores_sigterm_is_told_how_to_heed_it(conform: Conform) -> None:
    checks = conform("sigterm", "--long", "n=50")
    assert of(checks, "failed") == ["sigterm"]
    assert "2 s after SIGTERM" in checks["sigterm"]["why"]
    assert "`exec`" in checks["sigterm"]["hint"] and "`trap`" in checks["sigterm"]["hint"]


def test_what_ends_before_it_need_stop_proves_nothing(conform: Conform) -> None:
    checks = conform("sigterm", code=0)
    assert of(checks, "not tried") == ["sigterm"]
    assert "--long" in checks["sigterm"]["hint"]


def test_an_image_whose_own_user_is_root_is_refused(
    conform: Conform, changed: Callable[[str], Path], engine: Engine
) -> None:
    if engine.rootless:
        pytest.skip("root of a rootless engine's container is not root on this machine")
    checks = conform("good", package=changed("user: image"))
    assert of(checks, "failed") == ["user"]
    assert "USER 1000" in checks["user"]["hint"]


def test_what_is_written_to_a_writable_root_is_listed(
    conform: Conform, changed: Callable[[str], Path]
) -> None:
    package = changed("writable: true")
    checks = conform("writes-layer", package=package)
    assert of(checks, "failed") == ["writes"]
    assert checks["writes"]["why"].endswith("it wrote `/var/tmp/state`")
    checks = conform("good", package=package, code=0)
    assert checks["writes"]["result"] == "passed"
    assert "leave `writable` out" in checks["writes"]["hint"]
