"""Which words of a simple command may hold values: those that its program takes as data.

Not the command's name, and nothing that a program reads as code: programs of another interpreter, names
of variables, commands that a command runs. What is known of programs is in the tables below; an option
that a table does not have is a doubt, and what follows it is refused. Any other program gets its arguments
exactly as they are; what it makes of them, and any program of what is piped into it, is its own matter.
"""

import re
from collections.abc import Collection, Sequence
from enum import Enum
from itertools import pairwise
from typing import Final

from kedge.data import Data

MARK: Final = "\0"  # stands for a value: no shell text has a NUL of its own
ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=", re.ASCII)
EXPANSION: Final = "\ufdd0"  # stands for what the shell puts there (a noncharacter of Unicode)


class Word(Data):
    """A word without its quotes, and where in the text its MARKs are.

    `quoted`: whether anything in it was quoted; `assigns`: whether it begins as an assignment does.
    """

    text: str
    marks: tuple[int, ...]
    quoted: bool
    assigns: bool


class _Takes(Enum):
    """What follows the options and first operands of a program."""

    COMMAND = "the command that it runs"
    ANY = "data: no option is read any more"
    OPERANDS = "data, among which options are still read"


class _Form(Data):
    """How a program reads its arguments.

    `options` maps each to how many values it takes, or to _CODE. Of its first `operands` none may be a
    value, except a path where the program is a `script`: a file that it runs.
    """

    options: dict[str, int]
    operands: int
    takes: _Takes
    script: bool = False


_CODE: Final = -1  # the option's value is the program, in place of the operand


def _form(options: str, operands: int, takes: _Takes, *, script: bool = False) -> _Form:
    """`-n -k: -f!`: an option without a value, one with, one whose value is the program."""
    return _Form(
        {
            option.rstrip(":!"): _CODE if option.endswith("!") else option.count(":")
            for option in options.split()
        },
        operands,
        takes,
        script,
    )


_SHELL: Final = _form("-e -u -x -f -o:", 1, _Takes.ANY, script=True)
_SCRIPT: Final = _form("", 1, _Takes.ANY, script=True)
_PYTHON: Final = _form("-u -B -O -I -E -s -S -b -q -m -W: -X:", 1, _Takes.ANY, script=True)
_AWK: Final = _form("-F: -v: -f!", 1, _Takes.OPERANDS)
_SED: Final = _form("-n -r -E -i -s -u -z -e! -f!", 1, _Takes.OPERANDS)
_PREFIX: Final = _form("", 0, _Takes.COMMAND)
_MPI: Final = _form("-n: -np: -N: -c:", 0, _Takes.COMMAND)

_INTERPRETERS: Final[dict[str, _Form]] = {
    **dict.fromkeys(("sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"), _SHELL),
    **dict.fromkeys(("python", "pypy"), _PYTHON),
    **dict.fromkeys(
        ("perl", "ruby", "node", "php", "lua", "tclsh", "Rscript", "julia", "pwsh"), _SCRIPT
    ),
    **dict.fromkeys(
        ("fish", "csh", "tcsh", "wish", "guile", "groovy", "scala", "ipython"), _SCRIPT
    ),
    **dict.fromkeys(("R", "octave", "matlab", "wolframscript", "powershell"), _SCRIPT),
}

_FORMS: Final[dict[str, _Form]] = _INTERPRETERS | {
    **dict.fromkeys(("awk", "gawk", "mawk", "nawk"), _AWK),
    **dict.fromkeys(("sed", "gsed"), _SED),
    "jq": _form("-r -c -n -e -s -S -M -j -a -R --arg:: --argjson:: -f!", 1, _Takes.OPERANDS),
    "printf": _form("", 1, _Takes.ANY, script=True),  # bash: `-v` names a variable
    "set": _form("-e -u -x -f -o:", 0, _Takes.OPERANDS),
    "env": _form("-i -u: -C:", 0, _Takes.COMMAND),
    "exec": _form("-c -l -a:", 0, _Takes.COMMAND),
    "command": _form("-p", 0, _Takes.COMMAND),
    "setsid": _form("-c -f -w", 0, _Takes.COMMAND),
    "time": _form("-p -v -f: -o:", 0, _Takes.COMMAND),
    "nice": _form("-n:", 0, _Takes.COMMAND),
    "ionice": _form("-t -c: -n:", 0, _Takes.COMMAND),
    "chrt": _form("-b -f -i -o -r", 1, _Takes.COMMAND),
    "taskset": _form("-c", 1, _Takes.COMMAND),
    "timeout": _form("-k: -s: --foreground --preserve-status", 1, _Takes.COMMAND),
    "sudo": _form("-E -H -n -u: -g:", 0, _Takes.COMMAND),
    "doas": _form("-n -u:", 0, _Takes.COMMAND),
    "xargs": _form("-0 -r -t -n: -L: -P: -I: -d: -s: -a:", 0, _Takes.COMMAND),
    "stdbuf": _form("-i: -o: -e:", 0, _Takes.COMMAND),
    "flock": _form("-n -s -x -w:", 1, _Takes.COMMAND),
    "chroot": _form("", 1, _Takes.COMMAND),
    "strace": _form("-f", 0, _Takes.COMMAND),
    **dict.fromkeys(("mpirun", "mpiexec", "srun"), _MPI),
    **dict.fromkeys(("builtin", "nohup", "fakeroot", "gosu", "tini", "torsocks", "npx"), _PREFIX),
    **dict.fromkeys(("unshare", "nsenter", "setpriv", "systemd-run", "numactl"), _PREFIX),
    **dict.fromkeys(("valgrind", "ltrace", "perf"), _PREFIX),
}

# Every argument may be code to these, or name something of the shell's: bash evaluates the subscript in a
# name such as `a[$(id)]`.
_READS_CODE: Final = {
    ".", "source", "eval", "trap", "alias", "bind", "compgen", "complete", "declare", "typeset", "enable",
    "fc", "getopts", "jobs", "let", "mapfile", "readarray", "read", "unset", "wait",
    "ssh", "rsh", "su", "runuser", "at", "batch", "crontab", "parallel", "watch", "expect", "tmux", "screen",
    "script", "busybox", "toybox", "make", "gmake", "ninja", "m4", "bc", "dc", "ed", "ex", "vi", "vim", "gdb",
    "gnuplot", "sqlite3", "psql", "mysql", "osascript", "deno", "bun",
}  # fmt: skip
_ASSIGNS: Final = ("export", "readonly", "local")
_REMOTE: Final = ("ssh", "rsh", "su")
_RUN_BY_FIND: Final = ("-exec", "-execdir", "-ok", "-okdir")

_KNOWN_NAME: Final = re.compile(r"\[|(?!-)[\w.+:@%,-]+")
_OF_THE_SHELL: Final = {  # read as code or evaluated as a number, or it changes how the shell reads
    "BASH_ENV", "ENV", "IFS", "PS1", "PS2", "PS4", "PROMPT_COMMAND",
    "RANDOM", "SRANDOM", "SECONDS", "LINENO", "OPTIND", "HISTCMD",
}  # fmt: skip


def unsafe_places(words: Sequence[Word], paths: Collection[int]) -> dict[int, str]:
    """The places in a simple command that are refused, each with the reason; `paths` are those of paths."""
    unsafe: dict[int, str] = {}
    first = 0
    while first < len(words) and words[first].assigns:
        unsafe |= _in_assignment(words[first])
        first += 1
    return unsafe | _in_command(words[first:], paths)


def _in_command(words: Sequence[Word], paths: Collection[int]) -> dict[int, str]:
    if not words:
        return {}
    command, *arguments = words
    unsafe = _all([command], "names the command to run")
    path = command.text
    name = path.rpartition("/")[2]
    program = re.sub(r"(?<=[a-z])-?[0-9][0-9.]*$", "", name) or name  # python3.12, lua5.4
    if MARK in path or not _KNOWN_NAME.fullmatch(name):
        return unsafe | _all(arguments, "is given to a command that is not known before it runs")
    if name in _READS_CODE:
        return unsafe | _all(arguments, f"is an argument of `{name}`, which may read it as code")
    if name in ("test", "["):
        return unsafe | _in_test(arguments)
    if name in _ASSIGNS:
        return unsafe | _in_assigning(name, arguments)
    if form := _FORMS.get(name) or _FORMS.get(program):
        return unsafe | _in_form(name, form, arguments, paths)
    return unsafe | _in_others(arguments, paths)


def _in_others(arguments: Sequence[Word], paths: Collection[int]) -> dict[int, str]:
    """Any program gets data; but `find … -exec COMMAND` and `docker run IMAGE sh -c …` run another."""
    for index, word in enumerate(arguments):
        if word.text in _RUN_BY_FIND:
            return _in_command(arguments[index + 1 :], paths)
        name = re.sub(r"[0-9.]*$", "", word.text.rpartition("/")[2])
        if (name in _INTERPRETERS or name in _REMOTE) and not word.marks:
            return _in_command(arguments[index:], paths)
    return {}


def _in_form(
    name: str, form: _Form, words: Sequence[Word], paths: Collection[int]
) -> dict[int, str]:
    """Walks the arguments as the program would: options, operands, and what follows them."""
    unsafe: dict[int, str] = {}
    code = f"is an argument of `{name}`, which may read it as code"
    operands = form.operands
    reads_options = True
    at = 0
    while at < len(words):
        word = words[at]
        if not operands and form.takes is _Takes.ANY:
            return unsafe
        if word.text == "--" and reads_options:
            reads_options = False
        elif word.text.startswith(("-", "+")) and reads_options:
            taken = _values(form, word.text)
            if taken is None:
                return unsafe | _all(words[at:], code)
            values = words[at + 1 : at + 1 + taken]
            if any(EXPANSION in value.text and not value.quoted for value in values):
                return unsafe | _all(words[at:], code)  # it may be no word, or several
            at += len(values)
            if _is_code(form, word.text):
                operands = 0
                unsafe |= _all([word, *values], code)
        elif name == "env" and ASSIGNMENT.match(word.text):
            unsafe |= _in_assignment(word)
        elif EXPANSION in word.text[:1] and (operands or form.takes is _Takes.COMMAND):
            return unsafe | _all(words[at:], code)
        elif operands:
            operands -= 1
            if not (form.script and _is_no_option(word, paths)):
                unsafe |= _all([word], code)
        elif form.takes is _Takes.COMMAND:
            return unsafe | _in_command(words[at:], paths)
        elif reads_options and not _is_no_option(word, paths):
            why = f"may begin with `-`, which `{name}` would read as an option: put `--` before it"
            unsafe |= _all([word], why)
        at += 1
    return unsafe


def _values(form: _Form, option: str) -> int | None:
    """How many of the next words are values of `option`; None when it is not known. `-vf` is `-v -f`."""
    if option.startswith("+"):
        return None
    if option in form.options:
        return abs(form.options[option])
    head, _, _ = option.partition("=")
    if form.options.get(head if head.startswith("--") else option[:2]):
        return 0  # its value is glued to it
    flags = [f"-{letter}" for letter in option[1:]]
    return 0 if all(form.options.get(flag) == 0 for flag in flags) else None


def _is_code(form: _Form, option: str) -> bool:
    return _CODE in (form.options.get(option), form.options.get(option[:2]))


def _is_no_option(word: Word, paths: Collection[int]) -> bool:
    """Whether it cannot begin with `-`: by its own text, or as the path of a file."""
    return not word.text.startswith(MARK) or word.marks[0] in paths


def _in_assignment(word: Word) -> dict[int, str]:
    name = word.text.partition("=")[0]
    return (
        _all([word], f"is the value of `{name}`, which the shell reads")
        if name in _OF_THE_SHELL
        else {}
    )


def _in_assigning(name: str, words: Sequence[Word]) -> dict[int, str]:
    """`export NAME=value`: the names are the text's own, and no option says what else it may be."""
    unsafe: dict[int, str] = {}
    for index, word in enumerate(words):
        if word.text.startswith(("-", EXPANSION)):
            return unsafe | _all(words[index:], f"follows an option of `{name}`")
        if ASSIGNMENT.match(word.text):
            unsafe |= _in_assignment(word)
        else:
            unsafe |= _all([word], "names a variable of the shell")
    return unsafe


def _in_test(words: Sequence[Word]) -> dict[int, str]:
    """`[ -v NAME ]` names a variable of the shell, also where a value is the `-v`."""
    unsafe: dict[int, str] = {}
    for before, word in pairwise(words):
        if before.text in ("-v", "-R") or before.text[:1] in (MARK, EXPANSION):
            unsafe |= _all([word], "may be read as the name of a variable of the shell")
    return unsafe


def _all(words: Sequence[Word], reason: str) -> dict[int, str]:
    return {mark: reason for word in words for mark in word.marks}
