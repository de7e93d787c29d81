"""Kills Kedge at random instants of a run and looks at what is left: a program, and what a test calls.

    python tests/chaos/kills.py --instants 100 --seed 1

Each round starts a run in a Kedge home, waits for a random share of the time that such a run takes, or that
a phase of it takes, and sends SIGKILL to the face, the supervisor, or both. Then the next command starts.
After it nothing may be left of the run, its record must tell the truth, and what was prepared must be whole.
"""

import argparse
import json
import os
import random
import runpy
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from kedge.executor import cgroups

STUBBORN = Path(__file__).parents[1] / "packages" / "stubborn"
FILES = 800  # to be collected, so that collecting takes a while too
LIMIT_S = 60.0
ATTEMPTS = 8  # at hitting one phase; each waits half as long in it as the one before
LOOK_S = 0.001  # between two looks at what a run is at

VICTIMS = ("face", "supervisor", "both")
PHASES = ("preparing", "running", "collecting")

# What was prepared, which may be deleted at any time.
PREPARED = ("environments", "descriptions", "runners", "index", "bytecode", "interpreters.json")


# Which no import path leads to: this is a program, and what a test loads from its file.
GROUPS = runpy.run_path(str(Path(__file__).parents[1] / "support" / "groups.py"))


class Broken(AssertionError):
    """Something was left, or a record does not tell the truth."""


class Chaos:
    """One Kedge home and the rounds in it."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home = home
        self.chance = random.Random(seed)
        self.env = os.environ | {"KEDGE_HOME": str(home)}
        self.seen: Counter[str] = Counter()
        self.marker = f"4243.{os.getpid()}{int.from_bytes(os.urandom(3))}"
        self.lasts: Counter[str] = Counter()
        self.takes = {kind: self._whole(kind) for kind in ("prepared", "unprepared")}

    def round(self) -> None:
        """One run, killed at a random instant."""
        kind = self.chance.choice(("prepared", "prepared", "unprepared"))
        self._unprepare(kind)
        face = self._start(self.chance.choice(("sandbox", "process")))
        time.sleep(self.chance.uniform(0, 1.1 * self.takes[kind]))
        self._kill(face, self.chance.choice(VICTIMS))

    def hit(self, phase: str, victims: str) -> None:
        """One run, killed at a random instant of a phase; as many as it takes to hit that."""
        for attempt in range(ATTEMPTS):
            self._unprepare("unprepared" if phase == "preparing" else "prepared")
            face = self._start(self.chance.choice(("sandbox", "process")))
            while face.poll() is None and self._phase() != phase:
                time.sleep(LOOK_S)
            time.sleep(self.chance.uniform(0, self.lasts[phase]) / 2**attempt)
            if self._kill(face, victims) == phase:
                return
        raise Broken(f"{phase} was not hit in {ATTEMPTS} attempts")

    def _kill(self, face: "subprocess.Popen[bytes]", victims: str) -> str:
        """Kill, have the next command start, and judge; the phase that the run was in."""
        supervisor = next(iter(children(face.pid)), None)
        if supervisor is not None:
            halt(supervisor)  # else it goes on while it is looked at, and tidies up for a face
        phase, held = self._phase(), GROUPS["groups_of"](face.pid)
        if victims != "supervisor":
            face.kill()
        if supervisor is not None:
            kill(supervisor, signal.SIGCONT if victims == "face" else signal.SIGKILL)
        face.communicate(timeout=LIMIT_S)
        self.seen[f"killed {victims}"] += 1
        self.seen[f"was {phase}"] += 1
        self._judge(supervisor, held)
        return phase

    def _phase(self) -> str:
        """What the newest run is at: its status, or that it collects."""
        try:
            with closing(sqlite3.connect(f"file:{self.home}/kedge.db?mode=ro", uri=True)) as store:
                query = "SELECT id, status FROM runs ORDER BY number DESC LIMIT 1"
                found = store.execute(query).fetchone()
        except sqlite3.OperationalError:  # it is being made
            found = None
        if found is None:
            return "starting"
        name, status = found
        if status == "running" and (self.home / "runs" / name / "artifacts").exists():
            return "collecting"
        return str(status)

    def _judge(self, supervisor: int | None, held: set[str]) -> None:
        gone(lambda: supervisor is None or not alive(supervisor), "the supervisor", 15)
        runs = self._json("runs", "--limit", "1000")  # the next start
        gone(lambda: not living(self.marker), "a process", 5)
        for run in runs:
            if run["status"] not in ("succeeded", "failed", "cancelled"):
                raise Broken(f"run {run['id']} is {run['status']}, and nobody holds it")
            if run["status"] == "succeeded" and run["outputs"] != {"result": FILES}:
                raise Broken(f"run {run['id']} succeeded without its outputs: {run['outputs']}")
            if run["status"] == "succeeded" and len(run["artifacts"]) != FILES:
                raise Broken(f"run {run['id']} has {len(run['artifacts'])} artifacts")
            if run["status"] == "failed" and run["failure_kind"] != "lost":
                raise Broken(f"run {run['id']}: {run['failure']}")
            if os.path.exists(os.path.join(run["folder"], "workspace")):
                raise Broken(f"run {run['id']} left its workspace")
        if runs:
            last = runs[0]
            where = (
                last["failure"]["message"].partition("while it was ")[2] if last["failure"] else ""
            )
            self.seen[f"{last['status']} {where}".strip()] += 1
        mine = {run["id"] for run in runs}
        if left := GROUPS["standing"](held) or mine & set(cgroups.named()):
            raise Broken(f"control groups are left: {left}")
        known = {path.name for path in (self.home / "runs").iterdir()} if runs else set()
        if strays := known - mine:
            raise Broken(f"run folders without a record: {strays}")

    def finish(self) -> None:
        """What was prepared in between is whole: it runs as it is."""
        self._json("run", STUBBORN, "writes", f'seconds="{self.marker}"', f"files={FILES}")
        left = [path.name for path in self.home.rglob("tmp-*")]
        if left:
            raise Broken(f"unfinished folders are left: {left}")

    def _whole(self, kind: str) -> float:
        """Seconds that a run takes when nobody kills it; of a few, the median. `lasts` are its phases'."""
        took = []
        for _ in range(3):
            self._unprepare(kind)
            self.lasts.clear()
            began = before = time.monotonic()
            face = self._start("sandbox")
            while face.poll() is None:
                time.sleep(LOOK_S)
                now = time.monotonic()
                self.lasts[self._phase()] += now - before
                before = now
            took.append(before - began)
        return sorted(took)[1]

    def _unprepare(self, kind: str) -> None:
        if kind == "unprepared":
            for name in PREPARED:
                path = self.home / name
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def _start(self, executor: str) -> "subprocess.Popen[bytes]":
        words = ["run", STUBBORN, "writes", f'seconds="{self.marker}"', f"files={FILES}"]
        return subprocess.Popen(
            [sys.executable, "-m", "kedge", *words, "--executor", executor],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self.env,
        )

    def _json(self, *words: object) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "kedge", *map(str, words), "--json"],
            capture_output=True,
            env=self.env,
            check=False,
            timeout=LIMIT_S,
        )
        if done.returncode:
            raise Broken(
                f"`kedge {words[0]}` failed:\n{done.stdout.decode()}{done.stderr.decode()}"
            )
        return json.loads(done.stdout)


def living(argument: str) -> list[int]:
    """The processes that have `argument` as one of their own."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if argument.encode() in Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0"):
                found.append(int(name))
        except OSError:
            continue
    return found


def children(process: int) -> list[int]:
    """The children of a process; none when it is gone."""
    try:
        return [
            int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()
        ]
    except OSError:
        return []


def alive(process: int) -> bool:
    """Whether a process runs and is not only waiting to be taken leave of."""
    return state(process) not in "ZX"


def state(process: int) -> str:
    """The letter that the kernel has for what a process does; X when it is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def halt(process: int) -> None:
    """Stop a process where it is, and wait until it has."""
    kill(process, signal.SIGSTOP)
    gone(lambda: state(process) in "TZX", "a process that does not stop", LIMIT_S)


def kill(process: int, number: int) -> None:
    """Send a signal; one that is gone is no error."""
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return


def gone(true: Any, what: str, seconds: float) -> None:
    """Wait until something is gone."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise Broken(f"{what} is left")
        time.sleep(0.01)


def main() -> None:
    """Run as many rounds as asked for, and say what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instants", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kedge-chaos-") as home:
        os.chmod(home, 0o755)
        chaos = Chaos(Path(home), asked.seed)
        for number in range(asked.instants):
            try:
                chaos.round()
            except Broken as broken:
                sys.exit(f"seed {asked.seed}, round {number}: {broken}")
        chaos.finish()
    for what, count in sorted(chaos.seen.items()):
        sys.stdout.write(f"{count:4}  {what}\n")


if __name__ == "__main__":
    main()
