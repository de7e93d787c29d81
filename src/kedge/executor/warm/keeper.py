"""The keeper: holds boxes and slots for the Kedge process that started it, and ends with that.

    python -I -S keeper.py FOLDER LINE OWNER       FOLDER is the one that holds the package kedge

It is light, has one thread, and knows nothing of any call's values. The process that makes calls talks to it
over lines, one for each call that goes on at the same time (`kedge.executor.warm.messages`):

    open    a box for a key, unless there is one: answered once its module is imported
    call    a fork that waits, in a slot: answered with its descriptors, then again once the call's folders are
            mounted
    end     the fork has ended: answered once nothing of it is left
    done    the slot may be used again; one whose fork is `leaving` once that has ended and nobody is left
    status  what is kept

and of containers:

    borrow  one that waits, or what a new one needs
    started a new one goes on
    show    a call's folders and files in it
    back    the call has ended
    unfit   a key whose containers cannot serve several calls

Of a key that cannot be kept warm it says why to those who wait, and to those who come later only that it is so.

Every step waits in one loop: while one box imports, others serve calls.
"""

import os
import pickle
import resource
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from functools import partial
from typing import Any, Final, final

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])

from kedge import home
from kedge.environment import folders
from kedge.executor import cgroups, identity, limits, plan, processes, seccomp
from kedge.executor.warm import box as boxes
from kedge.executor.warm import kernel, looks, messages, mounting
from kedge.executor.warm.kept_containers import KeptContainers
from kedge.executor.warm.kept_group import KeptGroup, is_as_new
from kedge.executor.warm.places import FOLDERS
from kedge.executor.warm.remembered import remember
from kedge.executor.warm.states import COMING, GIVEN, Box, Slot
from kedge.executor.watch import KILL_PATIENCE_S
from kedge.task.resources import Resources

SPARES: Final = 2  # forks that wait before a call comes: else a call after a pause waits for one
IDLE_S: Final = 300.0  # a box that nobody used for so long goes
CALM_S: Final = 10.0  # after which as many slots are kept as one call at a time needs, of a changed package none
FAILURES: Final = 3  # slots in a row that could not be made, after which a box is given up
LOOK_S: Final = 1.0  # between two looks at the idle ones
FILES_AT_ONCE: Final = 32
_LARGEST: Final = 1 << 63  # of what the kernel counts
OWN_PROCESSES: Final = 1  # of a slot's group: its first process
# Of a box with one call, without the call: the box's own three, and its slot's first. Those that wait may be fewer
# for a moment, and then a call would have more than it may; so it has a few less while they wait.
BOX_PROCESSES: Final = 4


@final
class Keeper:
    """All boxes of one Kedge process. `place` is an empty folder, to mount at."""

    def __init__(self, line: socket.socket, owner: int, place: str) -> None:
        self.place = place
        self.boxes: dict[str, Box] = {}
        self.taken: dict[socket.socket, Slot] = {}  # line → the call that it was given
        self.containers = KeptContainers()
        self.cold: dict[str, None] = {}  # keys that cannot be kept warm, of which it was said why
        self.crashes: dict[str, int] = {}  # key → boxes in a row that ended before a call had
        self.numbers = 0
        self.over = False
        self.selector = selectors.DefaultSelector()
        self.main = line
        self._listen(line, partial(self._hear, line), self._end)
        self._listen(owner, self._end, self._end)

    def serve(self) -> None:
        """Do what is asked for until the process that asks has gone."""
        looked = time.monotonic()
        try:
            while not self.over:
                for key, _ in self.selector.select(LOOK_S):
                    if self.selector.get_map().get(key.fd) is key:  # else an earlier one closed it
                        hear, give_up = key.data
                        try:
                            hear()
                        except OSError:  # who is heard of was killed meanwhile
                            give_up()
                        except Exception:  # noqa: BLE001 only those suffer whom it concerns
                            sys.excepthook(*sys.exc_info())
                            give_up()
                now = time.monotonic()
                if now - looked >= LOOK_S:
                    looked = now
                    self._look_around(now)
        finally:
            for box in list(self.boxes.values()):
                self._remove(box, "the keeper ends")
            for line in list(self.taken):
                self._done(line)
            self.containers.end()
            _bury()

    def _end(self, *_: object) -> None:
        self.over = True

    def _listen(self, place: Any, hear: Any, give_up: Any) -> None:
        self.selector.register(place, selectors.EVENT_READ, (hear, give_up))

    def _leave(self, place: Any) -> None:
        with suppress(KeyError, ValueError):
            self.selector.unregister(place)

    # ---- those who make calls

    def _hear(self, line: socket.socket) -> None:
        try:
            message = messages.receive(line)
        except OSError:
            message = None
        if message is None:
            self._hang_up(line)
            return
        (what, *words), descriptors = message
        if what == "line":
            new = socket.socket(fileno=descriptors[0])
            self._listen(new, partial(self._hear, new), partial(self._hang_up, new))
        elif what == "open":
            self._open(line, *words)
        elif what == "call":
            self._call(line, *words)
        elif what == "end":
            self._look(line)
        elif what == "done":
            self._done(line, leaving=words[0])
        elif what == "borrow":
            self._answer(line, *self.containers.borrow(line, *words))
        elif what == "started":
            self.containers.started(line, *words, *descriptors)
        elif what == "show":
            shown = self.containers.show(line, *words)
            self._answer(line, "shown" if shown else "failed")
        elif what == "unfit":
            self.containers.refuse(*words)
        elif what == "back":
            self.containers.take_back(line, clean=words[0])
        elif what == "status":
            boxes_told = [_told_of(box) for box in self.boxes.values()]
            self._answer(line, "status", [*boxes_told, *self.containers.told()])

    def _hang_up(self, line: socket.socket) -> None:
        """Whoever was at the other end has no more interest."""
        if line is self.main:
            self.over = True
            return
        self._leave(line)
        for box in list(self.boxes.values()):
            if box.openers == [line]:  # nobody else waits for its import
                self._remove(box, "")
            box.openers = [one for one in box.openers if one is not line]
            box.callers = [one for one in box.callers if one[0] is not line]
            for one in box.slots.values():
                if one.client is line and line not in self.taken:
                    one.client = None
        if line in self.taken:
            self._done(line)
        self.containers.take_back(line, clean=False)
        line.close()

    def _answer(
        self, line: socket.socket | None, *message: Any, give: tuple[int, ...] = ()
    ) -> None:
        if line is None:
            return
        try:
            messages.send(line, message, give)
        except OSError:
            # It hung up, or the kernel refuses: either way nobody waits on, and that will be heard.
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    # ---- boxes

    def _open(self, line: socket.socket, key: str, wanted: dict[str, Any]) -> None:
        box = self.boxes.get(key)
        if key in self.cold:
            self._answer(line, "cold", "")
        elif box is None:
            box = self.boxes[key] = Box(key, wanted)
            box.openers.append(line)
            try:
                self._start(box)
            except OSError as error:
                said = f"{error.strerror or error}" + (
                    f": {error.filename}" if error.filename else ""
                )
                self._crashed(box, f"the kernel refuses what that needs ({said})")
        elif box.is_ready:
            self._answer(line, "ready")
        else:
            box.openers.append(line)

    def _start(self, box: Box) -> None:
        wanted = box.wanted
        box.group = self._group(box, box.resources)
        box.account = os.geteuid(), os.getegid()
        if identity.needed():
            claimed = box.after.enter_context(identity.claimed())
            box.account = claimed.uid, claimed.gid
        # More than a call has, so that a call which uses all of its own does not keep others from being forked.
        held = self._limits(box.resources, box.group, 2 * BOX_PROCESSES + 2 * SPARES)
        box.counts_together = resource.RLIMIT_NPROC in held
        program = boxes.Program(
            argv=tuple(wanted["argv"]),
            variables=wanted["variables"],
            limits=held,
            mask=wanted["mask"],
            rules=seccomp.zygote_filter(),
            entered=seccomp.entered_filter(),
        )
        box.started = started = boxes.start(
            self.place,
            plan.from_data(wanted["entries"]),
            wanted["uid"],
            box.account,
            program,
            network=wanted["network"],
        )
        crashed = partial(self._crashed, box)
        self._listen(started.line, partial(self._hear_zygote, box), crashed)
        self._listen(started.ended, crashed, crashed)

    def _group(self, owner: Box | Slot, resources: Resources) -> cgroups.OwnGroup | None:
        """A control group, found by those who clean up should this process be killed."""
        kept = KeptGroup(resources, OWN_PROCESSES)
        owner.after.callback(kept.close)
        return kept.group

    def _limits(
        self, resources: Resources, group: cgroups.Group | None, others: int
    ) -> dict[int, tuple[int, int]]:
        held = group.enforces if group is not None else frozenset[str]()
        return limits.process_limits(
            resources, held, own_account=identity.needed(), own_namespace=True, others=others
        )

    def _hear_zygote(self, box: Box) -> None:
        started = box.started
        assert started is not None
        try:
            said, sender = messages.words(started.line)
        except OSError:
            said = []
        if not said:
            self._crashed(box)
        elif said == [b"born"] and not box.zygote:
            box.zygote = sender
            if box.group is not None:
                box.group.join(sender)
            started.line.send(b"go")
        elif said == [b"failed"] and not box.is_ready:
            self._remove(box, "")
        elif said == [b"asked"] and not box.is_ready:
            self._remove(
                box, "importing its module asks for a variable that differs from run to run"
            )
        elif said == [b"timer"] and not box.is_ready:
            self._remove(box, "importing its module starts a timer")
        elif said == [b"system-v"] and not box.is_ready:
            self._remove(box, "importing its module makes semaphores, queues or memory of System V")
        elif said == [b"ready"] and not box.is_ready:
            self._imported(box, started.first)
        elif len(said) == 6:
            self._note_end(box, said)

    def _imported(self, box: Box, first: int) -> None:
        init = processes.first_child(first)
        if box.wanted["argv"]:  # else nothing was imported
            reason = looks.left_by_import(box.zygote, init or 0, box.wanted["covered"])
            if reason:
                self._remove(box, reason.encode(errors="replace").decode())
                return
        status = looks.status_of(box.zygote)
        if "VmRSS" not in status:  # it has just ended
            self._crashed(box)
            return
        box.is_ready, box.until, box.used = True, None, time.monotonic()
        box.memory_mb = int(status["VmRSS"].split()[0]) / 1024
        box.filters = int(status.get("Seccomp_filters", 1)) + 1
        openers, box.openers = box.openers, []
        for line in openers:
            self._answer(line, "ready")
        self._fill(box)

    def _crashed(self, box: Box, reason: str = "") -> None:
        """A box that ended by itself, or was killed: there may be another, unless none of them lasts.

        `reason` is why; "" stands for its end.
        """
        if not reason:
            what = "that has imported" if box.is_ready else "that imports"
            reason = f"the process {what} its module ends"
        before = self.crashes.pop(box.key, 0)
        crashes = 0 if box.has_served else before + 1
        if crashes:
            remember(self.crashes, box.key, crashes)
        self._remove(box, None if crashes < FAILURES else reason)

    def _remove(self, box: Box, reason: str | None) -> None:
        """End a box and all in it; who waits for it is told the reason, or to ask again where there is none."""
        if box.is_gone:
            return
        box.is_gone = True
        self.boxes.pop(box.key, None)
        waiting = [*box.openers, *(line for line, _ in box.callers)]
        waiting += [one.client for one in box.at("mounted") if one.client is not None]
        if (started := box.started) is not None:
            self._leave(started.line)
            self._leave(started.ended)
            processes.kill(started.ended)
            processes.wait_readable(started.ended, KILL_PATIENCE_S)
            with suppress(ChildProcessError):
                os.waitpid(started.first, os.WNOHANG)
            started.line.close()
            started.control.close()
            os.close(started.ended)
        for one in list(box.slots.values()):
            if one.step in ("empty", "settled"):
                self._kill(one)
                self._answer_end(one.client, one)
            elif one.step in ("called", "ended", "killed"):
                self._kill(one)
            else:
                self._drop(one)
        self._close_empty(box)
        if reason and waiting:
            remember(self.cold, box.key, None)
        for line in waiting:
            self._answer(line, *(("again",) if reason is None else ("cold", reason)))

    def _close_empty(self, box: Box) -> None:
        if box.is_gone and not box.slots:
            box.after.close()

    def _look_around(self, now: float) -> None:
        _bury()
        for box in list(self.boxes.values()):
            if box.until is not None and now > box.until:
                self._remove(box, "importing its module takes too long")
                continue
            for one in list(box.slots.values()):
                if one.until is not None and now > one.until:
                    self._failed(one)
            if box.is_used():
                box.used = now
            elif now - box.used > IDLE_S:
                self._remove(box, "nobody used it")
            elif now - box.used > CALM_S and self._is_outdated(box):
                self._remove(box, "its package has changed")
            elif now - box.used > CALM_S:
                box.most = 1
                for one in box.at("spare")[SPARES:]:
                    self._drop(one)
        self.containers.drop_idle(IDLE_S)
        idle = sorted(
            (box for box in self.boxes.values() if not box.is_used()), key=lambda box: box.used
        )
        if idle and looks.is_memory_short():
            self._remove(idle[0], "the machine is short of memory")

    def _is_outdated(self, box: Box) -> bool:
        """Whether another snapshot of its package is in use since."""
        name, snapshot = box.wanted["name"], box.wanted["snapshot"]
        return any(
            other.wanted["name"] == name
            and other.wanted["snapshot"] != snapshot
            and other.used > box.used
            for other in self.boxes.values()
        )

    # ---- slots

    def _fill(self, box: Box) -> None:
        """See that forks wait, and give them to those who wait for one."""
        while box.callers and (spares := box.at("spare")):
            if processes.wait_readable(spares[0].descriptors[-1], 0):
                self._drop(spares[0])  # killed while it waited
            else:
                self._give(spares[0], *box.callers.pop(0))
        box.most = max(box.most, len(box.at(*GIVEN)))
        while not box.is_gone and (
            len(box.slots) < box.most + SPARES or len(box.at(*COMING)) < len(box.callers)
        ):
            try:
                self._grow(box)
            except OSError:
                self._crashed(box)

    def _grow(self, box: Box) -> None:
        self.numbers += 1
        one = box.slots[self.numbers] = Slot(box, self.numbers)
        assert box.started is not None
        one.group = self._group(one, one.resources)
        one.limits = self._limits(one.resources, one.group, BOX_PROCESSES)
        one.line, theirs = messages.pair(told_who=True)
        with theirs:
            wanted = box.wanted["shown"], one.resources.memory_mb
            messages.send(box.started.control, wanted, (theirs.fileno(),))
        self._listen(one.line, partial(self._hear_slot, one), partial(self._failed, one))
        one.wait_for("up")

    def _hear_slot(self, one: Slot) -> None:
        assert one.line is not None
        try:
            said, sender = messages.words(one.line)
        except OSError:
            said = []
        if not said:
            self._failed(one)
        elif (said[0], one.step) == (b"up", "up"):
            one.first, one.ended = sender, os.pidfd_open(sender)
            if one.group is not None:
                one.group.join(sender)
            one.line.send(b"joined")
            self._renew(one)
        elif (said[0], one.step) == (b"fresh", "fresh"):
            self._fork(one)
        elif (said[0], one.step) == (b"mounted", "mounted"):
            self._mount_more(one)
        elif (said[0], one.step) == (b"empty", "empty"):
            one.is_empty = True
            self._ended(one)
        elif one.step in ("empty", "fresh"):  # somebody is left
            self._failed(one)

    def _renew(self, one: Slot) -> None:
        assert one.line is not None
        one.is_empty, one.usage = False, None
        messages.send(one.line, ("fresh",))
        one.wait_for("fresh")

    def _fork(self, one: Slot) -> None:
        """Have the zygote fork into a slot that is ready for it."""
        started = one.box.started
        assert started is not None
        names = ["pid", "ipc", "cgroup", *([] if one.box.wanted["network"] else ["net"]), "mnt"]
        spaces: list[int] = []
        entrances: list[int] = []
        writing: list[int] = []
        one.call, theirs = messages.pair(told_who=True)
        try:
            for name in names:
                spaces += [os.open(f"/proc/{one.first}/ns/{name}", os.O_RDONLY)]
            for entrance in _entrances(one):
                entrances += [os.open(entrance, os.O_WRONLY | os.O_CLOEXEC)]
            for _ in ("stdout", "stderr"):
                reading, other = os.pipe()
                one.descriptors.append(reading)
                writing.append(other)
            given = [spaces[0], theirs.fileno(), *writing, *entrances, *spaces[1:]]
            socket.send_fds(started.line, [b"%d %d" % (one.number, len(entrances))], given)
        finally:
            theirs.close()
            for descriptor in (*writing, *entrances, *spaces):
                os.close(descriptor)
        self._listen(one.call, partial(self._hear_call, one), partial(self._failed, one))
        one.wait_for("born")

    def _hear_call(self, one: Slot) -> None:
        assert one.call is not None
        try:
            said, sender = messages.words(one.call)
        except OSError:
            said = []
        if said in ([b"born"], [b"joined"]) and one.step == "born":
            one.process = sender
            if one.group is not None and not (said == [b"joined"] and _entrances(one)):
                one.group.join(sender)
            one.descriptors.append(os.pidfd_open(sender))
            for limit, values in one.limits.items():
                resource.prlimit(sender, limit, values)
            one.call.send(b"enter")
            one.wait_for("entered")
        elif said == [b"ready"] and one.step == "entered":
            self._check(one)
        else:
            self._failed(one)

    def _check(self, one: Slot) -> None:
        # Of what has imported nothing all forks are alike, and Kedge's own.
        is_known = one.box.has_served and not one.box.wanted["argv"]
        wrong = "" if is_known else looks.unconfined(one.process, one.first, one.box.filters)
        if wrong:
            self._remove(one.box, f"importing its module changes what a fork does: {wrong}")
            return
        self._leave(one.call)
        before = None if one.group is None else one.group.usage()
        one.told = {
            "process": one.process,
            "first": one.first,
            "account": one.box.account,
            "group": pickle.dumps((one.group, before)),
        }
        one.wait_for("spare", None)
        one.box.failures = 0
        self._fill(one.box)

    def _failed(self, one: Slot) -> None:
        """A slot that does not do what it should, or whose call left somebody: it goes."""
        if one.step in ("called", "empty", "ended"):
            is_asked = one.step == "empty"
            self._kill(one)
            if is_asked:
                self._answer_killed(one)
            return
        if one.step == "settled":  # the zygote does not say it
            one.wait_for("killed", None)
            self._answer_end(one.client, one)
            return
        client = one.client if one.step == "mounted" else None
        self._drop(one)
        one.box.failures += 1
        self._answer(client, "again")
        if one.box.failures >= FAILURES:
            if not one.box.at(*GIVEN):  # else it is tried again when one of these calls has ended
                self._remove(one.box, "forks of the process that has imported its module fail")
        elif not one.box.is_gone:
            self._fill(one.box)

    def _kill(self, one: Slot) -> None:
        """Kill all in a slot whose caller has not said yet that it is done with it."""
        if one.step != "killed":
            one.wait_for("killed", None)
            self._silence(one)
            if one.group is not None:
                one.group.kill()

    def _answer_killed(self, one: Slot) -> None:
        """Answer for a slot in which all were killed, once the zygote says how the fork ended.

        The fork may have ended well before, and before Linux 6.15 only the zygote knows.
        """
        if one.usage is None and not one.box.is_gone:
            one.wait_for("settled")
        else:
            one.wait_for("killed", None)
            self._answer_end(one.client, one)

    def _drop(self, one: Slot) -> None:
        """Kill all in a slot, and remove it."""
        self._silence(one)
        one.let_go()
        if one.line is not None:
            one.line.close()
            one.line = None
        if one.ended >= 0:
            os.close(one.ended)
            one.ended = -1
        one.after.close()
        one.box.slots.pop(one.number, None)
        self._close_empty(one.box)

    def _silence(self, one: Slot) -> None:
        for line in (one.line, one.call):
            if line is not None:
                self._leave(line)
        if one.ended >= 0:
            processes.kill(one.ended)
            processes.wait_readable(one.ended, KILL_PATIENCE_S)

    # ---- calls

    def _call(self, line: socket.socket, key: str, request: dict[str, Any]) -> None:
        box = self.boxes.get(key)
        if box is None or not box.is_ready:
            self._answer(line, "unknown")
            return
        if box.counts_together and (box.callers or box.at(*GIVEN)):
            self._answer(line, "failed", "the kernel would count its processes with another call's")
            return
        box.used = time.monotonic()
        box.callers.append((line, request))
        self._fill(box)

    def _give(self, one: Slot, line: socket.socket, request: dict[str, Any]) -> None:
        assert one.line is not None
        one.client, one.files = line, request["files"]
        self._hand_over(one)
        wanted = [(os.path.join(request["folder"], name), name != "in") for name in FOLDERS]
        try:
            with mounting.detached(wanted) as opened:
                messages.send(one.line, ("mount",), opened)
        except OSError as error:
            one.client = None
            self._answer(line, "failed", f"{error.filename}: {error.strerror}")
            self._drop(one)
            return
        one.wait_for("mounted")

    def _hand_over(self, one: Slot) -> None:
        """Tell the caller of its fork, so that it gets ready while its folders are mounted."""
        assert one.call is not None
        give = (one.call.fileno(), *one.descriptors, one.ended)
        self._answer(one.client, "called", one.told, give=give)
        one.let_go()

    def _mount_more(self, one: Slot) -> None:
        """Show some more of the call's files; once there are none left, the caller may begin."""
        assert one.line is not None
        some, one.files = one.files[:FILES_AT_ONCE], one.files[FILES_AT_ONCE:]
        if not some:
            self._mounted(one)
            return
        try:
            with mounting.detached([(source, False) for source, _ in some]) as opened:
                messages.send(one.line, ("show", tuple(place for _, place in some)), opened)
        except OSError as error:
            client, one.client = one.client, None
            self._answer(client, "failed", f"{error.filename}: {error.strerror}")
            self._drop(one)
            self._fill(one.box)
            return
        one.wait_for("mounted")

    def _mounted(self, one: Slot) -> None:
        if one.client is None:  # it hung up meanwhile
            self._drop(one)
            self._fill(one.box)
            return
        one.wait_for("called", None)
        self.taken[one.client] = one
        self._answer(one.client, "mounted")

    def _look(self, line: socket.socket) -> None:
        """Its fork has ended: see whether anybody is left.

        What it started, and has not ended, is now a child of the slot's first process. Where there is any, that
        process says whether it only has to be buried.
        """
        one = self.taken.get(line)
        if one is not None and one.step == "killed":
            self._answer_killed(one)
            return
        if one is None or one.line is None:
            self._answer_end(line, one)
            return
        one.wait_for("empty")
        if processes.first_child(one.first) is None:
            one.is_empty = True
            self._ended(one)
            return
        with suppress(OSError):  # it was killed, which will be heard
            messages.send(one.line, ("look",))

    def _note_end(self, box: Box, said: list[bytes]) -> None:
        """What the zygote says of how a fork ended; believed as far as it matters to its own package."""
        try:
            number, status, microseconds, *counts = map(int, said)
        except ValueError:
            return
        one = box.slots.get(number)
        if one is not None and all(0 <= value < _LARGEST for value in (microseconds, *counts)):
            one.usage = (status & 0xFFFF, microseconds, *counts)
            if one.step == "leaving":
                self._left(one)
            elif one.step == "settled":
                self._answer_killed(one)
            else:
                self._ended(one)

    def _ended(self, one: Slot) -> None:
        """Answer once a slot is empty and its fork was waited for."""
        if one.step == "empty" and one.is_empty and one.usage is not None:
            one.wait_for("ended", None)
            one.box.has_served = True
            self._answer_end(one.client, one)

    def _answer_end(self, line: socket.socket | None, one: Slot | None) -> None:
        """Say what a call used, and whether the process that it was forked from is gone, and it with that."""
        if one is None:
            self._answer(line, "ended", None, False)
        else:
            self._answer(line, "ended", one.usage, one.box.is_gone)

    def _done(self, line: socket.socket, *, leaving: bool = False) -> None:
        """The caller wants no more of its slot."""
        one = self.taken.pop(line, None)
        if one is None:
            return
        one.client = None
        if leaving and one.step == "called" and not one.box.is_gone:
            one.wait_for("leaving")
            if one.usage is not None:
                self._left(one)
        else:
            self._vacated(one, clean=one.step == "ended")

    def _left(self, one: Slot) -> None:
        """Its fork, which had nothing more to do, has ended: see whether anybody is left."""
        one.box.has_served = True
        self._vacated(one, clean=processes.first_child(one.first) is None)

    def _vacated(self, one: Slot, *, clean: bool) -> None:
        """Nobody wants a slot any more: it is made anew for another call, or goes."""
        box = one.box
        clean = clean and (one.group is None or is_as_new(one.group, OWN_PROCESSES))
        if clean and not box.is_gone and len(box.slots) <= box.most + SPARES:
            with suppress(OSError):  # it was killed: there will be another
                self._renew(one)
                return
        self._drop(one)
        if not box.is_gone:
            self._fill(box)


def _entrances(one: Slot) -> tuple[str, ...]:
    """By which a fork comes into its slot's control groups by itself: the kernel may take its time for that.

    Whoever has them open can bring anybody in, whenever: only forks have them that nothing was imported for.
    """
    return () if one.group is None or one.box.wanted["argv"] else one.group.entrances


def _told_of(box: Box) -> dict[str, Any]:
    return {
        "name": box.wanted["name"],
        "memory_mb": box.memory_mb,
        "forks": len(box.at("spare")),
        "calls": len(box.at(*GIVEN)),
        "idle_s": 0.0 if box.is_used() else time.monotonic() - box.used,
    }


def _bury() -> None:
    """Take leave of whoever has ended: of a box that was never made, nobody knows the first process."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue


def main(arguments: list[str]) -> None:
    """Become a keeper, and be one until the process that started it ends."""
    line, owner = socket.socket(fileno=int(arguments[2])), int(arguments[3])
    for descriptor in (line.fileno(), owner):
        os.set_inheritable(descriptor, False)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # it ends with the process that it works for
    processes.become_subreaper()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a slot takes six
    own_user, own_group = os.geteuid(), os.getegid()
    found = messages.receive(line)
    if found is None:
        return
    cgroups.take_over(found[0])
    if own_user == 0:
        os.setgroups([])
        os.unshare(os.CLONE_NEWNS)
    else:
        os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNS)
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{own_user} {own_user} 1"),
            ("gid_map", f"{own_group} {own_group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_SLAVE)
    with folders.temporary(home.folder(folders.TEMPORARIES)) as place:
        messages.send(line, ("up",))
        Keeper(line, owner, place).serve()


if __name__ == "__main__":
    main(sys.argv)
