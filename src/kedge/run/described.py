"""A package with its final ports: what the signatures say, and what the manifest declares over it."""

from collections.abc import Mapping
from typing import Any

from kedge.data import replace
from kedge.errors import Problem
from kedge.ports import Ports
from kedge.run.declared import OPEN, Declared
from kedge.run.description import Description, Function


def with_signatures(declared: Declared, answers: Mapping[str, Mapping[str, Any]]) -> Description:
    """The description with ports from what the runner said of each function, in `answers`."""
    functions = {
        name: _with_signature(function, declared.declared[name], answers[name])
        if name in answers
        else function
        for name, function in declared.description.functions.items()
    }
    return replace(declared.description, functions=functions)


def _with_signature(
    function: Function, declared: Mapping[str, Any], answer: Mapping[str, Any]
) -> Function:
    """The function with its signature's ports, the declared ones laid over them."""
    from kedge.ports import overlay, signature_ports

    warnings: list[str] = []
    problems: list[dict[str, str]] = []
    unread = None
    if "error" in answer:
        error = answer["error"]
        unread = f"{error['type']}: {error['error']}" if error.get("type") else str(error["error"])
        warnings.append(
            f"`{function.name}`: its signature could not be read, so its ports are open: {unread}"
        )
        answer = {"inputs": OPEN, "outputs": OPEN}
    problems += answer.get("problems", ())
    settled = {
        name for side in declared.values() if side is not None for name in side["properties"]
    }
    for entry in answer.get("warnings", ()):
        port = entry["path"]
        if port.partition(".")[0] not in settled:  # else the manifest says what the port is
            named = f"`{function.name}`: `{port}`: " if port else f"`{function.name}`: "
            warnings.append(named + entry["message"])
    sides = {}
    for side, direction in (("inputs", "in"), ("outputs", "out")):
        ports, wrong, odd = signature_ports(answer[side], "in" if direction == "in" else "out")
        problems += [{"message": one.message, "hint": one.hint or ""} for one in wrong]
        warnings += [f"`{function.name}`: {one}" for one in odd]
        laid = _declared_ports(declared[side])
        if laid is not None:
            if side == "inputs" and ports.open is None:
                warnings += [
                    f"`{function.name}`: the port `{name}` is declared, but the handler has no"
                    " such parameter"
                    for name in laid.properties.keys() - ports.properties.keys()
                ]
            ports = overlay(ports, laid)
        sides[side] = ports.to_schema()
    return replace(
        function,
        description=function.description or answer.get("description", ""),
        inputs=sides["inputs"],
        outputs=sides["outputs"],
        convert=tuple(answer.get("convert", ())),
        problems=tuple(problems),
        warnings=tuple(warnings),
        unread=unread,
    )


def problems_of(description: Description) -> list[Problem]:
    """Everything that the signatures of a package cannot be, and those that cannot be read."""
    return [
        problem
        for function in description.functions.values()
        for problem in (*function.found_problems(), function.unread_problem())
        if problem is not None
    ]


def says_all(declared: Declared, folder: str) -> bool:
    """Whether the manifest leaves the signatures nothing to say, so that nothing need be imported for them.

    Of each function it declares both sides and says of each port whether it is required; the inputs are files,
    since what a value becomes before the call the signature alone says; and the handler takes these and no others.
    That is read in the source, which has to tell.

    Args:
        declared: the package.
        folder: its snapshot.
    """
    from kedge.package.outline import parameters
    from kedge.ports import kind_of

    for name, function in declared.description.functions.items():
        sides = declared.declared[name]
        if not (_is_settled(sides["inputs"]) and _is_settled(sides["outputs"])):
            return False
        inputs = sides["inputs"]["properties"]
        if any(kind_of(port) == "value" for port in inputs.values()):
            return False
        if parameters(folder, function.handler or "") != inputs.keys():
            return False
    return True


def _is_settled(side: Mapping[str, Any] | None) -> bool:
    return side is not None and side["properties"].keys() <= set(side["decided"])


def _declared_ports(data: Mapping[str, Any] | None) -> Ports | None:
    if data is None:
        return None
    return replace(Ports.from_schema(data), decided=frozenset(data["decided"]))
