"""The processes that contain one job's tree each; they know no daemon, only the sockets that they were given.

A spawner, single-threaded and forked early, forks one keeper for each job. The keeper is the child subreaper of
that job alone: whatever double-forks or leaves its session comes back to it, and it kills all of it on "end", when
the leader has ended, and when the daemon's end of the socket closes. Standard library only: this file also runs as
a script, where a fork of the daemon is no longer safe.
"""

import contextlib
import ctypes
import fcntl
import gc
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Collection
from typing import Any, NamedTuple, NoReturn

LINGER_S = 0.3  # what ends by itself shortly after the leader (a `tee`) is not counted as left behind
LEFT_GRACE_S = 2.0
KILL_LIMIT_S = 30.0  # a process that SIGKILL does not end by then is named as stuck
SIZE = struct.Struct("!Q")

_SET_NAME = 15
_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


class Proc(NamedTuple):
    pid: int
    parent: int
    group: int
    name: str


class Reaper:
    """Waits for sockets and for the ends of children in one poll; shared by spawner and keeper."""

    def __init__(self, name: bytes) -> None:
        self.childless = False
        self.poll = select.poll()
        self._pulse, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self.poll.register(self._pulse, select.POLLIN)
        _libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        _libc.prctl(_SET_NAME, name, 0, 0, 0)

    def ready(self, timeout: float | None) -> list[int]:
        """Wait, reap all that ended, answer the descriptors that have something to read."""
        events = self.poll.poll(None if timeout is None else max(0.0, timeout) * 1000)
        with contextlib.suppress(BlockingIOError):
            while len(os.read(self._pulse, 512)) == 512:
                pass
        self._reap()
        return [fd for fd, _ in events if fd != self._pulse]

    def _reap(self) -> None:
        self.childless = False
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self.reaped(*ended)
            return
        self.childless = True

    def reaped(self, pid: int, status: int) -> None:
        raise NotImplementedError


class Keeper(Reaper):
    """One job: start its leader, wait for its end or for the order to end it, leave nothing of it alive."""

    def __init__(self, sock: int, output: int) -> None:
        super().__init__(b"sando-keeper")
        self.sock = socket.socket(fileno=sock)
        self.output = output
        self.leader = 0
        self.status: int | None = None
        self.deadline: float | None = None  # when the order to end it becomes SIGKILL
        self.orphaned = False  # the daemon is gone

    def run(self) -> None:
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
        self._answer(exit=code, left=[p.name for p in left], stuck=stuck)

    def reaped(self, pid: int, status: int) -> None:
        if pid == self.leader:
            self.status = status

    def _request(self) -> dict[str, Any] | None:
        with self.sock.makefile("rb") as stream:
            head = stream.read(SIZE.size)
            body = stream.read(SIZE.unpack(head)[0]) if len(head) == SIZE.size else b""
        return dict(json.loads(body)) if body else None

    def _start(self, request: dict[str, Any]) -> bool:
        try:
            leader = subprocess.Popen(
                request["argv"],
                cwd=request["cwd"],
                env=request["env"],
                stdin=subprocess.DEVNULL,
                stdout=self.output,
                stderr=self.output,
                start_new_session=True,
                umask=0o022,
            )
        except (OSError, ValueError) as error:
            number = getattr(error, "errno", None) or 0
            in_cwd = getattr(error, "filename", None) == request["cwd"]
            self._answer(errno=number, text=str(error), where="cwd" if in_cwd else "argv")
            return False
        os.close(self.output)
        leader.returncode = 0  # reaped here, not by subprocess
        self.leader = leader.pid
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
        self._reap()
        while not self.childless and time.monotonic() < until and self.deadline is None:
            self._turn(until - time.monotonic())
        self._hurry(LEFT_GRACE_S)
        return [] if self.childless else tree(os.getpid())

    def _terminate(self) -> None:
        """SIGTERM to all of the tree, then wait for it until the deadline, which may come nearer meanwhile."""
        if not self._waits():
            return
        for proc in tree(os.getpid()):
            send(proc.pid, signal.SIGTERM)
            send(proc.pid, signal.SIGCONT)  # a stopped process would sleep through its grace
        while self._waits():
            self._turn(self._left())

    def _left(self) -> float:
        return 0.0 if self.deadline is None else self.deadline - time.monotonic()

    def _waits(self) -> bool:
        return not self.childless and self._left() > 0

    def _kill(self) -> None:
        until = time.monotonic() + KILL_LIMIT_S
        while not self.childless and time.monotonic() < until:
            slay(os.getpid())
            self._turn(0.005)

    def _answer(self, **fields: object) -> None:
        with contextlib.suppress(OSError):  # the daemon is gone: nobody to tell
            self.sock.sendall(json.dumps(fields).encode() + b"\n")


class Spawner(Reaper):
    """Forks keepers until the daemon's end of the socket closes; buries what a killed keeper leaves.

    It holds a copy of each keeper's end until then, so that the daemon reads the end of the stream only once
    nothing of the job is left.
    """

    def __init__(self, sock: int) -> None:
        super().__init__(b"sando-spawner")
        self.sock = socket.socket(fileno=sock)
        self.keepers: dict[int, int] = {}

    def run(self) -> None:
        self.poll.register(self.sock, select.POLLIN)
        serving = True
        while serving or self.keepers:
            if self.ready(None) and not self._serve():
                self.poll.unregister(self.sock)
                serving = False

    def reaped(self, pid: int, status: int) -> None:
        copy = self.keepers.pop(pid, None)
        if copy is None:
            return
        until = time.monotonic() + KILL_LIMIT_S
        while status and slay(os.getpid(), self.keepers) and time.monotonic() < until:
            time.sleep(0.005)
        os.close(copy)

    def _serve(self) -> bool:
        try:
            message, fds, _, _ = socket.recv_fds(self.sock, 16, 2, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            return False
        if message and len(fds) == 2:
            self._fork(*fds)
        return bool(message)

    def _fork(self, sock: int, output: int) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            answer = {"errno": error.errno, "text": str(error), "where": "fork"}
            os.write(sock, json.dumps(answer).encode() + b"\n")
            os.close(sock)
        else:
            if not pid:
                self._become_keeper(sock, output)
            self.keepers[pid] = sock
        os.close(output)

    def _become_keeper(self, sock: int, output: int) -> NoReturn:
        status = 1
        try:
            # A copy of another keeper's end would hide that keeper's end from the daemon.
            for other in (self.sock.fileno(), self._pulse, signal.set_wakeup_fd(-1), *self.keepers.values()):
                os.close(other)
            os.setsid()
            os.set_inheritable(sock, False)
            os.set_inheritable(output, False)
            Keeper(sock, output).run()
            status = 0
        finally:
            os._exit(status)


def serve(sock: int) -> NoReturn:
    """Be the spawner on this end of a SOCK_SEQPACKET pair; never returns, never runs the parent's exit handlers."""
    try:
        Spawner(_settle(sock)).run()
    finally:
        os._exit(0)


def tree(root: int, skip: Collection[int] = ()) -> list[Proc]:
    """The living descendants of `root`, parents before children; subtrees of `skip` are left out."""
    children: dict[int, list[Proc]] = {}
    for pid in _pids():
        if proc := _look(pid):
            children.setdefault(proc.parent, []).append(proc)
    found: list[Proc] = []
    todo = [root]
    while todo:
        born = [p for p in children.get(todo.pop(0), ()) if p.pid not in skip]
        found += born
        todo += [p.pid for p in born]
    return [p for p in found if p.group]


def slay(root: int, skip: Collection[int] = ()) -> int:
    """SIGKILL to all of the tree; how many took it. One round: call it until nothing is left."""
    killed = 0
    for (
        pid
    ) in _pids():  # a chain of short-lived forks is gone before a whole scan is done: direct children at once
        proc = _look(pid)
        if proc and proc.group and proc.parent == root and pid not in skip:
            killed += send(pid, signal.SIGKILL)
    own = os.getpgrp()
    procs = tree(root, skip)
    for group in {p.group for p in procs} - {own, root}:
        with contextlib.suppress(OSError):  # one call for a whole group: its forks cannot slip through
            os.killpg(group, signal.SIGKILL)
    return killed + sum(send(p.pid, signal.SIGKILL) for p in procs)


def send(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except OSError:  # gone, or another user's
        return False
    return True


def _pids() -> list[int]:
    """All pids, youngest first."""
    with open("/proc/loadavg", encoding="ascii") as stream:  # noqa: PTH123  (pathlib costs its import in the script)
        last = int(stream.read().split()[-1])
    return sorted((int(n) for n in os.listdir("/proc") if n.isdigit()), key=lambda pid: (last - pid) % 2**22)


def _look(pid: int) -> Proc | None:
    """One process; group 0 stands for a zombie, which needs no killing but may still have children."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:  # noqa: PTH123
            head, _, rest = stream.read().rpartition(b")")
    except OSError:
        return None
    state, parent, group = rest.split()[:3]
    name = head.partition(b"(")[2].decode("utf-8", "replace")
    return Proc(pid, int(parent), 0 if state in {b"Z", b"X"} else int(group), name)


def _settle(sock: int) -> int:
    """Leave the daemon's session, descriptors and signals; answers the number that the socket has from now on."""
    with contextlib.suppress(PermissionError):  # already a leader, when started as a script
        os.setsid()
    kept = fcntl.fcntl(sock, fcntl.F_DUPFD_CLOEXEC, 3)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
    os.chdir("/")
    _default_signals()
    gc.disable()
    gc.freeze()  # a collection would only touch, and so copy, the pages shared with the daemon
    return kept


def _default_signals() -> None:
    # An ignored signal stays ignored through exec, a handled one becomes the default: so commands begin clean,
    # and what a terminal sends is heard by nobody here. SIGPIPE and SIGXFSZ are restored by subprocess.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD):
        signal.signal(number, lambda _number, _frame: None)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
