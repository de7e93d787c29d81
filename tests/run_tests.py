"""What `./test` runs: pytest on all cores; with `--all`, format, lint and types before it."""

import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CHECKS = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
)


def main() -> int:
    """Run the tests with this process's arguments; paths in them are relative to the checkout."""
    os.chdir(ROOT)
    for name in ("PYTHONPATH", "PYTHONHOME"):  # They would reach the test processes.
        os.environ.pop(name, None)
    arguments = [argument for argument in sys.argv[1:] if argument != "--all"]
    failed = [check for check in CHECKS if not passes(check)] if "--all" in sys.argv else []
    code = int(pytest.main([*spread(arguments), *arguments]))
    for check in failed:
        sys.stderr.write(f"failed: {' '.join(check)}\n")
    return code or int(bool(failed))


def passes(check: tuple[str, ...]) -> bool:
    """Whether a tool is content with the checkout; what it has to say goes to the terminal."""
    sys.stderr.write(f"{' '.join(check)}\n")
    return subprocess.call([sys.executable, "-m", *check]) == 0


def spread(arguments: list[str]) -> list[str]:
    """Options that use every core, unless the caller chose a number or wants a debugger."""
    chosen = any(argument.startswith(("-n", "--numprocesses", "--pdb")) for argument in arguments)
    return [] if chosen else ["-n", "auto", "--dist", "worksteal"]
