"""A command on a node: run to its end with a deadline, its output told while it runs, or ended with all it started."""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from secrets import token_hex

from sando.model.clock import span
from sando.model.errors import Cancelled, WorkError
from sando.model.names import visible
from sando.model.topology import Command
from sando.work.cancel import CancelToken
from sando.work.environment import command_argv
from sando.work.hosts.script import words
from sando.work.hosts.ssh.calls import LOST, Calls
from sando.work.hosts.ssh.line import Line
from sando.work.hosts.ssh.shell import Reply
from sando.work.log import OpLog
from sando.work.running import Exit

_PEEK_S = 1.0
_GRACE_S = 5.0
_ANSWER_S = 10.0
_LAST_LINES = 50


class Remote:
    """What `Running` is for a local command. `limit`: the node kills it after so many seconds, come what may."""

    def __init__(
        self, line: Line, command: Command, *, cwd: str, env: Mapping[str, str], log: OpLog | None,
        cancel: CancelToken, step: str, limit: float | None = None,
    ) -> None:  # fmt: skip
        self.stuck: tuple[str, ...] = ()
        self._calls = Calls(line, cancel)
        self._cancel = cancel
        self._log = log
        self._step = step
        self._number = token_hex(4)
        self._heard = 0
        self._text = b""
        self._exit: Exit | None = None
        self._calls.fresh()
        argv = ("env", *(f"{k}={v}" for k, v in env.items()), *command_argv(command))
        seconds = "" if limit is None else round(limit)
        self._program = None if isinstance(command, str) else command[0]
        self._shell = line.borrow(cancel)
        with self._told():
            until = time.monotonic() + _ANSWER_S
            self._shell.ask(words("run", self._number, seconds, cwd, *argv), until, cancel)

    @property
    def text(self) -> str:
        """What it wrote, both streams: the last of it where it was much."""
        return self._text.decode("utf-8", "replace")

    def poll(self) -> Exit | None:
        return self.wait(0.0)

    def wait(self, seconds: float) -> Exit | None:
        """Its end, or None when the time has passed. WorkError where nothing can be known; raises Cancelled."""
        until = time.monotonic() + seconds
        while self._exit is None:
            peek = time.monotonic() + _PEEK_S
            with self._told():
                try:
                    self._settle(self._shell.answer(min(until, peek), self._cancel))
                except TimeoutError:
                    if time.monotonic() >= until:
                        return None
                    self._peek()
        return self._exit

    def ask_end(self, _grace: float = 0.0) -> None:
        """Whoever cancels has cancelled the token already by which every wait here ends."""

    def end(self, grace: float = _GRACE_S) -> Exit:
        """SIGTERM to its session, SIGKILL after `grace` seconds. WorkError where the node cannot be told any more."""
        if self._exit is not None:
            return self._exit
        pid = self._shell.early("pid")
        own = CancelToken()
        with self._told():
            if pid is not None:
                Calls(self._calls.line, own).ask("finish", pid, round(grace), seconds=grace + _ANSWER_S)
            self._settle(self._shell.answer(time.monotonic() + _ANSWER_S, own), ended=True)
        return self._exit or Exit(None, None, ended=True)

    def _settle(self, reply: Reply, *, ended: bool = False) -> None:
        self._calls.line.give_back(self._shell)
        self._calls.fine(reply)
        status = int(reply.get("status") or 0)
        size = int(reply.get("size") or 0)
        self._text = reply.output
        self._tell(reply.output[-max(1, size - self._heard) :] if size > self._heard else b"")
        self._see_that_it_started(status)
        self._exit = (
            Exit(None, status - 128, ended=ended) if status > 128 else Exit(status, None, ended=ended)
        )

    def _see_that_it_started(self, status: int) -> None:
        """The node's `env` says by its status, and in its words, what it could not start."""
        why = {126: "not executable", 127: "command not found"}.get(status)
        if self._program and why and self.text.startswith("env: "):
            raise WorkError(
                self._step, f"{why}: {self._program} ({visible(self.text.strip())})", errored=True
            )

    def _peek(self) -> None:
        """What it said meanwhile, through another shell: also how a link that is dead is noticed before the deadline."""
        reply = self._calls.ask("peek", self._number, self._heard, seconds=_ANSWER_S)
        self._tell(reply.output)

    def _tell(self, data: bytes) -> None:
        self._heard += len(data)
        if self._log is None or not data:
            return
        with contextlib.suppress(OSError):
            fd = self._log.open()
            try:
                os.write(fd, data)
            finally:
                os.close(fd)
            self._log.trim()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except LOST as error:
            raise self._calls.lost(self._step, error, _ANSWER_S) from error


def run_on(
    line: Line, command: Command, *, cwd: str, env: Mapping[str, str], log: OpLog | None, cancel: CancelToken,
    timeout: float, step: str,
) -> tuple[Exit, str]:  # fmt: skip
    """`run_plain` on the node: WorkError when it timed out or the connection was lost; raises Cancelled."""
    remote = Remote(line, command, cwd=cwd, env=env, log=log, cancel=cancel, step=step)
    try:
        ended = remote.wait(timeout)
    except Cancelled:
        with contextlib.suppress(WorkError):
            remote.end()
        raise
    if ended is None:
        remote.end()
        tail = "\n".join(remote.text.splitlines()[-_LAST_LINES:])
        raise WorkError(step, f"timed out after {span(timeout)}; it was killed", tail=tail)
    return ended, remote.text
