"""What packages declare, in every form, and what is refused with its place."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.environment import specifications
from kedge.environment.requirements import Requirements, declared
from kedge.errors import ManifestError

HASH = "sha256:" + "a" * 64


def _problems(root: Path, field: object) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        declared(str(root), field, "3.12")  # type: ignore[arg-type]
    assert all(problem.hint for problem in caught.value.problems)
    return [str(problem) for problem in caught.value.problems]


def test_false_and_nothing_at_all_need_nothing(tmp_path: Path) -> None:
    assert declared(str(tmp_path), False, "3.12").is_empty
    assert declared(str(tmp_path), None, "3.12").is_empty


def test_a_list_of_strings(tmp_path: Path) -> None:
    found = declared(str(tmp_path), ["numpy>=2,<3", "six ; python_version < '4'"], "3.12")
    assert found.strings == ("numpy>=2,<3", "six ; python_version < '4'")


def test_true_reads_the_roots_file_with_all_that_it_includes(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "\ufeff# comment\r\nnumpy>=2  # why\r\n\r\n-r more/base.txt\r\n-c limits.txt\r\n"
        f"idna==3.10 \\\r\n    --hash={HASH} \\\r\n    --hash={HASH}\r\n--only-binary :all:\r\n"
    )
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "base.txt").write_text(
        "six\n-r ../requirements.txt\n--requirement=../c.txt\n"
    )
    (tmp_path / "c.txt").write_text("packaging")
    (tmp_path / "limits.txt").write_text("scipy<2\n")
    found = declared(str(tmp_path), True, "3.12")
    assert found.strings == (
        "numpy>=2", "six", "packaging", f"idna==3.10 --hash={HASH} --hash={HASH}",
    )  # fmt: skip
    assert found.constraints == ("scipy<2",)
    assert found.source == "requirements.txt"


def test_a_path_is_relative_to_the_package(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "run.txt").write_text("six\n")
    assert declared(str(tmp_path), "requirements/run.txt", "3.12").strings == ("six",)


def test_a_pyproject_is_used_when_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\ndependencies = ["six>=1", "idna"]\n'
    )
    assert declared(str(tmp_path), None, "3.12").strings == ("six>=1", "idna")
    assert declared(str(tmp_path), False, "3.12").strings == ()


def test_a_uv_lock_decides_when_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    (tmp_path / "uv.lock").write_text("version = 1\n")
    found = declared(str(tmp_path), None, "3.12")
    assert found.uv_lock == "version = 1\n"
    assert not found.is_empty


def test_a_requirements_file_that_is_not_used_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("six\n")
    assert "`requirements: true`" in declared(str(tmp_path), None, "3.12").notices[0]


def test_everything_that_is_refused_is_refused_at_once_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "six\n"
        "-e .\n"
        "--index-url https://user:secret@index.invalid/simple\n"
        "git+https://code.invalid/x\n"
        "./wheels/x.whl\n"
        "-r ../outside.txt\n"
        "-r absent.txt\n"
        "numpy==\n"
        "x @ https://user:secret@files.invalid/x-1-py3-none-any.whl\n"
        "--pre\n"
        "six==${VERSION}\n"
        "-fwheels\n"
        "y @ git+ssh://code.invalid/y\n"
        "z ; python >= '3'\n"
    )
    problems = _problems(tmp_path, True)
    assert [problem.partition(": ")[0] for problem in problems] == [
        f"requirements.txt:{line}" for line in range(2, 15)
    ]
    assert "secret" not in "".join(problems)


def test_a_link_that_leads_outside_is_not_followed(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (tmp_path / "secret.txt").write_text("six\n")
    (package / "requirements.txt").symlink_to(tmp_path / "secret.txt")
    assert "outside the package" in _problems(package, True)[0]
    assert "outside the package" in _problems(package, "/etc/hostname")[0]


@pytest.mark.parametrize(
    ("field", "part"),
    [
        (True, "is not there"),
        ("", "is not the name of a file"),
        ("a\0b", "is not the name of a file"),
        ("https://files.invalid/r.txt", "is an address"),
        (["six", 3], "`3` is not a requirement"),
        (["six", "", "-e ."], "`` is not a requirement"),
    ],
)
def test_a_field_that_cannot_be_used(tmp_path: Path, field: object, part: str) -> None:
    problems = _problems(tmp_path, field)
    assert any(part in problem for problem in problems)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes(b"six\n\xff\xfe")
    assert "not UTF-8" in _problems(tmp_path, True)[0]


@pytest.mark.parametrize(
    "text",
    [
        "[project",
        "[project]\ndependencies = 'six'",
        "project = 3",
        "[project]\ndependencies = [1]",
        "[project]\ndynamic = ['dependencies']",
        "[project]\ndependencies = ['git+https://x']",
    ],
)
def test_a_pyproject_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert _problems(tmp_path, None)


def test_the_declarations_digest_knows_content_and_not_order() -> None:
    one = Requirements(("six", "idna"), "3.12")
    assert one.digest == Requirements(("idna", "six", "six"), "3.12", source="r.txt").digest
    assert one.digest != Requirements(("six", "idna"), "3.11").digest
    assert one.digest != Requirements(("six",), "3.12", ("idna",)).digest
    assert Requirements.from_json(one.to_json()) == one


@given(st.lists(st.text(max_size=60), max_size=4))
def test_any_list_is_a_declaration_or_an_error_about_it(strings: list[str]) -> None:
    try:
        found = declared("/", strings, "3.12")
    except ManifestError as error:
        assert error.problems
    else:
        assert len(found.strings) == len(strings)


@given(st.text(alphabet="abc-.= <>~!;@\\\n\r#\"'[](),*1:/$r", max_size=200))
def test_any_file_is_a_declaration_or_an_error_about_it(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    root = tmp_path_factory.mktemp("any")
    (root / "requirements.txt").write_text(text)
    try:
        found = declared(str(root), True, "3.12")
    except ManifestError as error:
        assert all(problem.where is not None for problem in error.problems)
    else:
        assert all(specifications.name_of(one) for one in found.strings)
