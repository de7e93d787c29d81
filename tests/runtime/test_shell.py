"""Values in a command of the shell arrive as data, in every place where one may stand; no other is allowed."""

import os
import re
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from kedge.errors import InputError, TaskError
from kedge.runtime import shell
from kedge.runtime.shell_places import MARK, find_places

KNOWN = {"x", "y", "file", "file.path", "file.name"}

# Each is how /bin/sh may be found: as dash, and as bash, which is called sh on some systems.
SHELLS = [["/bin/sh"], *([["/bin/bash", "--posix"]] if shutil.which("/bin/bash") else [])]

# A program of its own, which writes its arguments to descriptor 3 (`prepared`) with a NUL after each.
SHOW = "/usr/bin/printf '%s\\0'"

HOSTILE = [
    "", " ", "a b", "'", '"', "'\"'\"'", "\\", "\\\\", "a\\", "$(touch pwned)", "`touch pwned`", "${x}", "$x",
    "; touch pwned #", "\ntouch pwned\n", "x\n", "\n\n", "& touch pwned &", "| touch pwned", "> pwned", "'; touch pwned; '",
    '"; touch pwned; "', "') touch pwned; ('", ")", "}", "*", "?", "[a-z]*", "~", "~root", "{a,b}", "!!", "#", "-", "--", "-rf",
    "-c", "=", "A=1", "\r", "\t", "a\r\nb", "\x01\x7f\x81", "é\u2028\U0001f600", "\udc81\udcff", "\x1b[31m", "EOF",
    "a[$(touch pwned)]", "$((1+1))", "esac", "%s%n",
]  # fmt: skip

values = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(alphabet="ab '\"\\$`(){};&|<>*?[]~!#=-\n\r\t%\x01\x7fé\udc81\udcc3", max_size=12),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
)


def prepared(template: str, known: Collection[str] = KNOWN) -> shell.ShellCommand:
    return shell.prepare(f"exec 3>&1 >/dev/null\n{template}", known)


def run(
    sh: list[str], command: shell.ShellCommand, given: dict[str, str], folder: Path
) -> list[bytes]:
    """What SHOW was given when the shell `sh` ran the command; nothing was written into the folder."""
    _, *arguments = shell.argv(command, given)
    ran = subprocess.run(
        [*sh, *arguments], cwd=folder, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}, stdin=subprocess.DEVNULL, capture_output=True
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, b""), command.text
    assert os.listdir(folder) == []
    return ran.stdout.split(b"\0")[:-1]


# Every place, by hand

PLACES = [
    "{x}", '"{x}"', "'{x}'", '"$({show} {x} >&3)"{x}', "$({show} \"{x}\" '{x}' >&3)\"{x}\"",
    '"$({show} "$({show} \'{x}\' >&3){x}" >&3)"{x}', '"$({show} "a" "{x}" >&3)$({show} {x} >&3)"{x}',
]  # fmt: skip


@pytest.mark.parametrize("sh", SHELLS, ids=lambda sh: sh[0])
@pytest.mark.parametrize("place", PLACES)
def test_each_hostile_value_arrives_as_one_argument(
    sh: list[str], place: str, tmp_path: Path
) -> None:
    names = [f"v{number}" for number in range(len(HOSTILE))]  # all but the largest, in one shell
    text = "\n".join(
        f"{SHOW} {place.replace('{x}', f'{{{name}}}').replace('{show}', SHOW)} >&3"
        for name in names
    )
    expected = [os.fsencode(value) for value in HOSTILE for _ in range(place.count("{x}"))]
    given = dict(zip(names, HOSTILE, strict=True))
    shown = run(sh, prepared(text, names), given, tmp_path)
    assert [part for part in shown if part != b"a"] == [part for part in expected if part != b"a"]


# Every place, from a grammar: a template, and what is shown when it runs

type Shown = list[str]


class Written:
    """A piece of a template: its text, what it adds to its word, what is shown before that."""

    def __init__(self, text: str, adds: str = "", before: Shown | None = None) -> None:
        self.text = text
        self.adds = adds
        self.before = before or []


def joined(pieces: list[Written], opening: str = "", closing: str = "") -> Written:
    text = opening + "".join(piece.text for piece in pieces) + closing
    before = [part for piece in pieces for part in piece.before]
    return Written(text, "".join(piece.adds for piece in pieces), before)


X, Y = "<the value of x>", "<the value of y>"
place = st.sampled_from([Written("{x}", X), Written("{y}", Y)])
plain = st.sampled_from(
    [Written(text, text) for text in ("a", "--x=", ".b", "/", "1", "%", "é", "a=", "x}")]
)
in_single = st.sampled_from(
    [Written(text, text) for text in ('"', "$(", "`", "#", " ", "\\", "\n", ";")]
)
in_double = st.sampled_from(
    [Written(text, text) for text in ("'", "#", " ", "\n", ";", "(", ")", "<<E", "$ ", "{ a }")]
    + [Written(r"\"", '"'), Written(r"\$", "$"), Written("\\\\", "\\"), Written(r"\`", "`"), Written("${u}")]
    + [Written("${u:-a b}", "a b"), Written('${u:-"}"}', "}"), Written("$((1 + (2)))", "3"), Written("`echo a`", "a")]
)  # fmt: skip
in_bare = st.sampled_from(
    [Written(r"\'", "'"), Written(r"\"", '"'), Written("\\ ", " "), Written("\\\n"), Written("${u}"), Written("${u#'}'}"),
     Written(r"\$", "$"), Written("a#", "a#"), Written("$((2))", "2"), Written("`echo b`", "b"), Written("''")]
)  # fmt: skip


def words_of(statement: st.SearchStrategy[Written]) -> st.SearchStrategy[Written]:
    substituted = statement.map(lambda made: Written(f"$( {made.text}\n)", "", made.before))
    single = st.lists(place | plain | in_single, max_size=4).map(
        lambda made: joined(made, "'", "'")
    )
    double = st.lists(place | plain | in_double | substituted, max_size=4).map(
        lambda made: joined(made, '"', '"')
    )
    pieces = st.lists(place | plain | single | double | in_bare | substituted, max_size=3)
    # A word that begins with a quote is one even when nothing is in it, and begins no comment.
    return st.tuples(single | double, pieces).map(lambda made: joined([made[0], *made[1]])) | place


def shows(words: list[Written]) -> Written:
    before = [part for word in words for part in word.before]
    text = " ".join([SHOW, *(word.text for word in words), ">&3"])
    return Written(text, "", before + [word.adds for word in words])


def statements_of(statement: st.SearchStrategy[Written]) -> st.SearchStrategy[Written]:
    word = words_of(statement)
    command = st.lists(word, min_size=1, max_size=3).map(shows)
    two = st.tuples(statement | command, statement | command)

    def around(form: str) -> st.SearchStrategy[Written]:
        return two.map(
            lambda made: Written(
                form.replace("ONE", made[0].text).replace("TWO", made[1].text),
                "",
                made[0].before + made[1].before,
            )
        )

    def with_word(form: str) -> st.SearchStrategy[Written]:
        return st.tuples(word, command).map(
            lambda made: Written(
                form.replace("WORD", made[0].text)
                .replace("ONE", made[1].text)
                .replace("SHOW", SHOW),
                "",
                made[0].before + [made[0].adds] * ("SHOW" in form) + made[1].before,
            )
        )

    forms = [
        "ONE; TWO",
        "ONE\nTWO",
        "ONE &&\nTWO",
        "{ ONE\nTWO\n}",
        "( ONE;TWO)",
        "! { ONE\n! true; } && TWO",
        "f() { ONE\n}; f\nTWO",
    ]
    forms += [
        "if ONE; then TWO; fi",
        "if ONE\nthen TWO\nelse a; fi",
        "for i in a; do ONE; done;TWO",
        "while ONE; do TWO; break; done",
    ]
    forms += [
        "case a in\nb) echo;; (a|c) ONE;; esac\nTWO",
        "ONE; : <<'E'\nit's \"$(\nE\nTWO",
        "ONE # it's \"$( `\nTWO",
    ]
    forms += [
        ": <<-E\n\t'$u\n\tE\nONE; TWO",
        "ONE | cat; TWO",
        "a=`echo b`; ONE; TWO",
        "set -- 'a b' c; ONE; TWO",
    ]
    with_words = [
        'a=WORD; SHOW "$a" >&3; ONE',
        "SHOW WORD >&3; a='{x} b' ONE",
        'for i in WORD; do SHOW "$i" >&3; ONE; done',
        "case WORD in *) ONE; esac",
    ]
    with_words += [
        'export A=WORD; SHOW "$A" >&3; ONE',
        "env A=WORD true; ONE",
        "[ a = bWORD ] || ONE",
        "timeout 9 true WORD; ONE",
    ]
    return st.one_of(command, *map(around, forms), *map(with_word, with_words))


templates = st.recursive(st.just(shows([Written("{x}", X)])), statements_of, max_leaves=6)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of the grammar
@pytest.mark.parametrize("sh", SHELLS, ids=lambda sh: sh[0])
@settings(max_examples=80, deadline=None, suppress_health_check=[*HealthCheck])
@given(template=templates, x=values, y=values)
def test_values_arrive_in_whatever_template_they_stand(
    sh: list[str], template: Written, x: str, y: str, tmp_path: Path
) -> None:
    note(template.text)
    command = prepared(template.text)
    expected = [os.fsencode(part.replace(X, x).replace(Y, y)) for part in template.before]
    assert run(sh, command, {"x": x, "y": y}, tmp_path) == expected


# Places that no value may have

UNSAFE = [
    # the first word of a command
    "{x}", '"{x}" a', "'{x}'", "{x}/bin/tool", "a | {x}", "a && {x}", "a || {x}", "a; {x}", "a & {x}", "a\n{x}", "( {x} )", "{ {x}; }",
    "! {x}", "if {x}; then a; fi", "if a; then {x}; fi", "while {x}; do a; done", "until a; do {x}; done", "if a; then b; else {x}; fi",
    "A=1 {x}", "A={y} {x}", ">{y} {x}", "2>&1 {x}", "time {x}", "env {x}", "env A=1 -u B {x}", "env -i A=1 {x}", "sudo {x}", "sudo -u bob {x}",
    "sudo A=1 {x}", "exec {x}", "nohup {x}", "timeout 5 {x}", "timeout {x} a", "timeout -k 1 5 {x}", "xargs {x}", "xargs -n 1 {x}", "nice -n 5 {x}",
    "command {x}", "command -- {x}", "nice -n $N a {x}", "timeout $T a {x}", "$TOOL {x}", "$(which a) {x}", "`a` {x}", "{x}() { a; }", '"A"={x}',
    "find . -exec {x} \\;", "f() { {x}; }", "case a in a) {x};; esac", "[s]h -c {x}", "{sh,-c} {x}",
    # code of the shell or of another interpreter
    "sh -c {x}", "sh -c 'echo {x}'", "bash -lc {x}", "sh -c 'echo \"$1\"' sh {x}", "/bin/sh -c {x}", "\\sh -c {x}", "s'h' -c {x}", "sh {x}", "sh -- {x}",
    "sh +x {x}", "sh - {x}", "sh -s {x}", "eval {x}", "eval a {x}", ". {x}", "source {x}", "trap {x} EXIT", "ssh host {x}", "ssh {x}",
    "xargs sh -c {x}", "env A=1 sh -c {x}", "sudo nice sh -c {x}", "find . -exec sh -c {x} \\;", "docker run image sh -c {x}", "a | sshpass ssh b {x}",
    "python -c {x}", "python3.12 -c {x}", "python {x}", "python -W a {x}", "perl -e {x}", "perl -ne {x} a", "ruby -e {x}", "node -e {x}",
    "awk {x} a", "awk '{{ print \"'{x}'\" }}' a", "awk -f {x}", "sed {x} a", "sed {file.path}", "sed s/{x}/a/", "sed -e {x}", "sed -e a -e {x}", "sed -e{x}",
    "sed s/a/b/ {x}", "jq .{x}", "su -c {x}", "watch {x}", "parallel {x}", "make {x}", "alias a={x}", "let {x}", "python -m {x}", "R -e {x}", "matlab -batch {x}", "unshare {x}", "npx sh -c {x}",
    # names of the shell, and numbers that it evaluates
    "read {x}", "unset {x}", "export {x}", "readonly {x}", "local -i a={x}", "declare -i a={x}", "typeset {x}", "printf -v {x} a", "printf {x} a",
    "[ -v {x} ]", "test {x} {y}", "set {x}", "set -{x}", "PS4={x}", "IFS={x} a", "env PS4={x} a", "RANDOM={x}", "a[{x}]=1", "for {x} in a; do b; done",
    "a >&{x}", "a <&{x}", "echo $(( {x} ))", "echo $((1 + ({x})))", 'echo "$(({x}))"', "(( {x} ))", "((a = {x}))", "[[ a -eq {x} ]]", "[[ a && b -eq {x} ]]",
    "echo $[{x}]", "a=([{x}]=1)", "a=(b {x})",
    # places that are not what they seem
    "a `b {x}`", 'a "`b {x}`"', "a # {x}", "# '\na # {x}", "a;# {x}", "a ${b:-{x}}", 'a "${b:-{x}}"', "a ${b#{x}}", 'a "${b:-$(c {x})}"', "a ${{x}}",
    "a <<E\n{x}\nE", "a <<'E'\n{x}\nE", "a <<-E\n\t{x}\n\tE", "a <<{x}\nE", "sh <<< {x}", "a <<E b <<F\nE\n{x}\nF", "a <<E\n  E\n{x}\nE", "a <<E\n$(\nE\n) {x}",
    "case a in {x}) b;; esac", "case a in b|'{x}') c;; esac", "a \\{x}", 'a "\\{x}"', "a \\\\\\{x}",
    # what shells do not read alike, or not at all
    "a $'b\\' {x}", 'a $"b" {x}', "a &> b {x}", "a <(b {x})", "function f { a {x}; }",
    "a $\\\n{x}", 'a "$\\\n{x}"', "a <\\\n<E {x}\n", "case a in b {x}", "a ${ b {x}; }", "a " + "$(b " * 60 + "{x}" + ")" * 60,
]  # fmt: skip

AROUND = [
    "{}",
    "a\n{}\n",
    "a && {{ {}\n}}",
    'a "$( {}\n)"',
    "case a in b) {}\n;; esac",
    "cat <<'E'\n'\nE\n{}\n",
]


@pytest.mark.parametrize("template", UNSAFE)
def test_a_place_that_cannot_be_made_safe_is_refused_wherever_it_is(template: str) -> None:
    for around in AROUND:
        with pytest.raises(TaskError) as raised:
            shell.prepare(around.format(template), KNOWN)
        assert all("`{" in problem.message for problem in raised.value.problems)
        assert any("as a list" in (problem.hint or "") for problem in raised.value.problems)


@pytest.mark.parametrize(
    "template",
    [
        "cp {file.path} {x}.bak", "awk '{print $1}' {file}", "awk '{{print}}' {file.path} > {y}", "awk -v a={x} '{{print a}}' {file}",
        "sed -n -e s/a/b/ {file}", "sed s/a/b/ -- {x}", "python3 {file.path} {x}", "python -m tool {x}", "sh ./run.sh {x}", "sh -eu {file.path} {x}",
        "timeout -k 5 10 tool {x}", "env A={x} tool {y}", "sudo -u bob cp {x} {y}", "xargs -0 -n1 tool {x}", "find {file} -name {x} -exec cp {{}} {y} \\;",
        "a 2>&1 >>{x} <{file}", "{ a {x}; } > {y}", "[ -s {file} ] && test {x} = {y}", "set -- {x}", "printf '%s' {x}", "printf 'a {x}'",
        "docker run image tool {x}", "mpirun -np {x} tool {y}", "jq --arg a {x} .b {file}", "a ${b:-${c}} {x}", "a $((1 << 2)) {x}", "a=$(b {x}) c {y}",
        "a <<'E' > {x}\n`$(${\nE\nb {y}", "for a in {x} {y}\ndo b {x}; done", "$HOME/bin/tool {x}", "to\\\nol {x}", "sed s/a/b/ - {file}",
    ],
)  # fmt: skip
def test_what_people_write_is_allowed(template: str) -> None:
    shell.prepare(template, KNOWN)


@pytest.mark.parametrize("template", ["a 'b {x}", 'a "b {x}', "a ${b {x}", "a `b {x}", "a ) {x}"])
def test_a_place_where_something_is_not_closed_is_refused(template: str) -> None:
    with pytest.raises(TaskError):
        shell.prepare(template, KNOWN)


def test_everything_that_is_wrong_is_told_at_once_with_its_place() -> None:
    with pytest.raises(TaskError) as raised:
        shell.prepare("cp {z} {x}\n  eval {x} # {y}", KNOWN)
    assert [str(problem) for problem in raised.value.problems] == [
        "command:1:4: `{z}` is not declared: no input or output has this name",
        "command:2:8: `{x}` is an argument of `eval`, which may read it as code",
        "command:2:14: `{y}` stands in a comment",
    ]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("a <<E\n{x}\nE", "stands in a here-document"),
        ("a `b {x}`", "stands in backquotes"),
        ("a $((1 + {x}))", "stands in `$((…))`"),
        ("a ${b:-{x}}", "stands in `${…}`"),
        ("a # {x}", "stands in a comment"),
        ("a | {x}", "names the command to run"),
        ("xargs -n1 sh -c {x}", "is an argument of `sh`, which may read it as code"),
        ("$A {x}", "is given to a command that is not known before it runs"),
        ("sed s/a/b/ {x}", "may begin with `-`, which `sed` would read as an option: put `--` before it"),
        ("[[ a = b ]] && c {x}", "stands after `[[`, which not every /bin/sh has"),
    ],
)  # fmt: skip
def test_a_refusal_says_why(template: str, reason: str) -> None:
    with pytest.raises(TaskError, match=re.escape(f"`{{x}}` {reason}")):
        shell.prepare(template, KNOWN)


@given(st.text(alphabet="\0\0\0 \"'\\$`(){}[];&|<>\n#=!acdeinosw", max_size=40))
def test_any_text_can_be_read(text: str) -> None:
    stands = find_places(text, [False] * text.count(MARK))
    assert len(stands) == text.count(MARK)


# What is given to the shell


def test_a_command_without_values_is_left_as_it_is() -> None:
    assert shell.argv(shell.prepare("echo $1 {{x}}", KNOWN), {}) == ["/bin/sh", "-c", "echo $1 {x}"]


def test_a_command_that_begins_with_a_dash_is_no_option() -> None:
    assert shell.prepare("-x", KNOWN).text == " -x"


def test_a_value_is_one_argument_however_often_it_is_used(tmp_path: Path) -> None:
    command = prepared(f'{SHOW} {{x}} {{y}} {{x}} "$#" >&3')
    assert len(shell.argv(command, {"x": "a", "y": "b"})) == 3 + len(["sh", "a", "b"])
    assert run(["/bin/sh"], command, {"x": "a", "y": "b"}, tmp_path) == [b"a", b"b", b"a", b"0"]


def test_more_than_nine_values_arrive(tmp_path: Path) -> None:
    names = [f"v{number}" for number in range(12)]
    command = prepared(f"{SHOW} {' '.join(f'{{{name}}}' for name in names)} >&3", names)
    shown = run(["/bin/sh"], command, {name: name for name in names}, tmp_path)
    assert shown == [name.encode() for name in names]


def test_as_many_values_as_are_allowed_can_be_given(tmp_path: Path) -> None:
    names = [f"v{number}" for number in range(shell.TOTAL_LIMIT // shell.VALUE_LIMIT)]
    command = prepared(
        f'for a in {" ".join(f"{{{name}}}" for name in names)}; do {SHOW} "${{#a}}" >&3; done',
        names,
    )
    shown = run(["/bin/sh"], command, dict.fromkeys(names, "x" * shell.VALUE_LIMIT), tmp_path)
    assert shown == [b"65536"] * len(names)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("a\0b", "NUL"),
        ("é" * (shell.VALUE_LIMIT // 2) + "x", "65537 bytes"),
        ("\ud800", "surrogate"),
    ],
)
def test_a_value_that_cannot_be_an_argument_is_refused(value: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"the value of `{{x}}` .*{reason}") as raised:
        shell.argv(shell.prepare("a {x}", KNOWN), {"x": value})
    assert "file" in str(raised.value.hint)


def test_values_that_are_too_large_together_are_refused() -> None:
    names = [f"v{number}" for number in range(17)]
    command = shell.prepare("a " + " ".join(f"{{{name}}}" for name in names), names)
    with pytest.raises(InputError, match="together"):
        shell.argv(command, dict.fromkeys(names, "x" * shell.VALUE_LIMIT))


@pytest.mark.parametrize(("template", "reason"), [("a\0 {x}", "NUL"), ("a" * 131072, "131071")])
def test_a_command_that_cannot_be_an_argument_is_refused(template: str, reason: str) -> None:
    with pytest.raises(TaskError, match=reason):
        shell.prepare(template, KNOWN)
