"""The `python` kind turns a bound function into what the runner is started with."""

import json

import pytest

from kedge.middleware import RuntimeMiddleware, drive, using
from kedge.registry import FinalMethodError
from kedge.runtime import Runtime, runtimes
from kedge.runtime.python import PythonRuntime, describe_process
from kedge.task import Process, PythonRoot, Resources, Task


def runtime() -> PythonRuntime:
    return PythonRuntime(
        python="/envs/e/bin/python",
        root=PythonRoot(("/envs/e", "/base")),
        runner="/runners/r.pyc",
        handler="bolts:size",
        inputs={"mesh": "file"},
        outputs={"plot": {"kind": "file", "extensions": ["png"]}},
        convert=("when",),
        open=True,
        env={"OMP_NUM_THREADS": "2"},
    )


def task(runtime: object) -> Task:
    return Task("size", "bolts#size", runtime, None, None, Resources(1, 128))


def test_the_payload_starts_the_runner_with_its_instructions() -> None:
    payload = drive(runtime().setup_runtime(task(runtime())))
    assert payload.argv[:5] == ("/envs/e/bin/python", "-I", "-B", "/runners/r.pyc", "run")
    assert json.loads(payload.argv[5]) == {
        "handler": "bolts:size",
        "inputs": {"mesh": "file"},
        "convert": ["when"],
        "outputs": {"plot": {"kind": "file", "extensions": ["png"]}},
        "open": True,
    }
    assert payload.root == PythonRoot(("/envs/e", "/base"))
    assert payload.env == {"OMP_NUM_THREADS": "2"}


def test_describing_names_all_handlers() -> None:
    payload = describe_process("/p", PythonRoot(("/envs",)), "/r.py", {"size": "bolts:size"})
    assert payload.argv[:5] == ("/p", "-I", "-B", "/r.py", "describe")
    assert json.loads(payload.argv[5]) == {"handlers": {"size": "bolts:size"}}


def test_it_is_found_by_its_kind_and_does_not_change() -> None:
    assert runtimes.get("python") is PythonRuntime
    one = runtime()
    assert one == runtime()
    with pytest.raises(AttributeError):
        one.handler = "other:one"  # type: ignore[misc]


def test_middleware_is_around_it() -> None:
    class Renaming(RuntimeMiddleware):
        async def __call__(self, context, call_next):
            payload = await call_next(context)
            return Process(("/usr/bin/nice", *payload.argv), payload.root, payload.env)

    with using(Renaming()):
        payload = drive(runtime().setup_runtime(task(runtime())))
    assert payload.argv[:2] == ("/usr/bin/nice", "/envs/e/bin/python")


def test_setting_up_is_final() -> None:
    with pytest.raises(FinalMethodError, match="setup_runtime"):

        class Mine(Runtime[Process]):
            async def setup_runtime(self, task: Task) -> Process:
                raise AssertionError
