"""Settings: the strongest source wins, an owner's keys are the owner's, and nothing odd is taken."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kedge import settings
from kedge.errors import ConfigError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, the working directory being two below it."""
    below = tmp_path / "project" / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    return tmp_path / "project"


def own(home: Path, text: str) -> Path:
    """The owner's file with this text."""
    home.mkdir(exist_ok=True)
    file = home / "kedge.toml"
    file.write_text(text)
    return file


def test_variables_are_over_projects_are_over_the_home_are_over_defaults(
    project: Path, kedge_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "environment.build_timeout"
    assert settings.get(key) == 3600.0
    own(kedge_home, "environment.build_timeout = 1")
    assert settings.get(key) == 1
    (project / "kedge.toml").write_text("environment = {build_timeout = 2.5}")
    assert settings.get(key) == 2.5
    monkeypatch.setenv("KEDGE_ENVIRONMENT_BUILD_TIMEOUT", "3")
    assert settings.get(key) == 3.0


def test_the_nearest_project_file_is_the_projects(project: Path) -> None:
    (project / "kedge.toml").write_text("python.download = true")
    (project / "a" / "kedge.toml").write_text("python.download = false")
    assert settings.get("python.download") is False


OWNERS = [key for key in settings.KEYS.values() if key.owner_only]


@pytest.mark.parametrize("key", OWNERS, ids=lambda key: str(key.name))
def test_what_widens_a_run_is_the_owners_alone(
    project: Path, kedge_home: Path, key: settings.Key
) -> None:
    text = {str: '"process"', list: '["/opt"]', bool: "true"}[type(key.default)]
    own(kedge_home, f"{key.name} = {text}")
    assert settings.get(key.name) != key.default
    (project / "kedge.toml").write_text(f"{key.name} = {text}")
    with pytest.raises(ConfigError, match=key.name):
        settings.get(key.name)


def test_the_owners_file_is_the_owners_even_in_the_working_folder(
    kedge_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(kedge_home, 'executor = "process"')
    monkeypatch.chdir(kedge_home)
    assert settings.get("executor") == "process"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("executor = 3", "executor"),
        ('executor = ""', "executor"),
        ("sandbox.paths = '/opt'", "sandbox.paths"),
        ("sandbox.paths = [1]", "sandbox.paths"),
        ("python.download = 1", "python.download"),
        ("environment.build_timeout = true", "build_timeout"),
        ("environment.build_timeout = 0", "build_timeout"),
        ("environment.build_timeout = inf", "build_timeout"),
        ("environment.build_timeout = nan", "build_timeout"),
        ("environment.build_timeout = 2026-01-01", "build_timeout"),
        ("sandbox = 3", "sandbox"),
        ("a = ", "TOML"),
        ("a = " + "[" * 5000, "TOML"),
        ("a = 1\na = 2", "TOML"),
    ],
)
def test_odd_files_are_refused_with_place_and_hint(
    project: Path, kedge_home: Path, text: str, word: str
) -> None:
    file = own(kedge_home, text)
    with pytest.raises(ConfigError) as refused:
        settings.settings()
    assert str(refused.value.where).startswith(str(file))
    assert word in f"{refused.value.message} {refused.value.hint}"
    assert refused.value.hint


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("KEDGE_EXECUTOR", ""),
        ("KEDGE_PYTHON_DOWNLOAD", "perhaps"),
        ("KEDGE_ENVIRONMENT_BUILD_TIMEOUT", "soon"),
        ("KEDGE_ENVIRONMENT_BUILD_TIMEOUT", "-1"),
        ("KEDGE_ENVIRONMENT_BUILD_TIMEOUT", "nan"),
    ],
)
def test_odd_variables_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigError) as refused:
        settings.settings()
    assert str(refused.value.where) == variable


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("KEDGE_SANDBOX_PATHS", "/a:/b::", "sandbox.paths", ["/a", "/b"]),
        ("KEDGE_SANDBOX_PATHS", "", "sandbox.paths", []),
        ("KEDGE_PYTHON_DOWNLOAD", "NO", "python.download", False),
        ("KEDGE_PYTHON_DOWNLOAD", "1", "python.download", True),
        ("KEDGE_EXECUTOR", "process", "executor", "process"),
    ],
)
def test_variables_are_read_as_what_their_setting_is(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, name: str, value: Any
) -> None:
    monkeypatch.setenv(variable, text)
    assert settings.get(name) == value


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_settings_or_one_error(kedge_home: Path, content: bytes) -> None:
    kedge_home.mkdir(exist_ok=True)
    (kedge_home / "kedge.toml").write_bytes(content)
    try:
        found = settings.settings()
    except ConfigError as error:
        assert error.hint
    else:
        assert [one.key.name for one in found] == list(settings.KEYS)
