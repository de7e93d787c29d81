"""Package indexes as this machine's pip is told about them, said in uv's variables.

uv reads its own configuration and not pip's. A machine whose owner configured pip alone must still find
its packages, so what pip's files and `PIP_*` variables say about indexes, certificates and proxies is
handed to uv, unless uv has been told about indexes itself: then that is what the owner wants.
"""

import os
from collections.abc import Mapping
from typing import Final

_INDEX_VARIABLES: Final = (
    "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS",
)  # fmt: skip
_INDEX_SETTINGS: Final = ("index", "index-url", "extra-index-url", "find-links", "no-index")
_TRUE: Final = ("1", "true", "yes", "on", "y", "t")


def from_pip(host: Mapping[str, str]) -> dict[str, str]:
    """Variables for uv that say what pip's configuration says; `host` are the host's variables."""
    settings = _pip_settings(host)
    told = any(host.get(name) for name in _INDEX_VARIABLES) or _uv_is_configured(host)
    return _connection(settings, host) | ({} if told else _indexes(settings, host))


def options(host: Mapping[str, str]) -> list[str]:
    """Options for uv's `pip` commands that say what has no variable: that there is no index at all."""
    told = any(host.get(name) for name in _INDEX_VARIABLES) or _uv_is_configured(host)
    no_index = _pip_settings(host).get("no-index", "").lower() in _TRUE
    return ["--no-index"] if no_index and not told else []


def _indexes(settings: Mapping[str, str], host: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    if main := settings.get("index-url", "").strip():
        found["UV_DEFAULT_INDEX"] = main
    if extra := settings.get("extra-index-url", "").split():
        found["UV_INDEX"] = " ".join(extra)
        # pip looks at all indexes as one; uv stops at the first that knows the name. These indexes
        # were configured for pip's rule: with uv's, versions that pip finds would be missing.
        if not host.get("UV_INDEX_STRATEGY"):
            found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if links := settings.get("find-links", "").split():
        found["UV_FIND_LINKS"] = ",".join(links)
    if (trusted := settings.get("trusted-host", "").split()) and not host.get("UV_INSECURE_HOST"):
        found["UV_INSECURE_HOST"] = " ".join(trusted)
    if (keyring := settings.get("keyring-provider")) and not host.get("UV_KEYRING_PROVIDER"):
        found["UV_KEYRING_PROVIDER"] = "subprocess" if keyring != "disabled" else "disabled"
    return found


def _connection(settings: Mapping[str, str], host: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    if (certificate := settings.get("cert")) and not host.get("SSL_CERT_FILE"):
        found["SSL_CERT_FILE"] = os.path.expanduser(certificate)
    proxies = ("ALL_PROXY", "HTTPS_PROXY", "all_proxy", "https_proxy")
    if (proxy := settings.get("proxy")) and not any(host.get(name) for name in proxies):
        found["ALL_PROXY"] = proxy if "://" in proxy else f"http://{proxy}"
    return found


def _pip_settings(host: Mapping[str, str]) -> dict[str, str]:
    """The settings of pip by name, as its own order has them: files, later over earlier, then variables."""
    import configparser

    settings: dict[str, str] = {}
    for path in _pip_files(host):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError, OSError):
            continue  # pip itself reports its broken file; uv's own configuration may be enough
        for section in ("global", "install"):
            if parser.has_section(section):
                settings.update(
                    (name.replace("_", "-"), value) for name, value in parser.items(section)
                )
    for name, value in host.items():
        if name.startswith("PIP_") and value:
            settings[name[4:].lower().replace("_", "-")] = value
    return settings


def _pip_files(host: Mapping[str, str]) -> list[str]:
    chosen = host.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return []
    user = host.get("HOME", "")
    shared = host.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    config = host.get("XDG_CONFIG_HOME") or os.path.join(user, ".config")
    files = [os.path.join(folder, "pip", "pip.conf") for folder in reversed(shared.split(":"))]
    files.append("/etc/pip.conf")
    if os.path.isabs(user):
        files.append(os.path.join(user, ".pip", "pip.conf"))
        if os.uname().sysname == "Darwin":
            files.append(os.path.join(user, "Library", "Application Support", "pip", "pip.conf"))
    if os.path.isabs(config):
        files.append(os.path.join(config, "pip", "pip.conf"))
    return [*files, *([chosen] if chosen else [])]


def _uv_is_configured(host: Mapping[str, str]) -> bool:
    """Whether a `uv.toml` of the user or the system names indexes."""
    import tomllib

    config = host.get("XDG_CONFIG_HOME") or os.path.join(host.get("HOME", ""), ".config")
    for path in (os.path.join(config, "uv", "uv.toml"), "/etc/xdg/uv/uv.toml", "/etc/uv/uv.toml"):
        try:
            with open(path, "rb") as file:
                content = tomllib.load(file)
        except (OSError, ValueError):
            continue  # not there, or broken: uv says so itself
        tables = [content, content.get("pip", {})]
        if any(name in table for table in tables for name in _INDEX_SETTINGS):
            return True
    return False
