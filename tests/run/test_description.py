"""A compiled package as data: it comes back from JSON as it was, and answers for its functions."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.errors import ManifestError, UnknownName
from kedge.run.description import Description, Function

TEXTS = st.text(max_size=8)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=3)
FUNCTIONS = st.builds(
    Function,
    name=TEXTS,
    handler=st.none() | TEXTS,
    description=TEXTS,
    inputs=OBJECTS,
    outputs=OBJECTS,
    resources=OBJECTS,
    network=st.booleans(),
    env=OBJECTS,
    convert=st.lists(TEXTS, max_size=3).map(tuple),
    where=st.none() | TEXTS,
    problems=st.lists(st.dictionaries(TEXTS, TEXTS, max_size=2), max_size=2).map(tuple),
    warnings=st.lists(TEXTS, max_size=2).map(tuple),
)
DESCRIPTIONS = st.builds(
    Description,
    name=TEXTS,
    version=st.none() | TEXTS,
    description=TEXTS,
    runtime=OBJECTS,
    functions=st.lists(FUNCTIONS, max_size=3).map(lambda found: {one.name: one for one in found}),
    resources=OBJECTS,
    warnings=st.lists(TEXTS, max_size=2).map(tuple),
)


@given(DESCRIPTIONS)
def test_a_description_comes_back_from_json_as_it_was(description: Description) -> None:
    written = json.dumps(description.to_json())
    assert Description.from_json(json.loads(written)) == description


def package(*names: str, **facts: Any) -> Description:
    """A package with these functions."""
    functions = {name: Function(name, "m:f", "", {}, {}, **facts) for name in names}
    return Description("bolts", None, "", {"kind": "python"}, functions)


def test_the_only_function_needs_no_name() -> None:
    assert package("size").function(None).name == "size"
    with pytest.raises(UnknownName, match="2 functions") as refused:
        package("size", "mass").function(None)
    assert refused.value.hint == "name one of: size, mass"


def test_a_misspelt_function_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName) as refused:
        package("size", "mass").function("sise")
    assert refused.value.hint == "did you mean `size`?"
    with pytest.raises(UnknownName) as refused:
        package("size", "mass").function("zzz")
    assert refused.value.hint == "it has: size, mass"


def test_a_function_with_problems_cannot_be_had() -> None:
    problems = ({"message": "it is a class", "hint": "wrap it"},)
    with pytest.raises(ManifestError, match="it is a class") as refused:
        package("size", problems=problems, where="kedge.yml:4:3").function("size")
    assert str(refused.value.where) == "kedge.yml:4:3 (m:f)"
