"""A failure that looks like a network that is not there says that it is off."""

from collections.abc import Callable
from typing import Any

import pytest

from kedge.executor import executors
from kedge.run.unreachable import NETWORK_IS_OFF, looks_unreachable

SAID = [
    "socket.gaierror: [Errno -3] Temporary failure in name resolution",
    "socket.gaierror: [Errno -2] Name or service not known",
    "urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>",
    "requests.exceptions.ConnectionError: HTTPConnectionPool(host='example.org', port=80): Max retries"
    " exceeded with url: / (Caused by NameResolutionError(\"HTTPConnection(host='example.org', port=80):"
    " Failed to resolve 'example.org' ([Errno -3] Temporary failure in name resolution)\"))",
    "requests.exceptions.ConnectionError: HTTPConnectionPool(host='192.0.2.1', port=80): Max retries exceeded"
    " with url: / (Caused by NewConnectionError('HTTPConnection(host=\\'192.0.2.1\\', port=80): Failed to"
    " establish a new connection: [Errno 101] Network is unreachable'))",
    "OSError: [Errno 101] Network is unreachable",
    "OSError: [Errno 113] No route to host",
    "OSError: [Errno 100] Network is down",
    "curl: (6) Could not resolve host: example.org",
    "Err:1 http://packages.example.org stable InRelease  Temporary failure resolving 'packages.example.org'",
    'Get "http://example.org": dial tcp: lookup example.org on [::1]:53: read: connection refused',
    "dial tcp 192.0.2.1:80: connect: network is unreachable",
    "Error: getaddrinfo EAI_AGAIN example.org",
    "wget: unable to resolve host address 'example.org'",
    '  File "/usr/lib/python3.12/socket.py", line 232, in __init__\n'
    "    _socket.socket.__init__(self, family, type, proto, fileno)\n"
    "    ~~~~~~~~~~~~~~~~~~~~~~~^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
    "PermissionError: [Errno 1] Operation not permitted",
]
OTHER = [
    "FileNotFoundError: [Errno 2] No such file or directory: '/etc/hosts'",
    "ConnectionRefusedError: [Errno 111] Connection refused",
    "PermissionError: [Errno 13] Permission denied: '/workspace/in/x'",
    '  File "/workspace/socket.py", line 3, in f\n    g()\n  File "/workspace/files.py", line 2, in g\n'
    "    open(x)\nPermissionError: [Errno 13] Permission denied: '/root'",
    "ValueError: the resolution is too low",
    "OSError: [Errno 1013] no such thing",
]


@pytest.mark.parametrize("said", SAID)
def test_words_for_what_is_out_of_reach_are_known(said: str) -> None:
    assert looks_unreachable(f"Traceback (most recent call last):\n{said}\n")


@pytest.mark.parametrize("said", OTHER)
def test_other_errors_are_not_taken_for_it(said: str) -> None:
    assert not looks_unreachable(f"Traceback (most recent call last):\n{said}\n")


@pytest.fixture(params=["sandbox", "process"])
def failing(request: pytest.FixtureRequest, package: Callable[[str], Any]) -> Callable[[str], Any]:
    """Runs a function of the package that probes the network; what it fails with."""
    state = executors.get(request.param)().usable()
    if not state.ok:
        pytest.skip(state.reason)
    from kedge.run.core import Request

    called = package("network-probe")
    return lambda name: called.call(Request(name, executor=request.param), None).result.failure


@pytest.mark.parametrize("function", ["resolves", "wraps", "unreachable"])
def test_a_function_without_a_network_is_told_so(
    failing: Callable[[str], Any], function: str
) -> None:
    failure = failing(function)
    assert failure.kind == "function_error"
    assert failure.hint == failure.problems[-1].hint == NETWORK_IS_OFF


def test_one_that_has_the_network_is_told_nothing_of_it(failing: Callable[[str], Any]) -> None:
    failure = failing("resolves-in-vain")
    assert failure.kind == "function_error" and "URLError" in failure.message
    assert failure.hint is None


def test_one_that_fails_for_another_reason_neither(failing: Callable[[str], Any]) -> None:
    assert failing("other").hint is None
