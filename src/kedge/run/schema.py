"""The published schemas of what Kedge prints about runs: `kedge show --json` and `kedge run --json`."""

from typing import Any, Final

from kedge.errors import FAILURES
from kedge.run.entry import CONTRACT, STATUSES

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_MOMENT: Final = {
    "type": "string",
    "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
    "description": "RFC 3339, UTC, milliseconds",
}
_TEXT: Final = {"type": ["string", "null"]}
_DIGEST: Final = {"type": ["string", "null"], "description": "SHA-256 in hex"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_AMOUNT: Final = {"type": ["number", "null"], "minimum": 0}


def run_schema() -> dict[str, Any]:
    """The schema of a run's whole record, as `kedge show --json` prints it."""
    properties = {
        "id": {"type": "string", "pattern": "^[0-9a-hjkmnp-tv-z]{12}$"},
        "status": {"enum": list(STATUSES)},
        "contract": {"const": CONTRACT},
        "kedge": {"type": "string", "description": "the version of Kedge"},
        "package": _TEXT,
        "package_version": _TEXT,
        "function": _TEXT,
        "source": _TEXT | {"description": "where the package came from"},
        "handler": _TEXT,
        "runtime": _TEXT | {"description": "the kind of runtime"},
        "snapshot": _DIGEST,
        "environment": _DIGEST,
        "interpreter": _TEXT | {"description": "the Python version it ran on"},
        "executor": _TEXT,
        "target": _TEXT,
        "failure": {"anyOf": [_failure_schema(), {"type": "null"}]},
        "failure_kind": {"enum": [*FAILURES, None]},
        "inputs": {"type": "object", "description": "values by port, secrets masked"},
        "input_files": {"type": "array", "items": _input_file_schema()},
        "outputs": {"type": "object", "description": "values by port"},
        "output_files": {"type": "object", "additionalProperties": _output_file_schema()},
        "artifacts": {"type": "object", "additionalProperties": _artifact_schema()},
        "resources": {"type": "object"},
        "measured": _measured_schema(),
        "warnings": {"type": "array", "items": {"type": "string"}},
        "host": {"type": "string"},
        "boot_id": {"type": "string"},
        "pid": _COUNT,
        "pid_started": _COUNT | {"description": "clock ticks from boot to the process's start"},
        "created": _MOMENT,
        "started": {"anyOf": [_MOMENT, {"type": "null"}]},
        "ended": {"anyOf": [_MOMENT, {"type": "null"}]},
        "folder": {"type": "string"},
    }
    return {
        "$schema": _DIALECT,
        "title": "A run of Kedge",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def result_schema() -> dict[str, Any]:
    """The schema of what `kedge run --json` prints for a run that succeeded.

    The outputs stand at top level by port; a File output is an object with `path`, `size`, `sha256`.
    """
    return {
        "$schema": _DIALECT,
        "title": "The result of a run of Kedge",
        "type": "object",
        "properties": {
            "_artifacts": {"type": "object", "additionalProperties": _artifact_schema()},
            "_run": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "wall_s": _AMOUNT | {"description": "seconds from program start to its end"},
                },
                "required": ["id", "wall_s"],
            },
        },
        "required": ["_run"],
        "patternProperties": {"^[A-Za-z]": True},
        "additionalProperties": False,
    }


def _failure_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "code": {"type": "string"},
            "kind": {"enum": list(FAILURES)},
            "message": {"type": "string"},
            "where": _TEXT,
            "hint": _TEXT,
            "problems": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"message": {"type": "string"}, "where": _TEXT, "hint": _TEXT},
                    "required": ["message", "where", "hint"],
                    "additionalProperties": False,
                },
            },
            "type": _TEXT | {"description": "the exception's class in the code"},
            "traceback": _TEXT,
            "evidence": {"type": "object", "description": "what the kind was concluded from"},
            "run": _TEXT,
        },
        "required": [
            *("code", "kind", "message", "where", "hint", "problems"),
            *("type", "traceback", "evidence", "run"),
        ],
        "additionalProperties": False,
    }


def _input_file_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "port": {"type": "string"},
            "path": {"type": "string"},
            "size": _COUNT,
            "mtime_ns": {"type": "integer"},
            "inode": _COUNT,
        },
        "required": ["port", "path", "size", "mtime_ns", "inode"],
        "additionalProperties": False,
    }


def _output_file_schema() -> dict[str, Any]:
    one = {
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "size": _COUNT,
            "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        },
        "required": ["path"],
        "additionalProperties": False,
    }
    return {"anyOf": [one, {"type": "array", "items": one}]}


def _artifact_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "uri": {"type": "string"},
            "size": _COUNT,
            "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        },
        "required": ["uri", "size", "sha256"],
        "additionalProperties": False,
    }


def _measured_schema() -> dict[str, Any]:
    seconds = ("wall_s", "cpu_s", "queued_s", "preparing_s", "starting_s", "collecting_s")
    others = ("peak_memory_mb", "disk_mb", "read_bytes", "written_bytes")
    return {
        "type": "object",
        "properties": dict.fromkeys((*seconds, *others), _AMOUNT),
        "additionalProperties": False,
    }
