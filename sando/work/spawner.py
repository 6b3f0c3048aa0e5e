"""The process that forks keepers, single-threaded and itself forked early; it never runs a command.

Nothing but the standard library, `cell`, `room` and `keeper`: a bare Python runs this too, where a fork of the daemon is no longer
safe.
"""

import contextlib
import fcntl
import gc
import json
import os
import select
import signal
import socket
import time
from typing import NoReturn

from sando.work.cell import Cell, delegated
from sando.work.descendants import slay
from sando.work.keeper import KILL_LIMIT_S, Keeper, Reaper


class Spawner(Reaper):
    """Forks keepers until the daemon's end of the socket closes; buries what a killed keeper leaves.

    It holds a copy of each keeper's end until then, so that the daemon reads the end of the stream only once
    nothing of the job is left.
    """

    def __init__(self, sock: int) -> None:
        super().__init__(b"sando-spawner")
        self.sock = socket.socket(fileno=sock)
        self.keepers: dict[int, int] = {}
        self.place = delegated()

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
        cell = Cell(self.place, pid) if self.place else None
        if cell and status:
            cell.kill()
        until = time.monotonic() + KILL_LIMIT_S
        while status and slay(os.getpid(), self.keepers) and time.monotonic() < until:
            time.sleep(0.005)
        if cell:
            cell.remove()
        os.close(copy)

    def _serve(self) -> bool:
        try:
            message, fds, _, _ = socket.recv_fds(self.sock, 16, 1, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            return False
        if message and fds:
            self._fork(fds[0])
        return bool(message)

    def _fork(self, sock: int) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            answer = {"errno": error.errno, "text": str(error), "where": "fork"}
            os.write(sock, json.dumps(answer).encode() + b"\n")
            os.close(sock)
        else:
            if not pid:
                self._become_keeper(sock)
            self.keepers[pid] = sock

    def _become_keeper(self, sock: int) -> NoReturn:
        status = 1
        try:
            # A copy of another keeper's end would hide that keeper's end from the daemon.
            for other in (self.sock.fileno(), self.pulse, signal.set_wakeup_fd(-1), *self.keepers.values()):
                os.close(other)
            os.setsid()
            os.set_inheritable(sock, False)
            Keeper(sock, self.place).run()
            status = 0
        finally:
            os._exit(status)


def serve(sock: int) -> NoReturn:
    """Be the spawner on this end of a SOCK_SEQPACKET pair; never returns, never runs the parent's exit handlers."""
    try:
        Spawner(_settle(sock)).run()
    finally:
        os._exit(0)


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
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGUSR1,
        signal.SIGCHLD,
    ):
        signal.signal(number, lambda _number, _frame: None)
