"""YAML as manifests read it: the 1.2 core schema, places, and refusals instead of surprises."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge.errors import ManifestError
from kedge.package.yaml_source import MAX_VALUES, read_yaml


def data(text: str):
    return read_yaml(text, "kedge.yml").data


def refusal(text: str) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        read_yaml(text, "kedge.yml")
    assert all(problem.hint for problem in caught.value.problems)
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"), ("off", "off"), ("yes", "yes"), ("no", "no"), ("y", "y"), ("n", "n"),
        ("1:30", "1:30"), ("010", 10), ("0o10", 8), ("0x1F", 31), ("+7", 7), ("-7", -7),
        ("2024-01-31", "2024-01-31"), ("1_000", "1_000"), ("0b1", "0b1"),
        ("true", True), ("True", True), ("FALSE", False), ("tRUE", "tRUE"),
        ("null", None), ("~", None), ("", None), ("Null", None), ("nULL", "nULL"), ("None", "None"),
        ("3.10", 3.1), ("1e3", 1000.0), (".5", 0.5), ("1.", 1.0), ("-.inf", -math.inf),
        (".", "."), ("1e", "1e"), ("0.1.0", "0.1.0"), ("'3.10'", "3.10"), ('"on"', "on"),
        ("!!str 3.10", "3.10"), ("!!float 3", 3.0), ("! 12", "12"), ("=", "="),
    ],
)  # fmt: skip
def test_plain_scalars_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    found = data(f"key: {text}\n")["key"]
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_read() -> None:
    assert math.isnan(data("key: .nan")["key"])


def test_keys_are_texts_whatever_they_look_like() -> None:
    assert data("on: 1\n1: 2\ntrue: 3\n3.10: 4\nnull: 5\n") == {
        "on": 1, "1": 2, "true": 3, "3.10": 4, "null": 5,
    }  # fmt: skip


def test_what_was_written_is_kept_beside_its_meaning() -> None:
    document = read_yaml("runtime:\n  version: 3.10\n", "kedge.yml")
    path = ("runtime", "version")
    assert document.data == {"runtime": {"version": 3.1}}
    assert document.written(path) == "3.10"
    assert str(document.where(path)) == "kedge.yml:2:12 (runtime.version)"
    assert str(document.where(path, key=True)) == "kedge.yml:2:3 (runtime.version)"


def test_a_missing_value_is_placed_at_its_holder() -> None:
    document = read_yaml("# a comment\na:\n  b: [1, 2]\n", "kedge.yml")
    assert str(document.where(("a", "c"))) == "kedge.yml:2:1 (a.c)"
    assert str(document.where(("a", "b", 1))) == "kedge.yml:3:10 (a.b[1])"
    assert str(document.where(("nothing",))) == "kedge.yml:2:1 (nothing)"


def test_columns_count_characters() -> None:
    document = read_yaml('{"é€𝄞": x}', "kedge.yml")
    assert document.where(("é€𝄞",)).column == 9


def test_duplicate_keys_are_all_named_with_both_lines() -> None:
    error = refusal("a: 1\nb: 2\na: 3\nc:\n  d: 1\n  d: 2\n")
    assert len(error.problems) == 2
    assert "`a` is given twice: on line 1 and on line 3" in str(error)
    assert "`d` is given twice: on line 5 and on line 6" in str(error)


def test_a_tab_is_named_as_one() -> None:
    error = refusal("a:\n\tb: 1\n")
    assert "a tab stands where YAML wants spaces" in error.message
    assert (error.where.line, error.where.column) == (2, 1)


@pytest.mark.parametrize(
    "text",
    ["a: [1", "a: b: c", "a: 'x", "- a\nb: c", "a: @x", "a: `x`", "a: %x", "a: \x00", "a: \ud7ff\x07",
     "--- a\n--- b", "a: !!python/object:os.system x", "a: !mine x", "? [a]\n: b", "? {a: 1}\n: b",
     "a: *nowhere", "a: &x [*x]", "<<: 3", "!!int a", "a: !!float x", "[" * 70 + "]" * 70,
     "a: " + "9" * 5000, "a: 0x" + "f" * 5000, "%YAML 3.0\n---\na: 1", "\x1b: 1"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place(text: str) -> None:
    error = refusal(text)
    assert error.problems[0].where.line is not None


def test_anchors_and_merges_are_written_out_with_the_places_of_their_origin() -> None:
    document = read_yaml(
        "x-base: &base\n  cpu: 1\n  pids: 2\nf:\n  <<: *base\n  pids: 3\ng: *base\n", "kedge.yml"
    )
    assert document.data["f"] == {"pids": 3, "cpu": 1}
    assert document.data["g"] == {"cpu": 1, "pids": 2}
    assert document.where(("f", "cpu")).line == 2


def test_several_merges_and_merges_of_merges() -> None:
    document = read_yaml(
        "a: &a {x: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: [*b, {x: 9, z: 3}]}\n", "kedge.yml"
    )
    assert document.data["c"] == {"x": 1, "y": 2, "z": 3}


def test_a_quoted_merge_key_is_a_key() -> None:
    assert data('a: &a {x: 1}\nb: {"<<": 3}\n')["b"] == {"<<": 3}


def test_a_bomb_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert f"{MAX_VALUES:,}" in refusal("\n".join(lines)).message


def test_a_bomb_of_merges_is_refused() -> None:
    lines = ["a0: &a0 {k0: 1}"]
    lines += [f"a{n}: &a{n} {{<<: *a{n - 1}, k{n}: 1}}" for n in range(1, 2000)]
    assert f"{MAX_VALUES:,}" in refusal("\n".join(lines)).message


def test_a_long_chain_of_aliases_is_refused_not_followed_to_the_end() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 5000)]
    refusal("\n".join(lines))


# Three characters end a line in YAML and not in JSON.
texts = st.text(st.characters(exclude_characters="\x85\u2028\u2029", exclude_categories=["Cs"]))
numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
leaves = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_json_is_read_as_itself(value: object) -> None:
    import json

    # In ASCII form, without surrogate pairs: YAML has no way to write those.
    text = json.dumps({"v": value}, ensure_ascii=True)
    if "\\ud" in text:
        text = json.dumps({"v": value}, ensure_ascii=False)
    try:
        document = read_yaml(text, "kedge.yml")
    except ManifestError as error:
        # Characters that YAML does not allow in any form without an escape
        assert "character" in error.message
    else:
        assert document.data == {"v": value}


@settings(max_examples=300)
@given(st.text(alphabet=st.sampled_from("ab:-?[]{},&*!|>'\"%@`#\n\t 01.~<\\\x00é"), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        document = read_yaml(text, "kedge.yml")
    except ManifestError as error:
        assert all(problem.hint and problem.where for problem in error.problems)
    else:
        assert () in document.values or document.data is None
