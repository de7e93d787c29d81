"""What uv is told about this machine: pip's indexes, its own variables, nothing of other environments."""

from pathlib import Path

import pytest

from kedge.environment import indexes, uv


@pytest.fixture
def host(tmp_path: Path) -> dict[str, str]:
    """A machine whose pip is configured by one file."""
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://one.invalid/simple\n"
        "extra-index-url =\n    https://two.invalid/simple\n    https://three.invalid/simple\n"
        "find-links = /wheels /more\ncert = ~/bundle.pem\ntrusted-host = one.invalid\n"
        "proxy = proxy.invalid:8080\n[install]\nfind_links = /install\n"
    )
    return {
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"),
        "XDG_CONFIG_HOME": str(tmp_path),
    }


def test_pips_files_reach_uv(host: dict[str, str]) -> None:
    found = indexes.from_pip(host)
    assert found["UV_DEFAULT_INDEX"] == "https://one.invalid/simple"
    assert found["UV_INDEX"] == "https://two.invalid/simple https://three.invalid/simple"
    assert found["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert found["UV_FIND_LINKS"] == "/install"
    assert found["UV_INSECURE_HOST"] == "one.invalid"
    assert found["SSL_CERT_FILE"].endswith("bundle.pem")
    assert found["ALL_PROXY"] == "http://proxy.invalid:8080"


def test_pips_variables_come_before_its_files(host: dict[str, str]) -> None:
    found = indexes.from_pip({**host, "PIP_INDEX_URL": "https://four.invalid/simple"})
    assert found["UV_DEFAULT_INDEX"] == "https://four.invalid/simple"


def test_what_uv_was_told_itself_is_what_counts(host: dict[str, str], tmp_path: Path) -> None:
    told = {**host, "UV_DEFAULT_INDEX": "https://mine.invalid/simple"}
    assert "UV_INDEX" not in indexes.from_pip(told)
    assert uv.variables(told)["UV_DEFAULT_INDEX"] == "https://mine.invalid/simple"
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv.toml").write_text('[[index]]\nurl = "https://toml.invalid/simple"\n')
    assert "UV_DEFAULT_INDEX" not in indexes.from_pip(host)


def test_no_index_is_an_option(host: dict[str, str]) -> None:
    assert indexes.options(host) == []
    assert indexes.options({**host, "PIP_NO_INDEX": "1"}) == ["--no-index"]
    assert indexes.options({**host, "PIP_NO_INDEX": "1", "UV_FIND_LINKS": "/x"}) == []


@pytest.mark.parametrize("content", ["[global", "\xff", "key = value"])
def test_a_broken_file_of_pip_is_passed_over(
    host: dict[str, str], tmp_path: Path, content: str
) -> None:
    (tmp_path / "pip.conf").write_bytes(content.encode("latin-1"))
    assert "UV_DEFAULT_INDEX" not in indexes.from_pip(host)


def test_nothing_of_other_environments_reaches_uv(host: dict[str, str]) -> None:
    dirty = {
        **host,
        "VIRTUAL_ENV": "/venv", "PYTHONPATH": "/path", "CONDA_PREFIX": "/conda", "UV_PYTHON": "3.9",
        "UV_PROJECT_ENVIRONMENT": "/venv", "SECRET_TOKEN": "x", "HTTPS_PROXY": "http://p.invalid",
        "UV_INDEX_PRIVATE_PASSWORD": "y", "UV_HTTP_TIMEOUT": "9",
    }  # fmt: skip
    found = uv.variables(dirty)
    assert {"UV_INDEX_PRIVATE_PASSWORD", "UV_HTTP_TIMEOUT", "HTTPS_PROXY", "HOME"} <= found.keys()
    assert not found.keys() & {
        "VIRTUAL_ENV", "PYTHONPATH", "CONDA_PREFIX", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT",
        "SECRET_TOKEN",
    }  # fmt: skip


def test_a_cache_that_cannot_be_linked_from_is_replaced_by_one_in_kedges_home(
    host: dict[str, str], kedge_home: Path
) -> None:
    assert "UV_CACHE_DIR" not in uv.variables(host)
    elsewhere = {**host, "XDG_CACHE_HOME": "/proc"}
    assert uv.variables(elsewhere)["UV_CACHE_DIR"] == str(kedge_home / "uv-cache")
    assert uv.variables({**elsewhere, "UV_CACHE_DIR": "/chosen"})["UV_CACHE_DIR"] == "/chosen"
