"""A command in its keeper as the daemon sees it: ask whether it has ended, end it; it starts nothing."""

import contextlib
import json
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sando.model.errors import WorkError
from sando.work.keeper import KILL_LIMIT_S, SIZE
from sando.work.log import OpLog

_SLACK_S = 5.0


@dataclass(frozen=True, slots=True)
class Exit:
    """How a command ended: a code or a signal. `left_behind` counts what was killed after it ended by itself."""

    code: int | None
    signal: int | None
    left_behind: int = 0
    ended: bool = False
    """We ended it: then its signal is ours."""
    oom: int = 0
    """How many processes the kernel killed for lack of memory while it ran: of the whole service, or machine."""
    full: str = ""
    """That there was no room left where it ran, when it failed by itself: then it says nothing of what it was run for."""

    @property
    def ok(self) -> bool:
        return self.code == 0

    def of(self, name: str) -> str:
        """One sentence: "`cargo build --release` ended with exit status 101"."""
        return f"{name} ended with {self}" if self.signal is None else f"{name} was {self}"

    def __str__(self) -> str:
        return self._how() + (f" ({self.full})" if self.full else "")

    def _how(self) -> str:
        starved = self.oom and not self.ok and not self.ended
        if self.signal is None:
            killed = f"{self.oom} process" + ("" if self.oom == 1 else "es")
            return f"exit status {self.code}" + (
                f" (out of memory: the kernel killed {killed})" if starved else ""
            )
        try:
            name = signal.Signals(self.signal).name
        except ValueError:
            name = f"signal {self.signal}"
        strange = self.signal == signal.SIGKILL and not self.ended
        if strange and starved:
            return f"killed by the kernel: out of memory ({name})"
        return f"killed by {name}" + (" (nobody here sent it: out of memory?)" if strange else "")


class Running:
    """Made by `Keepers.spawn`. Ending, waiting and polling may come from different threads.

    The tree is killed at once when this end of the socket closes, however that comes about.
    """

    def __init__(self, sock: socket.socket, step: str, log: OpLog, gone: Callable[["Running"], None]) -> None:
        self.pid = 0
        self.stuck: tuple[str, ...] = ()
        self._keeper = 0
        self._sock = sock
        self._step = step
        self._log = log
        self._gone = gone
        self._lock = threading.Lock()
        self._data = b""
        self._asked = False
        self._exit: Exit | None = None
        self._lost: WorkError | None = None

    def hand_over(self, request: dict[str, object], *streams: int) -> None:
        """Give the waiting keeper its job, with its output and its input if any. Raises OSError.

        Where the keeper is gone, the reason comes as its answer.
        """
        body = json.dumps(request).encode()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self._sock, [SIZE.pack(len(body))], streams)
            self._sock.sendall(body)

    def poll(self) -> Exit | None:
        return self.wait(0.0)

    def wait(self, timeout: float | None = None) -> Exit | None:
        """Wait for the end of the tree; None when `timeout` seconds have passed. WorkError: its keeper was killed."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            self._take()
            if self._exit or self._lost:
                break
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return None
            self._readable(left)
        if self._lost:
            raise self._lost
        return self._exit

    def ask_end(self, grace: float = 10.0) -> None:
        """Tell the keeper to end the tree and return at once; what a cancel hook calls."""
        with self._lock, contextlib.suppress(OSError):
            self._asked = True
            self._sock.sendall(b"end %.3f\n" % max(0.0, grace))

    def end(self, grace: float = 10.0) -> Exit:
        """SIGTERM to the whole tree, SIGKILL after `grace` seconds; returns once nothing of it is alive."""
        self.ask_end(grace)
        ended = self.wait(grace + KILL_LIMIT_S + _SLACK_S)
        if ended is None:  # somebody stopped the keeper: without it the spawner buries the tree
            with contextlib.suppress(OSError):
                os.kill(self._keeper, signal.SIGKILL)
            ended = self.wait(KILL_LIMIT_S + _SLACK_S)
        if ended is None:
            raise WorkError(
                self._step, f"process {self.pid} cannot be ended: look at its state with ps", errored=True
            )
        return ended

    def begun(self, timeout: float) -> dict[str, Any]:
        """The keeper's first answer: `pid`, or `errno`, `text` and `where` of what kept the command from starting."""
        until = time.monotonic() + timeout
        while (answer := self._answer()) is None and time.monotonic() < until:
            self._readable(until - time.monotonic())
            self._receive()
        answer = answer or {"errno": 0, "text": f"no keeper answered within {timeout:g}s", "where": "fork"}
        self.pid, self._keeper = answer.get("pid", 0), answer.get("keeper", 0)
        return answer

    def close(self) -> None:
        with self._lock:
            self._sock.close()
        self._gone(self)

    def _readable(self, seconds: float | None) -> None:
        poll = select.poll()
        with self._lock:
            if self._sock.fileno() < 0:
                return
            poll.register(self._sock, select.POLLIN)
        # Never without an end: another thread may have read the last answer and closed the socket just now.
        poll.poll(max(0.0, min(1.0, 1.0 if seconds is None else seconds)) * 1000)

    def _take(self) -> None:
        if self._exit or self._lost:
            return
        self._receive()
        answer = self._answer()
        if answer is not None and self._settle(answer):
            self.close()

    def _receive(self) -> None:
        with self._lock:
            try:
                data = self._sock.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            lost = {"lost": "its keeper was killed from outside, and the command with it"}
            self._data += data or json.dumps(lost).encode() + b"\n"

    def _answer(self) -> dict[str, Any] | None:
        with self._lock:
            line, found, rest = self._data.partition(b"\n")
            if not found:
                return None
            self._data = rest
            return dict(json.loads(line))

    def _settle(self, answer: dict[str, Any]) -> bool:
        """True for the one thread that heard of the end."""
        with self._lock:
            if self._exit or self._lost:
                return False
            if "lost" in answer:
                self._lost = WorkError(self._step, answer["lost"], errored=True)
                return True
            code, left = answer["exit"], answer["left"]
            self.stuck = tuple(answer["stuck"])
            number = -code if code is not None and code < 0 else None
            full = "" if self._asked else answer.get("full", "")
            oom = answer.get("oom", 0)
            self._exit = Exit(None if number else code, number, len(left), self._asked, oom, full)
        if left:
            self._log.say(f"{_count(left)} left behind, killed: {_names(left)}")
        if self.stuck:
            self._log.say(f"{_count(self.stuck)} could not be killed: {_names(self.stuck)}")
        return True


def _count(names: list[str] | tuple[str, ...]) -> str:
    return f"{len(names)} process" + ("" if len(names) == 1 else "es")


def _names(names: list[str] | tuple[str, ...]) -> str:
    unique = list(dict.fromkeys(names))
    return ", ".join(unique[:10]) + (", ..." if len(unique) > 10 else "")
