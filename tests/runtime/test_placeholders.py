"""Where placeholders are in a text, which names they may have, and what they stand for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.runtime.placeholders import Placeholder, check, fill, is_path, of_file, parse

KNOWN = ["data", "data.path", "data.name", "data.stem", "data.suffix", "n", "task.name", "task.id"]


def shown(text: str) -> str:
    """What the text says, with `<key>` where a placeholder is."""
    return "".join(part if isinstance(part, str) else f"<{part.key}>" for part in parse(text))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cp {a} {b.path}", "cp <a> <b.path>"),
        ("{a}{b}", "<a><b>"),
        ("{a-b_1.suffix}", "<a-b_1.suffix>"),
        ("{{a}}", "{a}"),
        ("{{{a}}}", "{<a>}"),
        ("{{{{a}}}}", "{{a}}"),
        ("awk '{{print}}'", "awk '{print}'"),
        ("{{ and }}", "{ and }"),
        ("{{", "{"),
        ("}}", "}"),
        ('\'{"a":{"b":{}}}\'', '\'{"a":{"b":{}}}\''),
        ('{{"a":{"b":{n}}}}', '{"a":{"b":<n>}}'),
        ("{{a,b},c}", "{{a,b},c}"),
        ("f() { if a; then { b; }; fi; }", "f() { if a; then { b; }; fi; }"),
    ],
)
def test_a_placeholder_is_a_name_in_braces_and_doubled_braces_are_text(
    text: str, says: str
) -> None:
    assert shown(text) == says


@pytest.mark.parametrize(
    "text",
    [
        "awk '{ print $1 }'", "awk '{print $1}'", "{a,b}", "{a..z}", "{}", "{ a }", "{1}", "{_a}", "{a.b.c}", "{a.}",
        "{é}", f"{{{'a' * 64}}}", "{a", "a}", "$a $(b) $((1))", "${a}", "${a:-b}", "${a:-${b}}", r"\\${a}", "$${a}",
    ],
)  # fmt: skip
def test_every_other_brace_is_text(text: str) -> None:
    assert parse(text) == [text]


def test_after_an_escaped_dollar_a_placeholder_is_one() -> None:
    assert shown(r"costs \${n}") == r"costs \$<n>"


def test_a_placeholder_knows_its_line_and_column() -> None:
    assert parse("a\n b {c}{d.e}") == [
        "a\n b ",
        Placeholder("c", None, 2, 4),
        Placeholder("d", "e", 2, 7),
    ]


@given(st.text(alphabet="{}$\\ab. \n,", max_size=30))
def test_text_comes_back_as_it_is_where_no_braces_are_side_by_side(text: str) -> None:
    text = text.replace("{{", "{").replace("}}", "}")
    if "{{" in text or "}}" in text:
        return
    parts = parse(text)
    assert "".join(p if isinstance(p, str) else f"{{{p.key}}}" for p in parts) == text


@given(st.text(alphabet="ab. $'\"\n", max_size=20).filter(lambda text: not text.endswith("$")))
def test_doubled_braces_are_text_whatever_is_in_them(text: str) -> None:
    assert parse(f"{{{{{text}}}}}") == [f"{{{text}}}"]


def test_every_unknown_name_is_told_with_its_place_and_the_nearest_one() -> None:
    problems = check(parse("cp {dta.stem} {n.path}\n{data.sufix} {n}"), KNOWN, "command")
    assert [str(problem) for problem in problems] == [
        "command:1:4: `{dta.stem}` is not declared: no input or output has this name",
        "command:1:15: `{n.path}`: `n` is a value, which has no attributes",
        "command:2:1: `{data.sufix}` is not known: there is `{data}`, `{data.name}`, `{data.path}`, "
        "`{data.stem}`, `{data.suffix}`",
    ]
    assert [(problem.hint or "").split("?")[0] for problem in problems] == [
        "did you mean `{data.stem}`",
        "did you mean `{n}`",
        "did you mean `{data.suffix}`",
    ]


def test_a_hint_says_how_the_text_itself_is_written() -> None:
    [problem] = check(parse("awk '{print}'"), KNOWN, "command")
    assert problem.hint == "for the text `{print}` itself, double its braces: `{{print}}`"
    assert check(parse("awk '{{print}}'"), KNOWN, "command") == []


def test_a_file_stands_for_its_path_and_parts_of_it() -> None:
    assert of_file("data", "/in/a.tar.gz") == {
        "data": "/in/a.tar.gz",
        "data.path": "/in/a.tar.gz",
        "data.name": "a.tar.gz",
        "data.stem": "a.tar",
        "data.suffix": ".gz",
    }


def test_no_path_begins_with_a_dash() -> None:
    assert of_file("data", "-rf")["data"] == "./-rf"


@pytest.mark.parametrize(
    ("text", "path"),
    [("{data}", True), ("{data.path}", True), ("{data.name}", False), ("{n}", False)],
)
def test_only_a_file_itself_is_a_path(text: str, path: bool) -> None:
    [placeholder] = parse(text)
    assert isinstance(placeholder, Placeholder)
    assert is_path(placeholder, KNOWN) is path


def test_an_argument_of_a_list_holds_the_value_as_it_is() -> None:
    assert fill(parse("--x={n}{{n}}"), {"n": "$(id) '{n}'"}) == "--x=$(id) '{n}'{n}"
