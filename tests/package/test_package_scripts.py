"""A Python file as a package: PEP 723 metadata and public functions."""

import ast
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kedge.errors import KedgeError, ManifestError, PackageError
from kedge.package.declaration import LoadedPackage
from kedge.package.manifest import load
from kedge.package.pythons import VERSIONS, check_version, newest

FUNCTION = "def size(d: float) -> float:\n    return d\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(folder: Path, text: str, name: str = "beam.py") -> LoadedPackage:
    (folder / name).write_text(text)
    return load(name)


def refused(folder: Path, text: str, name: str = "beam.py") -> list[str]:
    with pytest.raises(ManifestError) as caught:
        loaded(folder, text, name)
    assert all(problem.hint for problem in caught.value.problems)
    return [str(problem) for problem in caught.value.problems]


def test_metadata_and_public_functions_make_a_package(folder: Path) -> None:
    package = loaded(
        folder,
        "# /// script\n"
        '# requires-python = ">=3.9,<3.13"\n'
        "# dependencies = [\n"
        '#   "numpy>=2",\n'
        "# ]\n"
        "#\n"
        "# [tool.kedge]\n"
        '# version = "1.2.3"\n'
        "# resources = {tier = 'nano'}\n"
        "# [tool.kedge.functions.size]\n"
        '# description = "From the metadata."\n'
        "# network = true\n"
        "# ///\n"
        "from math import sqrt\n"
        "import os\n"
        "class Thing: ...\n"
        "def _private(): ...\n"
        "async def later(): ...\n"
        "if True:\n"
        "    def nested(): ...\n"
        "alias = sqrt\n" + FUNCTION,
    )
    assert (package.name, package.version, package.resources) == ("beam", "1.2.3", {"tier": "nano"})
    assert package.runtime["version"] == "3.12"
    assert package.runtime["requires_python"] == ">=3.9,<3.13"
    assert package.runtime["requirements"] == ["numpy>=2"]
    assert list(package.functions) == ["later", "size"]
    assert package.functions["size"].handler == "beam:size"
    assert package.functions["size"].network is True
    assert package.functions["later"].network is False
    assert package.root == package.manifest_file == "beam.py"
    assert package.warnings == ()


def test_without_metadata_any_python_and_no_dependencies(folder: Path) -> None:
    package = loaded(folder, FUNCTION)
    assert package.runtime["version"] == VERSIONS[-1]
    assert package.runtime["requires_python"] == ""
    assert package.runtime["requirements"] is False


def test_tool_kedge_may_name_the_version(folder: Path) -> None:
    package = loaded(
        folder, '# /// script\n# [tool.kedge.runtime]\n# version = "3.10"\n# ///\n' + FUNCTION
    )
    assert package.runtime["version"] == "3.10"
    assert "requires_python" not in package.runtime


def test_problems_stand_at_lines_of_the_script(folder: Path) -> None:
    head = '"""Doc."""\n# /// script\n'
    assert refused(folder, head + '# dependencies = "numpy"\n# requires-python = 3.12\n# ///\n' + FUNCTION) == [
        "beam.py:4:21 (requires-python): `requires-python` is the number 3.12, expected a version specifier",
        "beam.py:3:18 (dependencies): `dependencies` is `numpy`, expected a list of texts",
    ]  # fmt: skip
    (problem,) = refused(folder, head + "# x = \n# ///\n" + FUNCTION)
    assert problem.startswith("beam.py:3:")
    assert "not TOML" in problem
    (problem,) = refused(folder, head + '# dependencies = ["a", 3]\n# ///\n' + FUNCTION)
    assert problem == (
        "beam.py:3:24 (dependencies[1]): `dependencies[1]` is the number 3, expected a requirement as text"
    )
    (problem,) = refused(
        folder, head + "# [tool.kedge.functions.size]\n# netwrk = true\n# ///\n" + FUNCTION
    )
    assert problem.startswith("beam.py:4:3 (functions.size.netwrk)")


@pytest.mark.parametrize(
    ("specifier", "words"),
    [(">=3.99", "no Python from"), ("<3", "no Python from"), (">>3", "not a version specifier"),
     ("3.12", "not a version specifier"), ("==3.*.1", "not a version specifier")],
)  # fmt: skip
def test_a_python_that_cannot_be_is_refused(folder: Path, specifier: str, words: str) -> None:
    text = f'# /// script\n# requires-python = "{specifier}"\n# ///\n' + FUNCTION
    (problem,) = refused(folder, text)
    assert problem.startswith("beam.py:2:21")
    assert words in problem


def test_two_blocks_are_refused_by_both_lines(folder: Path) -> None:
    block = "# /// script\n# dependencies = []\n# ///\n"
    (problem,) = refused(folder, block + "\n" + block + FUNCTION)
    assert "beam.py:5:1" in problem
    assert "line 1 and on line 5" in problem


def test_blocks_of_another_type_are_not_ours(folder: Path) -> None:
    text = (
        "# /// other\n# nonsense\n# ///\n\n# /// script\n# dependencies = ['a']\n# ///\n" + FUNCTION
    )
    assert loaded(folder, text).runtime["requirements"] == ["a"]


def test_an_unclosed_block_counts_for_nothing_and_says_so(folder: Path) -> None:
    package = loaded(folder, "# /// script\n# dependencies = ['a']\n\n" + FUNCTION)
    assert package.runtime["requirements"] is False
    assert "not closed" in package.warnings[0].message


def test_an_unknown_key_of_the_metadata_is_a_warning(folder: Path) -> None:
    package = loaded(folder, "# /// script\n# dependancies = ['a']\n# ///\n" + FUNCTION)
    assert str(package.warnings[0]).startswith("beam.py:2:3 (dependancies)")


def test_windows_line_ends_are_read(folder: Path) -> None:
    text = "# /// script\n# dependencies = ['a']\n# ///\n" + FUNCTION
    (folder / "beam.py").write_bytes(text.replace("\n", "\r\n").encode())
    assert load("beam.py").runtime["requirements"] == ["a"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\n", "no public function"),
        ("", "no public function"),
        ("def size(:\n", "beam.py:1:10: beam.py is not Python"),
        ("x = \0\n", "not Python|cannot be read as Python"),
        ("(" * 5000, "not Python|cannot be read"),
        ("def f(): ...\nx = " + "-" * 100_000 + "1\n", "not Python|cannot be read"),
        ("# /// script\n# tool.kedge = 3\n# ///\n" + FUNCTION, "beam.py:2:16 .*the number 3, expected a table"),
        ("# /// script\n# tool.kedge.functions.siz = {}\n# ///\n" + FUNCTION, "`siz` is not a public function"),
        ("# /// script\n# tool.kedge.functions = 3\n# ///\n" + FUNCTION, "the number 3, expected a mapping"),
    ],
)  # fmt: skip
def test_what_is_no_script_package_is_refused(folder: Path, text: str, words: str) -> None:
    with pytest.raises(ManifestError, match=words) as caught:
        loaded(folder, text)
    assert all(problem.hint for problem in caught.value.problems)


def test_a_name_that_is_no_module_is_refused_with_one_that_is(folder: Path) -> None:
    (problem,) = refused(folder, FUNCTION, "2-my beam.py")
    assert "2-my beam.py" in problem


def test_a_name_that_no_function_can_have_is_left_out_with_a_warning(folder: Path) -> None:
    package = loaded(folder, "def task(): ...\ndef größe(): ...\n" + FUNCTION)
    assert list(package.functions) == ["size"]
    assert [warning.where.line for warning in package.warnings if warning.where] == [1, 2]


def test_the_authors_own_warnings_are_not_ours(folder: Path) -> None:
    assert loaded(folder, 'x = "\\d"\n' + FUNCTION).functions


def test_nothing_of_the_script_is_run(folder: Path) -> None:
    loaded(folder, "raise SystemExit('run')\n" + FUNCTION)


@pytest.mark.parametrize(
    ("specifier", "version"),
    [
        ("", VERSIONS[-1]), (">=3.8", VERSIONS[-1]), ("<3.12", "3.11"), ("<=3.12", "3.12"),
        ("<=3.12.0", "3.12"), ("==3.9.*", "3.9"), ("~=3.10", VERSIONS[-1]), ("~=3.10.2", "3.10"),
        ("!=3.14.*,!=3.13.*", "3.12"), (">3.8,<3.9", "3.8"), ("==3.11.4", "3.11"), ("===3.11.4", "3.11"),
        (">= 3.9 , < 3.13rc1", "3.12"), ("<3", None), (">4", None), ("==3.12.*,==3.11.*", None),
        (">=3", VERSIONS[-1]), ("<3.13.1", "3.13"),
    ],
)  # fmt: skip
def test_the_newest_minor_that_satisfies_is_taken(specifier: str, version: str | None) -> None:
    assert newest(specifier) == version


def test_the_newest_may_be_asked_among_those_that_are_there() -> None:
    assert newest(">=3.9", ["3.8", "3.10", "3.9"]) == "3.10"
    assert newest(">=3.9", ["3.8"]) is None


@pytest.mark.parametrize("version", ["3.8", "3.12", "3.99"])
def test_python_versions_that_functions_run_on(version: str) -> None:
    assert check_version(version) is None


@pytest.mark.parametrize(
    "version", ["3.7", "2.7", "3", "3.12.1", "4.0", "", "3.012", "3.١", "py3.12"]
)
def test_python_versions_that_they_do_not(version: str) -> None:
    assert check_version(version)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    block=st.text(st.sampled_from("abc=[]{}\"'#.,\n 13-é\\"), max_size=40),
    code=st.text(st.sampled_from("def f():\n.@x=1 '\"#\\(é\x00"), max_size=40),
)
def test_any_text_is_a_script_or_refused(folder: Path, block: str, code: str) -> None:
    commented = "".join(f"# {line}\n" for line in block.split("\n"))
    (folder / "any.py").write_text(f"# /// script\n{commented}# ///\n{code}\n", encoding="utf-8")
    try:
        package = load("any.py")
    except KedgeError as error:
        assert isinstance(error, PackageError)
        assert all(problem.hint and problem.where for problem in error.problems)
    else:
        names = {node.name for node in ast.parse((folder / "any.py").read_bytes()).body
                 if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}  # fmt: skip
        assert set(package.functions) <= names
