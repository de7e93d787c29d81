"""A request to stop that comes while a run is being started."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kedge.executor import Cancel, launch
from kedge.run.core import Observer, Request, run

GRACE_S = 40.0
MANIFEST = f"""\
name: slow
runtime: {{kind: python, version: "3.12"}}
resources: {{memory_mb: 256, grace: {GRACE_S}}}
functions: {{f: {{handler: "m:f"}}}}
"""


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("looks", [launch.LOOKS, 0], ids=["", "its process is seen late"])
def test_it_is_heard_whenever_it_comes(
    package: Callable[[Path], Any],
    own_pool: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    warm: bool,
    looks: int,
) -> None:
    monkeypatch.setattr(launch, "LOOKS", looks)
    (tmp_path / "kedge.yml").write_text(MANIFEST)
    (tmp_path / "m.py").write_text("import time\ndef f() -> None:\n    time.sleep(100)\n")
    calls = package(tmp_path)
    for step in range(16):
        cancel = Cancel()
        later = threading.Timer(0.0015 * step, cancel.request)
        began = time.monotonic()
        observer = Observer(started=lambda _, later=later: later.start())
        ended = run(calls.ready, Request("f"), observer, cancel, own_pool if warm else None)
        assert ended.run.status == "cancelled"
        assert time.monotonic() - began < GRACE_S / 4  # after half of it all processes are asked
