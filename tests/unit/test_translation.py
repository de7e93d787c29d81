"""Texts that are translated when they are shown, by catalogues made here."""

import copy
import inspect
import json
import pickle
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kedge import make_translator
from kedge.translation import Text

compiled = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "catalogues"))["compiled"]

HEAD = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


@pytest.fixture(autouse=True)
def no_language(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def catalogue(place: Path, language: str, **texts: str) -> Path:
    """A catalogue of the domain `shop` in a language."""
    made = place / language / "LC_MESSAGES" / "shop.mo"
    made.parent.mkdir(parents=True)
    entries = "".join(
        f'\nmsgid "{source}"\nmsgstr "{translation}"\n' for source, translation in texts.items()
    )
    made.write_bytes(compiled(HEAD + entries))
    return made


@pytest.fixture
def translate(tmp_path: Path) -> Callable[[str], Text]:
    """The translator of a domain with French, German and Brazilian."""
    catalogue(tmp_path, "fr", cheese="fromage", egg="œuf")
    catalogue(tmp_path, "de", cheese="Käse", wine="Wein")
    catalogue(tmp_path, "pt_BR", cheese="queijo")
    return make_translator("shop", tmp_path)


@pytest.mark.parametrize(
    ("variables", "shown"),
    [
        ({}, "cheese"),
        ({"LANGUAGE": "fr"}, "fromage"),
        ({"LANG": "fr_FR.UTF-8"}, "fromage"),
        ({"LC_MESSAGES": "fr_CA@euro", "LANG": "de_DE.UTF-8"}, "fromage"),
        ({"LC_ALL": "de", "LC_MESSAGES": "fr", "LANG": "fr"}, "Käse"),
        ({"LANGUAGE": "fr", "LC_ALL": "de", "LANG": "C"}, "fromage"),
        ({"LANGUAGE": "", "LC_ALL": "", "LANG": "de"}, "Käse"),
        ({"LANGUAGE": "it:de:fr"}, "Käse"),
        ({"LANGUAGE": ":de"}, "Käse"),
        ({"LANGUAGE": "pt_BR"}, "queijo"),
        ({"LANGUAGE": "pt_PT"}, "cheese"),
        ({"LC_ALL": "C", "LANG": "fr"}, "cheese"),
        ({"LC_ALL": "C.UTF-8", "LANG": "fr"}, "cheese"),
        ({"LC_ALL": "POSIX", "LANG": "fr"}, "cheese"),
        ({"LANG": "no such language"}, "cheese"),
    ],
)
def test_the_language_is_the_one_that_gettext_would_take(
    translate: Callable[[str], Text],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    shown: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(translate("cheese")) == shown


@pytest.mark.parametrize("languages", ["en:fr", "en_GB.UTF-8:fr", "en@quot:fr"])
def test_who_prefers_english_gets_the_source_and_not_the_next_catalogue(
    translate: Callable[[str], Text], monkeypatch: pytest.MonkeyPatch, languages: str
) -> None:
    monkeypatch.setenv("LANGUAGE", languages)
    assert translate("cheese") == "cheese"


def test_an_english_catalogue_of_texts_in_another_language_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue(tmp_path, "en", fromage="cheese")
    monkeypatch.setenv("LANGUAGE", "en_GB:fr")
    assert make_translator("shop", tmp_path)("fromage") == "cheese"


def test_a_text_that_a_catalogue_lacks_is_that_of_the_next_language_or_the_source(
    translate: Callable[[str], Text], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGUAGE", "fr:de")
    assert str(translate("wine")) == "Wein"
    assert str(translate("salt")) == "salt"
    assert str(translate("")) == ""


def test_the_language_is_read_when_a_text_is_shown(
    translate: Callable[[str], Text], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = translate("egg")
    shown = []
    for language in ("fr", "en", "fr"):
        monkeypatch.setenv("LANGUAGE", language)
        shown.append(f"{text}")
    assert shown == ["œuf", "egg", "œuf"]


def test_a_text_is_used_like_any_other(
    translate: Callable[[str], Text], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGUAGE", "fr")
    cheese, egg = translate("cheese"), translate("egg")
    assert f"{cheese}, {egg:>5}, {cheese!r}" == "fromage,   œuf, 'fromage'"
    assert "%s" % cheese == "{}".format(cheese) == "fromage"  # noqa: UP031, UP032
    assert cheese == "fromage" and "fromage" == cheese and cheese == translate("cheese")  # noqa: SIM300
    assert cheese != egg and cheese != "cheese"
    assert {cheese: 1}["fromage"] == 1
    assert sorted([egg, "gruyère", cheese]) == ["fromage", "gruyère", "œuf"]
    assert (len(egg), egg.upper(), egg[0], "om" in cheese) == (3, "ŒUF", "œ", True)
    assert cheese + "!" == "fromage!" and "le " + cheese == "le fromage"
    assert bool(cheese) and not translate("")
    assert inspect.cleandoc(cheese) == "fromage"  # what click does with a help text
    assert json.dumps(str(cheese)) == '"fromage"'


def test_what_takes_nothing_but_a_str_refuses_a_text_instead_of_showing_its_source(
    translate: Callable[[str], Text],
) -> None:
    with pytest.raises(TypeError):
        json.dumps({"text": translate("cheese")})
    with pytest.raises(TypeError):
        "".join([translate("cheese")])  # type: ignore[list-item]


def test_a_copy_of_a_text_is_translated_too(
    translate: Callable[[str], Text], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = translate("cheese")
    copies = [copy.copy(text), copy.deepcopy(text), pickle.loads(pickle.dumps(text))]
    monkeypatch.setenv("LANGUAGE", "de")
    assert [str(one) for one in copies] == ["Käse"] * 3


def test_a_directory_is_found_after_the_working_directory_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue(tmp_path / "locales", "fr", cheese="fromage")
    monkeypatch.chdir(tmp_path)
    text = make_translator("shop", "locales")("cheese")
    monkeypatch.chdir("/")
    monkeypatch.setenv("LANGUAGE", "fr")
    assert text == "fromage"


@pytest.mark.parametrize("there", ["no directory", "no catalogue", "another domain"])
def test_without_a_catalogue_a_text_is_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    place = tmp_path / "locales"
    if there != "no directory":
        place.mkdir()
    if there == "another domain":
        catalogue(place, "fr", cheese="fromage")
    monkeypatch.setenv("LANGUAGE", "fr")
    assert make_translator("other", place)("cheese") == "cheese"


@pytest.mark.parametrize(
    "broken",
    [b"", b"\xde\x12\x04\x95", b"msgid", compiled(HEAD + '\nmsgid "a"\nmsgstr "b"\n')[:-3]],
    ids=["empty", "magic only", "another format", "cut off"],
)
def test_a_catalogue_that_cannot_be_read_is_told_once_and_the_source_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bytes
) -> None:
    made = catalogue(tmp_path, "fr", cheese="fromage")
    made.write_bytes(broken)
    monkeypatch.setenv("LANGUAGE", "fr")
    text = make_translator("shop", tmp_path)("cheese")
    with pytest.warns(RuntimeWarning, match=f"catalogue of shop for fr in {tmp_path}"):
        assert str(text) == "cheese"
    assert str(text) == "cheese"


def test_a_catalogue_is_read_once(
    translate: Callable[[str], Text], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGUAGE", "fr")
    assert translate("cheese") == "fromage"
    (tmp_path / "fr" / "LC_MESSAGES" / "shop.mo").unlink()
    assert translate("egg") == "œuf"


def test_gettext_is_not_imported_before_a_text_is_shown() -> None:
    code = (
        "import sys\n"
        "import kedge.runtime.command, kedge.runtime.python, kedge.contract.port_kinds\n"
        "import kedge.executor.sandbox, kedge.executor.container, kedge.target.local\n"
        "print('gettext' in sys.modules)\n"
        "str(kedge.runtime.command.CommandRuntime.kind_name)\n"
        "print('gettext' in sys.modules)\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines() == ["False", "True"]
