"""Texts of kinds in the language of whoever reads them.

    _ = make_translator("kedge_sample", Path(__file__).parent / "locales")

    class WordsRuntime(Runtime[Process]):
        kind = "words"
        kind_description = _("Counts the words of a text.")

The language is looked for when a text is shown, not when it is made: in LANGUAGE, LC_ALL, LC_MESSAGES and
LANG, as gettext does. Its catalogue is `LANGUAGE/LC_MESSAGES/DOMAIN.mo` in the directory. Where there is
none, or where it lacks the text, the text is shown as it stands in the source.
"""

import os
from collections import UserString
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

_VARIABLES: Final = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
_CATALOGUES: Final = 64  # kept at once: one a plug-in and language


class Text(UserString):
    """A text that is translated whenever it is shown, compared or used as a text in any other way.

    It is no `str`, since C code takes the characters of one as they are, whatever its class says. What takes
    nothing but a `str`, such as `json` and `str.join`, refuses it instead of showing another language:
    give them `str(text)`. What is made of a text (a slice, a sum) is in the language of that moment.
    """

    def __init__(self, source: object, domain: str = "", directory: str = "") -> None:
        self._made = (str(source), domain, directory)

    @property
    def data(self) -> str:  # type: ignore[override]
        """The text as it is to be shown now."""
        source, domain, directory = self._made
        if not source or not domain:  # gettext's answer to an empty text is the catalogue's head
            return source
        return _catalogue(domain, directory, _languages())(source)

    def __format__(self, spec: str) -> str:
        return format(self.data, spec)

    def __reduce__(self) -> tuple[Any, ...]:
        return Text, self._made


def make_translator(domain: str, directory: str | os.PathLike[str]) -> Callable[[str], Text]:
    """What marks texts for translation, by the catalogues that a distribution brings; to be named `_`.

    Args:
        domain: the name of its catalogues, such as that of its package.
        directory: where they are, each as `fr/LC_MESSAGES/DOMAIN.mo`. It need not be there.

    >>> from kedge import make_translator
    >>> _ = make_translator("kedge_sample", "/no/such/folder")
    >>> print(_("Counts the words of a text."))
    Counts the words of a text.
    """
    place = os.path.abspath(directory)
    return lambda source: Text(source, domain, place)


def _languages() -> tuple[str, ...]:
    """The languages that are asked for, the best first, none after English: texts are in it as they are."""
    given = next(filter(None, map(os.environ.get, _VARIABLES)), "")
    found: list[str] = []
    for language in given.split(":"):
        found.append(language)
        if language[:2] == "en" and not language[2:3].isalpha():
            break
    return tuple(found)


@lru_cache(_CATALOGUES)
def _catalogue(domain: str, directory: str, languages: tuple[str, ...]) -> Callable[[str], str]:
    from gettext import translation  # it imports `locale`, which takes longer than all of this

    try:
        return translation(domain, directory, languages, fallback=True).gettext
    except Exception as error:  # noqa: BLE001 - a file that is no catalogue fails in a dozen ways
        import warnings

        warnings.warn(
            f"a catalogue of {domain} for {':'.join(languages)} in {directory} cannot be read"
            f" ({type(error).__name__}: {error}); its texts are shown as they are in the source",
            RuntimeWarning,
            stacklevel=2,
        )
        return str


_ = make_translator("kedge", os.path.join(os.path.dirname(__file__), "locales"))
