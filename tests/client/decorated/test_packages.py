"""What a decorated function's environment and package are found by, and what its packages are resolved to."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kedge
from kedge.client.decorated.declaration import declared
from kedge.client.decorated.written import written
from kedge.errors import UnknownName, UsageError

type Decorate = Callable[..., Any]

# The newest that is below has no wheel for newer Pythons.
BELOW, FOUND = ("2", "1.") if sys.version_info < (3, 13) else ("2.4", "2.3.")


def version_of(name: str) -> str:
    from importlib.metadata import version

    return version(name)


def body() -> int:
    return 1


def other_body(value: int = 3) -> int:
    return value + sum(range(value))


def package(**options: Any) -> str:
    """The name of the package that is written for these options."""
    made = kedge.function(body, name="tested", **options)
    return os.path.basename(written(made._declaration, (), items=False, before=None).folder)


def test_a_bound_is_a_bound_and_no_shell_reads_it(decorated: Decorate, tmp_path: Path) -> None:
    found = decorated(version_of, pip=[f"numpy<{BELOW}"]).run("numpy")
    assert found.startswith(FOUND)


def test_the_order_of_packages_and_their_number_does_not_matter(decorated: Decorate) -> None:
    lists = (["six<1.17", "iniconfig"], ["iniconfig", "six<1.17"], ["six<1.17", "iniconfig"] * 2)
    records = []
    for one in lists:
        run = decorated(body, pip=one).submit()
        run.result()
        records.append(run.record())
    assert len({one["environment"] for one in records}) == 1
    assert len({one["source"] for one in records}) == 1


def test_names_that_only_read_alike_together_are_not_one(tmp_path: Path) -> None:
    for option in ("pip", "apt", "run_commands"):
        assert package(**{option: ["ab", "c"]}) != package(**{option: ["a", "bc"]})
    assert package(apt=["ab"]) != package(pip=["ab"]) != package(run_commands=["ab"])
    assert package(env={"A": "bc"}) != package(env={"AB": "c"})


def test_the_order_of_commands_matters_and_that_of_debian_packages_does_not() -> None:
    assert package(run_commands=["a", "b"]) != package(run_commands=["b", "a"])
    assert package(apt=["a", "b"]) == package(apt=["b", "a"])


@pytest.mark.parametrize(
    "options",
    [
        {"pip": ["six"]},
        {"apt": ["curl"]},
        {"run_commands": ["true"]},
        {"base_image": "debian:bookworm"},
        {"copy": {__file__: "x.py"}},
        {"cpu": 2},
        {"memory": 512},
        {"timeout": 3},
        {"network": True},
        {"env": {"A": "1"}},
        {"secrets": ["A"]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_each_option_makes_another_package(options: dict[str, Any]) -> None:
    assert package(**options) != package()
    assert package(**options) == package(**options)


def test_another_body_makes_no_other_package_or_environment(decorated: Decorate) -> None:
    first, second = decorated(body, pip=["six<1.17"]), decorated(other_body, pip=["six<1.17"])
    runs = [first.submit(), second.submit(4)]
    assert [run.result() for run in runs] == [1, 10]
    one, other = (run.record() for run in runs)
    assert one["source"] == other["source"]
    assert one["environment"] == other["environment"]
    assert one["snapshot"] == other["snapshot"]


def test_another_import_in_the_body_makes_no_other_environment(decorated: Decorate) -> None:
    def imports() -> str:
        import json

        return json.dumps(1)

    runs = [decorated(function, pip=["six<1.17"]).submit() for function in (body, imports)]
    assert [run.result() for run in runs] == [1, "1"]
    assert len({run.record()["environment"] for run in runs}) == 1


def test_a_file_of_requirements_may_take_the_place_of_a_list(
    decorated: Decorate, tmp_path: Path
) -> None:
    path = tmp_path / "needs.txt"
    path.write_text("# what is needed\nsix==1.16.0\n")
    function = decorated(version_of, pip=path)
    assert function.run("six") == "1.16.0"
    path.write_text("six==1.15.0\n")
    assert function.run("six") == "1.15.0"
    assert decorated(version_of, pip=str(path)).run("six") == "1.15.0"


def test_a_file_of_requirements_that_is_wrong_is_refused_with_file_and_line(
    decorated: Decorate, tmp_path: Path
) -> None:
    path = tmp_path / "needs.txt"
    for text in ("numpy<<2\n", "-r other.txt\n"):
        path.write_text(text)
        with pytest.raises(kedge.KedgeError) as raised:
            decorated(body, pip=path).run()
        assert f"{__file__}:{body.__code__.co_firstlineno}" in str(raised.value)
    with pytest.raises(UsageError, match="names the file `needs`, which is not there") as wrong:
        decorated(body, pip="needs")
    assert 'pip=["numpy"]' in str(wrong.value.hint)


def test_the_lock_stays_until_it_is_upgraded_on_purpose(
    decorated: Decorate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDGE_HOME", str(tmp_path / "home"))
    assert decorated(body).lock() is None
    function = decorated(body, pip=["six<1.17", "iniconfig<2"])
    path = Path(function.lock())
    text = path.read_text()
    assert "six==1.16" in text and "iniconfig==1." in text and "sha256:" in text
    assert function.lock() == str(path)
    # As if it had been resolved when there was no newer one.
    (newer,) = (line for line in text.splitlines() if line.startswith("six=="))
    pinned = decorated(body, pip=["six==1.15.0", "iniconfig<2"])
    old = Path(pinned.lock()).read_text()
    path.write_text("\n".join([*text.splitlines()[:1], *old.splitlines()[1:], ""]))
    assert decorated(other_body, pip=["iniconfig<2", "six<1.17"]).lock() == str(path)
    assert newer not in path.read_text()
    assert function.lock(upgrade="iniconfig") == str(path) and newer not in path.read_text()
    assert function.lock(upgrade=True) == str(path) and newer in path.read_text()
    with pytest.raises(UnknownName, match="`nothing`"):
        function.lock(upgrade="nothing")
    with pytest.raises(kedge.EnvironmentFailed, match="numpy"):
        decorated(body, pip=["numpy>=99"]).lock()


def test_functions_that_need_the_same_share_their_lock(decorated: Decorate) -> None:
    def imports() -> str:
        import json

        return json.dumps(1)

    one = decorated(body, pip=["six<1.17"])
    assert one.lock() == kedge.function(imports, pip=["six<1.17"], env={"A": "1"}).lock()


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("_solve", "solve"),
        ("<lambda>", "lambda"),
        ("größe", "groe"),
        ("__", "function"),
        ("图", "function"),
    ],
)
def test_a_name_is_as_near_as_can_be_to_that_of_the_function(called: str, name: str) -> None:
    def function() -> None: ...

    function.__name__ = called
    assert repr(kedge.function(function)) == f"<kedge.function {name}>"


def test_what_is_declared_is_plain_data() -> None:
    options = {
        "pip": ["six"], "apt": (), "run_commands": (), "copy": (), "python_version": None, "name": None,
        "base_image": None, "cpu": 1, "memory": None, "timeout": None, "gpu": None, "network": False,
        "env": None, "secrets": (), "retries": 2, "cache": True, "executor": "auto", "unpickle": "safe",
    }  # fmt: skip
    found = declared(body, options)
    assert (found.name, found.pip, found.resources) == ("body", ("six",), {"cpu": 1})
    assert found.settings == {"retries": 2, "cache": True}
