"""`kedge test`: a package's test cases, each a run of its own in the real runtime."""

import click

from kedge.cli.display import Display
from kedge.cli.report import say, write_json, write_text
from kedge.cli.supervised import supervised
from kedge.errors import RunCancelled


@click.command("test")
@click.argument("package")
@click.argument("function", required=False)
@click.option("--junit", metavar="FILE", help="Write a JUnit XML report too.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON.")
@click.option(
    "--executor", metavar="KIND", help="How to run them: auto, sandbox, process, docker, podman."
)
@click.option("-j", "--jobs", type=click.IntRange(1), help="Cases at once; one a CPU if not given.")
def command(
    package: str,
    function: str | None,
    junit: str | None,
    as_json: bool,
    executor: str | None,
    jobs: int | None,
) -> int:
    """Run a package's test cases in its real runtime."""
    asked = {
        "package": package,
        "function": function,
        "executor": executor,
        "jobs": jobs,
        "junit": junit,
    }
    with Display() as display:
        answer = supervised("test", asked, display.show)
    found = answer["document"]
    if as_json:
        write_json(found)
    else:
        write_text(answer["text"])
        for case in found["cases"]:
            if case["passed"]:
                continue
            say(f"{case['function']}, {case['name']}:")
            for difference in case["differences"]:
                say(f"  {difference}")
        rest = f", {answer['not_run']} not run" if answer["not_run"] else ""
        say(f"{found['passed']} passed, {found['failed']} failed{rest}")
    if answer["stopped"]:
        return RunCancelled.exit_code
    return 1 if found["failed"] else 0
