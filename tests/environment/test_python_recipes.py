"""What a Python image is made by: what decides its content, and the Dockerfile."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge import digest
from kedge.environment.interpreters import Interpreter
from kedge.environment.python_recipe import Recipe, dockerfile, in_their_terms, readable
from kedge.errors import EnvironmentFailed
from kedge.package.dockerfile import instructions

INSIDE = Interpreter(
    path="/usr/bin/python3.12",
    version="3.12.1",
    implementation="cpython",
    cache_tag="cpython-312",
    magic="cb0d0d0a",
    platform="linux-x86_64",
    base_prefix="/usr",
    stdlib="/usr/lib/python3.12",
    purelib="lib/python3.12/site-packages",
    visible=(),
    identity=(0, 0, 0),
)
PLAIN = Recipe(base="python:3.12-slim", minor="3.12")


def named(**given: object) -> str:
    return digest.of_json(Recipe(base="a", minor="3.12", **given).decides())  # type: ignore[arg-type]


def text(recipe: Recipe, sources: tuple[str, ...] = (), compiled_before: bool = True) -> str:
    return dockerfile(recipe, INSIDE, sources=sources, compiled_before=compiled_before)


def test_what_is_divided_otherwise_is_another_image() -> None:
    assert named(commands=("ab", "c")) != named(commands=("a", "bc"))
    assert named(system=("ab", "c")) != named(system=("a", "bc"))
    assert named(system=("a",)) != named(commands=("a",))
    assert named(system=("a",), commands=("b",)) != named(system=("b",), commands=("a",))
    assert named() != named(is_declared=True)


TEXTS = st.lists(st.text("ab ", min_size=1, max_size=3), max_size=4).map(tuple)


@given(one=TEXTS, other=TEXTS)
def test_the_order_of_commands_has_meaning_and_that_of_debian_packages_has_none(
    one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    assert (named(commands=one) == named(commands=other)) == (one == other)
    assert (named(system=one) == named(system=other)) == (set(one) == set(other))


def test_debian_packages_come_first_then_python_packages_then_commands() -> None:
    recipe = Recipe("b:1", "3.12", system=("zlib1g", "gcc", "gcc"), commands=("make", "ls"))
    words = [one.word for one in instructions(text(recipe, ("docopt",), compiled_before=False))]
    assert words == [
        *("FROM", "USER", "RUN", "COPY", "ENV", "USER", "COPY", "RUN", "USER", "RUN"),
        *("USER", "COPY", "RUN", "COPY", "RUN"),
    ]
    assert " gcc zlib1g " in text(recipe)
    assert text(PLAIN) == (
        "FROM python:3.12-slim\nCOPY environment /opt/kedge/environment\n"
        "ENV PATH=/opt/kedge/environment/bin:$PATH\n"
    )


@given(commands=st.lists(st.text("a \\\"\n$#`<é'", min_size=1), max_size=4).map(tuple))
def test_nothing_of_a_command_is_the_dockerfiles(commands: tuple[str, ...]) -> None:
    same = tuple("true" for _ in commands)
    assert text(Recipe("b:1", "3.12", commands=commands)) == text(
        Recipe("b:1", "3.12", commands=same)
    )


STEP = 'step 5 of 6: RUN ["/bin/sh", "-e", "/opt/kedge/commands/2"]'


def test_what_is_told_of_a_build_has_a_commands_own_words() -> None:
    recipe = Recipe("b:1", "3.12", commands=("make", "cd /opt\nls"))
    assert readable(STEP, recipe) == "step 5 of 6: cd /opt…"
    assert readable(STEP, PLAIN) == STEP
    assert readable("step 1 of 6: FROM b:1", recipe) == "step 1 of 6: FROM b:1"


@pytest.mark.parametrize(
    ("wrote", "message"),
    [
        (["E: Unable to locate package a"], "no Debian package `a`"),
        (["E: Unable to locate package a", "E: Unable to locate package b"], "`a`, `b`"),
        (["E: Package 'a' has no installation candidate"], "`a`"),
        (["E: Version '9' for 'a' was not found"], "`a`"),
        (["/bin/sh: 1: apt-get: not found"], "has no apt-get"),
        (["W: x", "E: Failed to fetch y", "E: Some failed"], "Failed to fetch y"),
        ([], "no reason given"),
    ],
)
def test_what_apt_says_is_told_of_the_package(wrote: list[str], message: str) -> None:
    recipe = Recipe("b:1", "3.12", system=("a", "b"))
    evidence = {
        "said": wrote,
        "wrote": wrote,
        "instruction": "RUN apt-get update && apt-get install",
    }
    told = in_their_terms(EnvironmentFailed("x", evidence=evidence), recipe, ())
    assert message in told.message and "b:1" in told.message
    assert told.where is not None and told.where.path == "runtime.system"


def test_every_command_is_found_again_in_what_builders_show() -> None:
    recipe = Recipe("b:1", "3.12", commands=("make", "ls"))
    shown = [one.text for one in instructions(text(recipe)) if one.word == "RUN"]
    for number, each in enumerate(shown):
        plain = re.sub(r'[][",]', "", each)
        for said in (f"RUN {each}", f"RUN {plain}"):
            evidence = {"wrote": ["oh"], "instruction": said}
            told = in_their_terms(EnvironmentFailed("x", evidence=evidence), recipe, ())
            assert str(told.where) == f"runtime.commands[{number}]"
            assert told.message.endswith("failed in the image: oh")
            assert told.hint is not None and "oh" not in told.hint
