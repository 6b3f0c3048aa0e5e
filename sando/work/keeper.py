"""The process that contains one job's tree; it knows no daemon, only the socket that it was given.

A keeper is the child subreaper of its job alone: whatever double-forks or leaves its session comes back to it, and
it kills all of it on "end", when the leader has ended, and when the daemon's end of the socket closes. Nothing but
the standard library, `cell` and `descendants`: a bare Python runs this too.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sando.work.cell import Cell, oom_file, oom_kills
from sando.work.descendants import Proc, send, slay, tree
from sando.work.room import no_room

LINGER_S = 0.3  # what ends by itself shortly after the leader (a `tee`) is not counted as left behind
LEFT_GRACE_S = 2.0
KILL_LIMIT_S = 30.0  # a process that SIGKILL does not end by then is named as stuck
SIZE = struct.Struct("!Q")
OOM_ADJ = 500  # of 1000: where memory runs out, builds go before the daemon and before services
OOM_TRIES = 25
FOLDER = "{folder}"
"""Stands in argv and environment for the folder of the request, by a descriptor: its path may be closed to the account."""

_SET_DUMPABLE = 4
_SET_NAME = 15
_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


class Reaper:
    """Waits for sockets and for the ends of children in one poll; shared by spawner and keeper."""

    def __init__(self, name: bytes) -> None:
        self.childless = False
        self.poll = select.poll()
        self.pulse, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self.poll.register(self.pulse, select.POLLIN)
        _libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)  # a fork of the daemon has the daemon's environment to be read
        _libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        _libc.prctl(_SET_NAME, name, 0, 0, 0)

    def ready(self, timeout: float | None) -> list[int]:
        """Wait, reap all that ended, answer the descriptors that have something to read."""
        events = self.poll.poll(None if timeout is None else max(0.0, timeout) * 1000)
        with contextlib.suppress(BlockingIOError):
            while len(os.read(self.pulse, 512)) == 512:
                pass
        self.reap()
        return [fd for fd, _ in events if fd != self.pulse]

    def reap(self) -> None:
        self.childless = False
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self.reaped(*ended)
            return
        self.childless = True

    def reaped(self, pid: int, status: int) -> None:
        raise NotImplementedError


def _never_fork() -> None:
    """What runs now starts no process, whatever it is told; root alone is not held by this."""
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


@contextlib.contextmanager
def _first_to_die() -> Iterator[bool]:
    """What is started now inherits a higher oom_score_adj; the keeper goes back to its own. False: it may not do so.

    The files of a process that may not be looked into are root's, and a keeper is as closed as the daemon was.
    """
    before = _oom_adj()
    raised = _set_oom_adj("self", before + OOM_ADJ)
    try:
        yield raised
    finally:
        if raised:
            _set_oom_adj("self", before)


def _oom_adj() -> int:
    with contextlib.suppress(OSError, ValueError):
        return int(Path("/proc/self/oom_score_adj").read_text())
    return 0


def _set_oom_adj(pid: int | str, value: int) -> bool:
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(min(1000, value)))
        return True
    return False


def _raise_oom_adj(pid: int) -> None:
    """Of a leader that has begun just now: for a moment it is still as closed as its keeper, before it starts anything."""
    value = _oom_adj() + OOM_ADJ
    for _ in range(OOM_TRIES):
        if _set_oom_adj(pid, value):
            return
        time.sleep(0.0002)


class Keeper(Reaper):
    """One job: start its leader, wait for its end or for the order to end it, leave nothing of it alive."""

    def __init__(self, sock: int, place: Path | None = None) -> None:
        super().__init__(b"sando-keeper")
        self.sock = socket.socket(fileno=sock)
        self.cell = Cell(place, os.getpid()) if place else None
        self.oom_file = oom_file()
        self.oom_kills = 0
        self.output = -1
        self.input = subprocess.DEVNULL
        self.leader = 0
        self.status: int | None = None
        self.cwd = ""
        self.full = ""  # that the leader failed where there was no room
        self.deadline: float | None = None  # when the order to end it becomes SIGKILL
        self.orphaned = False  # the daemon is gone

    def run(self) -> None:
        if self.cell:
            self.cell.enter()
        request = self._request()
        if request is None or not self._start(request):
            return
        self.poll.register(self.sock, select.POLLIN)
        while self.status is None and self.deadline is None:
            self._turn(None)
        left = [] if self.deadline is not None else self._left_behind()
        self._terminate()
        self._kill()
        code = None if self.status is None else os.waitstatus_to_exitcode(self.status)
        stuck = [] if self.childless else [p.name for p in tree(os.getpid())]
        starved = oom_kills(self.oom_file) - self.oom_kills
        self._answer(exit=code, left=[p.name for p in left], stuck=stuck, oom=starved, full=self.full)

    def reaped(self, pid: int, status: int) -> None:
        if pid == self.leader:
            self.status = status
            self.full = no_room(self.cwd) if status else ""  # before anything of it is cleared away

    def _request(self) -> dict[str, Any] | None:
        """A spare keeper waits here. Output, and input if any, come with the head; no head, and the daemon is gone."""
        head, given, _, _ = socket.recv_fds(self.sock, SIZE.size, 2, socket.MSG_CMSG_CLOEXEC)
        if len(head) != SIZE.size or not given:
            return None
        self.output, *more = given
        self.input = more[0] if more else subprocess.DEVNULL
        with self.sock.makefile("rb") as stream:
            body = stream.read(SIZE.unpack(head)[0])
        return dict(json.loads(body)) if body else None

    def _start(self, request: dict[str, Any]) -> bool:
        folder = request.get("folder")
        given: list[int] = []
        self.oom_kills = oom_kills(self.oom_file)
        try:
            given += [os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)] if folder else []
            path = f"/proc/self/fd/{given[0]}" if given else FOLDER
            with _first_to_die() as inherited:
                leader = subprocess.Popen(
                    [word.replace(FOLDER, path) for word in request["argv"]],
                    cwd=request["cwd"],
                    env={name: value.replace(FOLDER, path) for name, value in request["env"].items()},
                    stdin=self.input,
                    stdout=self.output,
                    stderr=self.output,
                    start_new_session=True,
                    umask=0o022,
                    pass_fds=given,
                    preexec_fn=_never_fork if request.get("alone") else None,  # noqa: PLW1509  (there are no threads here)
                    **request.get("account", {}),
                )
        except (OSError, ValueError) as error:
            number = getattr(error, "errno", None) or 0
            where = {request["cwd"]: "cwd", folder: "fork"}.get(
                getattr(error, "filename", None) or "", "argv"
            )
            self._answer(errno=number, text=str(error), where=where)
            return False
        for fd in (self.output, self.input, *given):
            if fd != subprocess.DEVNULL:
                os.close(fd)
        leader.returncode = 0  # reaped here, not by subprocess
        self.leader, self.cwd = leader.pid, request["cwd"]
        if not inherited:
            _raise_oom_adj(leader.pid)
        if self.cell:
            self.cell.leave()
        self._answer(pid=leader.pid, keeper=os.getpid())
        return True

    def _turn(self, timeout: float | None) -> None:
        if self.ready(timeout):
            self._listen()

    def _listen(self) -> None:
        try:
            data = self.sock.recv(4096)
        except OSError:
            data = b""
        if not data:
            self.orphaned = True
            self.poll.unregister(self.sock)
            self._hurry(0.0)
        for line in data.splitlines():  # "end SECONDS", far below what a stream would cut in two
            self._hurry(float(line.split()[1]))

    def _hurry(self, grace: float) -> None:
        wanted = time.monotonic() + grace
        self.deadline = wanted if self.deadline is None else min(self.deadline, wanted)

    def _left_behind(self) -> list[Proc]:
        until = time.monotonic() + LINGER_S
        self.reap()
        while not self.childless and time.monotonic() < until and self.deadline is None:
            self._turn(until - time.monotonic())
        self._hurry(LEFT_GRACE_S)
        return [] if self.childless else tree(os.getpid())

    def _terminate(self) -> None:
        """SIGTERM to all of the tree, then wait for it until the deadline, which may come nearer meanwhile."""
        if not self._waits():
            return
        leads, told = self.status is None, self._ask_to_end(set())
        while self._waits():
            self._turn(self._left())
            if leads and self.status is not None:  # what it has started meanwhile has not heard of it
                leads, told = False, self._ask_to_end(told)

    def _ask_to_end(self, told: set[int]) -> set[int]:
        """Each is told once: to many programs a second SIGTERM means to stop cleaning up."""
        fresh = [proc.pid for proc in tree(os.getpid()) if proc.pid not in told]
        for pid in fresh:
            send(pid, signal.SIGTERM)
            send(pid, signal.SIGCONT)  # a stopped process would sleep through its grace
        return told.union(fresh)

    def _left(self) -> float:
        return 0.0 if self.deadline is None else self.deadline - time.monotonic()

    def _waits(self) -> bool:
        return not self.childless and self._left() > 0

    def _kill(self) -> None:
        until = time.monotonic() + KILL_LIMIT_S
        while not self.childless and time.monotonic() < until:
            if self.cell and self.cell.held:
                self.cell.kill()
            slay(os.getpid())
            self._turn(0.005)

    def _answer(self, **fields: object) -> None:
        with contextlib.suppress(OSError):  # the daemon is gone: nobody to tell
            self.sock.sendall(json.dumps(fields).encode() + b"\n")
