"""`kedge agent`: keep processes warm between commands."""

import click

from kedge.cli.report import say, write_json, write_text
from kedge.cli.text import table
from kedge.data import asdict


@click.group("agent")
def command() -> None:
    """Keep what functions import warm between commands, for this account.

    While an agent is there, a function that an earlier command has called starts within milliseconds, with the same
    results; the command itself takes longer than that, since it is a program that starts. An agent ends after half an
    hour without a command.
    """


@command.command("start")
def start() -> None:
    """Start an agent."""
    from kedge.cli import agent

    say(f"the agent is process {agent.start()}")


@command.command("stop")
def stop() -> None:
    """End the agent, after the commands that it runs."""
    from kedge.cli import agent

    was_there = agent.stop(lambda number: say(f"waiting for {_commands(number)}"))
    say("the agent has ended" if was_there else "there is no agent")


@command.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> int:
    """Say what the agent keeps; the exit code is 3 when there is none."""
    from kedge.cli import agent

    found = agent.status()
    if as_json:
        write_json(None if found is None else asdict(found))
    elif found is None:
        say("there is no agent")
    else:
        ending = ", ending" if found.ending else ""
        write_text(
            f"process {found.pid}, for {found.since_s:.0f} s, {_commands(found.commands)}{ending}"
        )
        rows = [
            [
                one["name"],
                f"{one['memory_mb']:.0f} MB",
                f"{one['calls']} calls",
                f"{one['idle_s']:.0f} s",
            ]
            for one in found.kept
        ]
        write_text(
            table([["kept", "memory", "now", "idle for"], *rows]) if rows else "nothing is kept"
        )
    return 0 if found is not None else 3


def _commands(number: int) -> str:
    return f"{number} command" + "s" * (number != 1)
