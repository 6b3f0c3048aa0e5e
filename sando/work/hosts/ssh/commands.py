"""A command on a node: run to its end with a deadline, its output told while it runs, or ended with all it started."""

import contextlib
import math
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from secrets import token_hex

from sando.model.clock import span
from sando.model.errors import Cancelled, WorkError
from sando.model.names import visible
from sando.model.topology import Command
from sando.work.cancel import CancelToken
from sando.work.environment import command_argv
from sando.work.hosts.script import quoted, words
from sando.work.hosts.ssh.calls import Calls
from sando.work.hosts.ssh.line import LOST, Line
from sando.work.hosts.ssh.reply import Reply
from sando.work.hosts.ssh.shell import Shell
from sando.work.log import OpLog, last_lines
from sando.work.running import Exit

PEEK_S = 1.0
ANSWER_S = 10.0
GRACE_S = 3.0
"""With its way to the node and back this stays below the 5 s after its deadline at which nothing runs any more."""
_SLACK_S = 30.0  # the node's own limit comes after ours
_PIECE = 2**16  # bytes that one look brings
_PIECES = 64  # at most, each second
_OURS = re.compile(r"SANDO_[A-Z_]+")  # any other (PATH, IFS) is for the command alone


class Remote:
    """What `Running` is for a local command. `limit`: the node itself kills it after so many seconds, come what may.

    `how` is the call of node.sh that runs it.
    """

    def __init__(
        self, line: Line, command: Command, *, cwd: str, env: Mapping[str, str], log: OpLog | None,
        cancel: CancelToken, step: str, limit: float | None, how: Sequence[object] = ("run",),
    ) -> None:  # fmt: skip
        self.stuck: tuple[str, ...] = ()
        self._calls = Calls(line, cancel)
        self._cancel = cancel
        self._log = log
        self._step = step
        self._limit = None if limit is None else math.ceil(limit)
        self._number = token_hex(4)
        self._heard = 0
        self._text = b""
        self.reply: Reply | None = None
        """All that was answered, once it has ended."""
        self._exit: Exit | None = None
        self._blind = False
        self._program = None if isinstance(command, str) else command[0]
        call = _call(how, self._number, self._limit, cwd, env, command)
        self._calls.fresh()
        with self._told():
            self._shell = self._borrow(line)
            self._shell.ask(call, time.monotonic() + ANSWER_S, cancel)

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
            turn = math.inf if self._blind else time.monotonic() + PEEK_S
            with self._told():
                try:
                    self._settle(self._shell.answer(min(until, turn), self._cancel))
                except TimeoutError:
                    if time.monotonic() >= until:
                        return None
                    self._peek()
        return self._exit

    def ask_end(self, _grace: float = 0.0) -> None:
        """Whoever cancels has cancelled the token already by which every wait here ends."""

    def end(self, grace: float | None = None) -> Exit:
        """SIGTERM to its session, SIGKILL after `grace` seconds (3). WorkError where the node cannot be told any more."""
        grace = GRACE_S if grace is None else grace
        if self._exit is None:
            own = CancelToken()
            with self._told():
                pid = self._shell.early("pid", time.monotonic() + ANSWER_S, own)
            if pid is not None:
                calls = Calls(self._calls.line, own)
                calls.ask("finish", pid, math.ceil(grace), seconds=grace + ANSWER_S)
            try:
                self._settle(self._shell.answer(time.monotonic() + ANSWER_S, own), ended=True)
            except LOST as error:
                self._shell.lose(error)
                if pid is None:
                    raise self._lost(error) from error
        # The node has said that it is gone, be it that its last words were lost with the connection.
        self._exit = self._exit or Exit(None, signal.SIGKILL, ended=True)
        return self._exit

    def _borrow(self, line: Line) -> Shell:
        """Nothing has been started yet: one connection that breaks under it is no harm."""
        try:
            return line.borrow(self._cancel)
        except LOST:
            return line.borrow(self._cancel)

    def _settle(self, reply: Reply, *, ended: bool = False) -> None:
        self._calls.line.give_back(self._shell)
        self.reply = self._calls.fine(reply)
        status = reply.number("status") or 0
        self._text = reply.output
        self._tell_the_rest(reply.output, reply.number("size") or 0)
        self._see_that_it_started(status)
        number = status - 128
        by_signal = number in signal.valid_signals()
        self._exit = Exit(None, number, ended=ended) if by_signal else Exit(status, None, ended=ended)

    def _see_that_it_started(self, status: int) -> None:
        """The node's `env` says by its status, and in its words, what it could not start."""
        why = {126: "not executable", 127: "command not found"}.get(status)
        if self._program and why and self.text.startswith("env: "):
            raise WorkError(
                self._step, f"{why}: {self._program} ({visible(self.text.strip())})", errored=True
            )

    def _peek(self) -> None:
        """What it said meanwhile, through another shell: also how a link that is dead is noticed before the deadline."""
        for _ in range(_PIECES):
            try:
                reply = self._calls.ask("peek", self._number, self._heard, seconds=ANSWER_S)
            except WorkError as error:
                if error.step != "connect":
                    raise WorkError(error.step, f"{error.detail}{self.then}", errored=True) from error
                # Whether it runs is not known from this: its own shell may be as well as ever.
                self._blind = True
                self._say(f"its output is told at its end: {error.detail}")
                return
            self._tell(reply.output)
            if len(reply.output) < _PIECE:
                return

    def _tell_the_rest(self, last: bytes, size: int) -> None:
        """`last` is the end of what it wrote, `size` bytes in all."""
        new = size - self._heard
        if new > len(last):
            self._say(f"[... {new - len(last)} bytes of output were not fetched ...]")
        self._tell(last[-new:] if 0 < new < len(last) else last if new > 0 else b"")

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

    def _say(self, text: str) -> None:
        if self._log is not None:
            self._log.say(text)

    @property
    def then(self) -> str:
        """What is known of it once it is out of reach."""
        then = f": the node ends it within {span(self._limit)} of its start" if self._limit else ""
        return f"; it may still run there{then}"

    def _lost(self, error: BaseException) -> WorkError:
        return self._calls.lost(self._step, error, ANSWER_S, self.then)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except LOST as error:
            if hasattr(self, "_shell"):
                self._shell.lose(error)
            raise self._lost(error) from error


def _call(
    how: Sequence[object], number: str, limit: int | None, cwd: str, env: Mapping[str, str], command: Command
) -> str:
    """The line of shell; `how` runs what follows it. Names that would change what node.sh itself does come by `env`, which costs an exec more."""
    run = (*how, number, "" if limit is None else limit, cwd)
    if isinstance(command, str) and all(_OURS.fullmatch(name) for name in env):
        exports = "".join(f"export {name}={quoted(value)}; " for name, value in env.items())
        return f"{exports}{words(*run, *command_argv(command))}"
    return words(*run, "env", *(f"{k}={v}" for k, v in env.items()), *command_argv(command))


def run_on(
    line: Line, command: Command, *, cwd: str, env: Mapping[str, str], log: OpLog | None, cancel: CancelToken,
    timeout: float, step: str,
) -> tuple[Exit, str]:  # fmt: skip
    """`run_plain` on the node: WorkError when it timed out or the connection was lost; raises Cancelled."""
    # A probe is asked again and again: what guards a command costs the node as much as the probe itself.
    limit = None if log is None else timeout + _SLACK_S
    remote = Remote(line, command, cwd=cwd, env=env, log=log, cancel=cancel, step=step, limit=limit)
    try:
        ended = remote.wait(timeout)
    except Cancelled:
        with contextlib.suppress(WorkError):
            remote.end()
        raise
    if ended is None:
        try:
            remote.end()
        except WorkError as error:
            why = (
                f"{step} timed out after {span(timeout)}, and could not be ended: {error.detail}{remote.then}"
            )
            raise WorkError(step, why, errored=True) from error
        late = f"{step} timed out after {span(timeout)}; it was killed"
        raise WorkError(step, late, tail=last_lines(remote.text))
    return ended, remote.text
