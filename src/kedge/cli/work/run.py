"""One run of one function."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from kedge.cli import result as results
from kedge.cli.values import named, with_pairs
from kedge.errors import RunCancelled
from kedge.executor import Cancel, Stopped
from kedge.package.source import open_package
from kedge.ports import Ports
from kedge.ports.shapes import holds_secret
from kedge.run import core, record
from kedge.run.warmth import kept_warm


def work(
    observer: core.Observer,
    cancel: Cancel,
    *,
    package: str,
    function: str | None,
    pairs: Sequence[tuple[str, str]],
    given: Mapping[str, Any],
    like: str | None,
    overrides: Mapping[str, Any],
    executor: str | None,
    network: bool,
    locked: bool,
    keep: bool,
    out: str | None,
    as_json: bool,
) -> dict[str, Any]:
    """Run a function; the words of the command line, and what is to be printed.

    Returns:
        `id` and `wall_s` of the run, and either its `document` or its `text`.
    """
    with cancel.interrupting():
        core.settle()
        source = open_package(package)
    name = named(source.function, function)
    mode: Literal["auto", "locked"] = "locked" if locked else "auto"
    with core.ready(source, name, observer, cancel, mode=mode, executor=executor) as ready:
        description = ready.prepared.description
        described = description.function(name)
        for warning in (*description.warnings, *described.warnings):
            observer.notice(warning)
        ports = described.input_ports
        request = core.Request(
            function=described.name,
            values=with_pairs(_like(like, ports) | dict(given), pairs, ports),
            overrides=overrides,
            executor=executor,
            network=network,
            keep=keep,
        )
        with kept_warm(1) as pool:
            result = core.run(ready, request, observer, cancel, pool)
    if result.failure is not None and cancel.requested:
        raise result.failure
    try:
        with cancel.interrupting():  # copying and hashing big files takes long
            if out is not None:
                results.copy_out(result, out)
            if result.failure is not None:
                raise result.failure
            return {
                "id": result.run.id,
                "wall_s": result.run.measured.get("wall_s"),
                "document": results.document(result) if as_json else None,
                "text": "" if as_json else results.text(result, described.output_ports),
            }
    except Stopped:
        run = result.run.id
        raise RunCancelled(
            f"interrupted after run `{run}` had {result.run.status}",
            hint=f"`kedge show {run}` shows its results",
            run_id=run,
        ) from None


def _like(like: str | None, ports: Ports) -> dict[str, Any]:
    """The inputs of another run, but for secrets: a record has a mask in their place."""
    if like is None:
        return {}
    return {
        name: value
        for name, value in record.get(like).inputs.items()
        if not holds_secret(ports.schema_of(name) or {})
    }
