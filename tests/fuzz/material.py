"""What cases are made of: awkward texts, numbers and JSON, and ways to damage what was right."""

import functools
import json
from random import Random
from typing import Any, Final

NAMES: Final = (
    "a", "b", "d", "load", "load_n", "load-n", "bolt", "force", "moment", "F", "M", "list", "task",
    "_x", "x-y", "x_y", "type", "default", "on", "off", "null", "1", "3.10", "a.b", "Ａ", "а", "é",
    "e\u0301", "ﬁ", "x" * 63, "x" * 64, "", " ", "-", "class", "name", "version", "required", "$ref",
    "__proto__", "properties", "constructor", "[0]", "a[0]", "a b", "a:b", "a=b", "@", "🔩", "?", "a?",
)  # fmt: skip

TEXTS: Final = (
    "", " ", "\n", "\t", "\r\n", "\x00", "\x1b[31m", "\x7f", "\x9b31m", "\u2028", "\u202e", "\u2066",
    "\ufeff", "\ufffe", "\U0010ffff", "\u200b", "\xa0", "e\u0301", "ﬁ", "İ", "ß", "１２", "٣", "²", "½",
    "🔩", "a" * 300, "null", "true", "yes", "on", "~", "NaN", "Infinity", "-Infinity", ".inf", ".nan",
    "0", "-0", "007", "0x1F", "0o17", "1_000", "1e3", "1e400", "-1e-400", "9" * 30, "9" * 400,
    "1,5", "12 mm", "12mm", "1.5e3 kN", "-40 degF", "12 kg", "1e308 km", "12  N*mm", "12 m^2", "1 %",
    "12 mm mm", "1/2 m", "2024-02-29", "2023-02-29", "2024-05-01T12:00Z", "2024-05-01T25:00",
    "2024-05-01T12:00:00+99:99", "0000-01-01", "P1D", "PT1H30M", "P", "-P1W", "PT1.5S", "24:00",
    "@", "@@", "@@a", "@file", "./a.pdf", "/dev/null", "/etc/passwd", "..", "../..", "~", "~/a",
    "{", "}", "[", "]", '"', "'", "`", "\\", "\\u0000", "$(id)", "${HOME}", "%s", "%", "{0}", "{secret}",
    "<<", "*a", "&a", "!!str", "!", "|", ">", "#", "---", "...", "- ", ": ", "a: b", "? a", "@a", "%YAML 1.1",
    "3.12", "3.8", "3.10", "1.2.3", "1.2.3-rc.1+b", "latest", "numpy>=2", "git+https://x/y", "-e .",
)  # fmt: skip
SURROGATES: Final = ("\ud800", "a\udcffb", "\ud83d")

NUMBERS: Final = (
    0, 1, -1, 2, 3, 12, 100, 255, 1024, -0.0, 0.0, 0.5, 1.0, 1.5, -2.5, 1e-9, 1e9, 1e16, 1e22, 1e300,
    1.7976931348623157e308, 5e-324, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1,
    10**18, 10**30, 10**309, -(10**400),
)  # fmt: skip
NOT_NUMBERS: Final = (float("nan"), float("inf"), float("-inf"))


def name(random: Random) -> str:
    """A name: mostly one that could be a port's."""
    return random.choice(NAMES[:9] if random.random() < 0.8 else NAMES)


def text(random: Random, *, surrogates: bool = False) -> str:
    """A text, often several awkward ones in a row."""
    many = 1 if random.random() < 0.8 else random.randrange(4)
    parts = [random.choice(TEXTS) for _ in range(many)]
    if surrogates and random.random() < 0.05:
        parts.append(random.choice(SURROGATES))
    return "".join(parts)


def scalar(random: Random, *, hostile: bool = False) -> Any:
    """A JSON scalar; a hostile one may be NaN, or hold half a character."""
    match random.randrange(8):
        case 0:
            return None
        case 1:
            return random.random() < 0.5
        case 2 | 3:
            return random.choice(NUMBERS)
        case 4:
            return random.uniform(-1e3, 1e3)
        case 5 if hostile and random.random() < 0.3:
            return random.choice(NOT_NUMBERS)
        case _:
            return text(random, surrogates=hostile)


def value(random: Random, depth: int = 3, *, hostile: bool = False) -> Any:
    """Any JSON value; a hostile one may be nested without sense, or hold itself."""
    chance = random.random()
    if depth == 0 or chance < 0.6:
        return scalar(random, hostile=hostile)
    if hostile and chance > 0.997:
        return _endless(random)
    if chance < 0.8:
        return [value(random, depth - 1, hostile=hostile) for _ in range(random.randrange(4))]
    return {
        name(random): value(random, depth - 1, hostile=hostile) for _ in range(random.randrange(4))
    }


def _endless(random: Random) -> Any:
    if random.random() < 0.5:
        held: list[Any] = []
        held += [held, {"a": held}]
        return held
    deep: Any = 1
    for _ in range(random.choice((90, 110, 2000))):
        deep = [deep] if random.random() < 0.5 else {"a": deep}
    return deep


def pieces(source: str) -> list[str]:
    """A text cut where its tokens end: what mutation takes out, doubles and exchanges."""
    return list(_pieces(source))


@functools.lru_cache(maxsize=4096)
def _pieces(source: str) -> tuple[str, ...]:
    found: list[str] = []
    word = ""
    for character in source:
        if character.isalnum() or character == "_":
            word += character
            continue
        if word:
            found.append(word)
            word = ""
        found.append(character)
    return tuple([*found, word] if word else found)


def damaged(random: Random, source: str, words: tuple[str, ...], most: int = 4) -> str:
    """`source` after a few changes to its tokens, lines or characters; `words` are put into it."""
    parts = pieces(source)
    for _ in range(random.randrange(1, most + 1)):
        at = random.randrange(len(parts) + 1)
        match random.randrange(9):
            case 0:
                del parts[at : at + 1]
            case 1:
                del parts[at : at + random.randrange(1, 12)]
            case 2:
                parts[at:at] = [random.choice(words)]
            case 3:
                parts[at : at + 1] = [random.choice(words)]
            case 4:
                parts[at : at + 1] = [text(random)]
            case 5 if parts:
                parts[at:at] = [random.choice(parts)] * random.choice((1, 1, 2, 3, 80))
            case 6 if parts:
                start = random.randrange(len(parts))
                parts[at:at] = parts[start : start + random.randrange(1, 20)]
            case 7 if len(parts) > 1:
                other = random.randrange(len(parts))
                at = min(at, len(parts) - 1)
                parts[at], parts[other] = parts[other], parts[at]
            case _:
                parts[at:at] = [random.choice("\t \n:-[]{}\"'#&*!|>%@`,?=.()^/")]
    return "".join(parts)


def damaged_bytes(random: Random, data: bytes) -> bytes:
    """`data` after a few changes to its bytes."""
    changed = bytearray(data)
    for _ in range(random.randrange(1, 6)):
        at = random.randrange(len(changed) + 1)
        match random.randrange(5):
            case 0:
                changed[at : at + 1] = bytes([random.randrange(256)])
            case 1:
                del changed[at : at + random.randrange(1, 8)]
            case 2:
                changed[at:at] = random.choice(
                    (b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\x80", b"\r", b"\x85", b"\xe2\x80\xae")
                )  # fmt: skip
            case 3:
                del changed[at:]
            case _ if changed:
                start = random.randrange(len(changed))
                changed[at:at] = changed[start : start + random.randrange(1, 40)]
    return bytes(changed)


def changed(random: Random, data: Any, fresh: Any = None) -> Any:
    """A copy of `data`, plain data in lists and dicts, with one place of it changed.

    `fresh` makes what is put there from the random numbers; any JSON value when None.
    """
    make = fresh or value
    if random.random() < 0.2 or not isinstance(data, list | dict) or not data:
        return _other(random, data, make)
    if isinstance(data, list):
        at = random.randrange(len(data))
        return [
            changed(random, item, make) if number == at else item
            for number, item in enumerate(data)
        ]
    key = random.choice(list(data))
    return {
        name: changed(random, item, make) if name == key else item for name, item in data.items()
    }


def _other(random: Random, data: Any, make: Any) -> Any:
    if isinstance(data, dict) and data:
        key = random.choice(list(data))
        match random.randrange(4):
            case 0:
                return {name: item for name, item in data.items() if name != key}
            case 1:
                return data | {name(random): make(random)}
            case 2:
                renamed = random.choice(
                    (str(key)[:-1], f"{key}s", str(key).upper(), name(random), f"{key}\u200b")
                )
                return {renamed if known == key else known: item for known, item in data.items()}
            case _:
                return data | {key: make(random)}
    if isinstance(data, list) and data and random.random() < 0.7:
        at = random.randrange(len(data))
        return (
            data[:at] + random.choice(([], [make(random)], [data[at], data[at]])) + data[at + 1 :]
        )
    if isinstance(data, bool | int | float | str) and random.random() < 0.2:
        return random.choice((str(data), [data], {"a": data}, None))
    return make(random)


def json_text(random: Random, data: Any) -> str:
    """`data` as JSON text: in one of the ways it can be written, NaN and half characters included."""
    return json.dumps(data, ensure_ascii=random.random() < 0.5, indent=random.choice((None, 2)))
