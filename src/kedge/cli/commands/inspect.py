"""`kedge inspect`: what a package offers and needs."""

from typing import Any

import click

from kedge.cli.display import Display
from kedge.cli.report import say, write_json, write_text
from kedge.cli.text import indented, table
from kedge.run.description import Description, Function


@click.command("inspect")
@click.argument("package")
@click.argument("function", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON Schemas and effective values.")
@click.option("--static", is_flag=True, help="Read the source alone: build and run nothing.")
def command(package: str, function: str | None, as_json: bool, static: bool) -> None:
    """Show a package's functions, ports, resources and runtime."""
    from kedge.package.source import open_package
    from kedge.run.prepare import described

    source = open_package(package)
    with Display() as display:
        description = described(source, display.step, static=static)
    name = function or source.function
    chosen = [description.function(name)] if name else list(description.functions.values())
    if as_json:
        write_json(_document(description, chosen))
        return
    for warning in (*description.warnings, *(text for one in chosen for text in one.warnings)):
        say(f"warning: {indented(warning)}")
    write_text("\n\n".join([_head(description), *(_section(description, one) for one in chosen)]))


def _head(description: Description) -> str:
    version = f" {description.version}" if description.version else ""
    runtime = description.runtime
    what = runtime.get("requires_python") or runtime.get("version")
    what = what or runtime.get("image") or runtime.get("dockerfile")
    lines = [f"{description.name}{version}: {runtime['kind']} {what}"]
    if description.description:
        lines.append(description.description)
    return "\n".join(lines)


def _section(description: Description, function: Function) -> str:
    limits, origins, notices = _resources(description, function)
    lines = [f"{function.name}  {function.handler or ''}".rstrip()]
    if function.description:
        lines.append(f"  {function.description.splitlines()[0]}")
    for title, ports in (("inputs", function.input_ports), ("outputs", function.output_ports)):
        lines.append(f"  {title}")
        rows = [
            [
                f"    {name}",
                _type(schema),
                _default(schema, name in ports.required, title),
                str(schema.get("description", "")).replace("\n", " "),
            ]
            for name, schema in ports.properties.items()
        ]
        if ports.open is not None:
            rows.append(["    …", "open", "", "any other name"])
        lines.append(table(rows) if rows else "    none")
    if function.network:
        lines.append("  network: this machine's")
    lines.append("  resources")
    lines.append(
        table(
            [
                [f"    {name}", "none" if limits[name] is None else f"{limits[name]:g}", origin]
                for name, origin in origins.items()
            ]
        )
    )
    lines += [f"  notice: {text}" for text in notices]
    return "\n".join(lines)


def _type(schema: dict[str, Any]) -> str:
    from kedge.ports import format_type

    return format_type(schema)


def _default(schema: dict[str, Any], required: bool, side: str) -> str:
    if "default" in schema:
        from kedge.cli.result import value_text

        return f"= {value_text(schema['default'])}"
    return "" if required or side == "outputs" else "optional"


def _resources(
    description: Description, function: Function
) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    from kedge.data import asdict
    from kedge.package.machine import this_machine
    from kedge.package.resources import effective

    limits, origins, notices = effective(
        description.resources, function.resources, None, this_machine()
    )
    return asdict(limits), origins, notices


def _document(description: Description, chosen: list[Function]) -> dict[str, Any]:
    functions = {}
    for function in chosen:
        limits, origins, notices = _resources(description, function)
        functions[function.name] = {
            "handler": function.handler,
            "description": function.description,
            "inputs": function.inputs,
            "outputs": function.outputs,
            "network": function.network,
            "resources": {
                name: {"value": limits[name], "from": origin} for name, origin in origins.items()
            },
            "problems": list(function.problems),
            "warnings": [*function.warnings, *notices],
        }
    return {
        "name": description.name,
        "version": description.version,
        "description": description.description,
        "runtime": description.runtime,
        "functions": functions,
        "warnings": list(description.warnings),
    }
