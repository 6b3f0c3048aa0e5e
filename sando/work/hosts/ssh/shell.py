"""A shell on a node that stays open: one call is one line to its stdin and one marked answer; it knows no deploy.

A login shell, its rc files and a fork of sshd cost a node tens of milliseconds, and a round trip each; a call of a
shell that is there costs a fifth of one. What comes out before the mark of the shell's birth (a motd, the output of
rc files) is nobody's answer. The login shell itself, be it csh or fish, is given one constant command.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from secrets import token_hex
from typing import Protocol

from paramiko import Channel, SSHException

from sando.work.cancel import CancelToken
from sando.work.hosts.ssh.reply import Reply, parse, shorten
from sando.work.hosts.ssh.watch import Watch

LOGIN = "exec /bin/sh"
LOOK_S = 1.0  # so often it is seen whether an upload is still on its way
_CHUNK = 2**18
_MOST = 16 * 2**20  # bytes of one answer; a node that floods is cut off
_EARLY = 2**16  # what is said early stands in the first of them
_LAST = 2**14
_BLOCKS_FROM = 2**14  # bytes: a shorter line never waits for room in the socket


class Carrier(Protocol):
    """The connection that a shell stands on."""

    def drop(self) -> None: ...
    def unsent(self) -> int: ...


class ShellLost(Exception):
    """The shell is gone; `said` is what came last, in words that may be shown."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said


class Feed:
    """Bytes for a call's stdin: how many went out, and how long the node may take once it has them all."""

    def __init__(self, data: memoryview, after_s: float) -> None:
        self.data = data
        self.after_s = after_s
        self.gone = 0
        self.stuck = False
        """It did not move for too long."""

    @property
    def size(self) -> int:
        return len(self.data)


class Shell:
    """One channel, used by one thread at a time. After any failure it is of no use any more: `lose` it."""

    def __init__(self, channel: Channel, carrier: Carrier) -> None:
        self._channel = channel
        self._carrier = carrier
        self._mark = token_hex(8).encode()
        self._calls = 0
        self._heard = bytearray()
        self._searched = 0
        self._reads = False
        self._spent = False
        self._stir = threading.Event()
        channel.set_combine_stderr(True)

    def begin(self, script: str, until: float, cancel: CancelToken) -> Reply:
        """Turn the login shell into this one, and let it read `script`. ShellLost tells what came instead."""
        self._channel.exec_command(LOGIN)
        self._channel.in_buffer.set_event(self._stir)
        # Both streams as one, in order: else an answer's mark may overtake what was said before it.
        self._send(f"exec 2>&1\n{script}\nprintf '\\n%s 0 0\\n' {self._mark.decode()}\n".encode(), until)
        self._await(
            lambda: self._status() is not None, until, cancel
        )  # among a motd and whatever else comes first
        return self.call("hello", until, cancel)

    def call(self, line: str, until: float, cancel: CancelToken) -> Reply:
        self.ask(line, until, cancel)
        return self.answer(until, cancel)

    def feed(self, line: str, until: float, cancel: CancelToken, feed: Feed) -> Reply:
        """A call that reads `feed` from stdin once it has said `@ready`, by `until`; how it moves, others watch."""
        self.ask(line, until, cancel, ends=True)
        if self.early("ready", until, cancel) is None:
            return self._reply()
        for start in range(0, feed.size, _CHUNK):
            cancel.check()
            self._send(feed.data[start : start + _CHUNK], None, feed)
        until = time.monotonic() + feed.after_s
        while True:
            try:
                return self.answer(min(until, time.monotonic() + LOOK_S), cancel)
            except TimeoutError:
                if self._carrier.unsent():  # still on its way: the node's time has not begun
                    until = time.monotonic() + feed.after_s
                elif time.monotonic() >= until:
                    raise

    @contextmanager
    def moving(self, feed: Feed, seconds: float, cancel: CancelToken) -> Iterator[None]:
        """Around `feed`: breaks the connection when nothing of it has moved for so long. Slow is not stuck."""

        def state() -> object:
            unsent = self._carrier.unsent()
            return (
                (feed.gone, unsent) if unsent or feed.gone < feed.size else object()
            )  # all went out: no matter

        with Watch(seconds, cancel, self._carrier.drop, state) as watch:
            try:
                yield
            finally:
                feed.stuck = watch.late

    def ask(self, line: str, until: float, cancel: CancelToken, *, ends: bool = False) -> None:
        """Have one line of shell run, quoted already; `until` is of time.monotonic.

        `ends`: it reads stdin itself, and should it fail, the shell ends with it: what is left of the stream must
        never be taken for commands.
        """
        cancel.check()
        self._calls += 1
        self._reads = ends
        self._heard.clear()
        self._searched = 0
        say = f"printf '\\n%s %s %s\\n' {self._mark.decode()} {self._calls}"
        how = f"|| {{ {say} $?; exit; }}" if ends else "</dev/null"
        # One compound command: a shell that reads its stdin line by line (bash) has all of it before the call begins,
        # else what the call reads from stdin would begin with the rest of it.
        text = f"{{ ( {line}\n) {how}\n{say} $?\n}}\n".encode()
        guard: AbstractContextManager[object] = nullcontext()
        if len(text) > _BLOCKS_FROM:
            guard = Watch(until - time.monotonic(), cancel, self._carrier.drop)
        with guard:
            self._send(text, until)

    def answer(self, until: float, cancel: CancelToken) -> Reply:
        """What the last `ask` led to; to be asked for again after a TimeoutError. Raises Cancelled, ShellLost."""
        self._await(lambda: self._status() is not None, until, cancel)
        return self._reply()

    def early(self, key: str, until: float, cancel: CancelToken) -> str | None:
        """The value of a fact of the running call as soon as it has been said; None when the call ended without."""
        wanted = re.compile(rb"^@%s (.*)\n" % key.encode(), re.MULTILINE)
        self._await(
            lambda: bool(wanted.search(self._heard, 0, _EARLY)) or self._status() is not None, until, cancel
        )
        found = wanted.search(self._heard, 0, _EARLY)
        return found[1].decode("utf-8", "replace") if found else None

    def lose(self, error: BaseException) -> None:
        """It is not used any more. What did not answer in time, or could not be written to, takes its connection along."""
        if isinstance(error, (OSError, EOFError, SSHException)):
            self._carrier.drop()
        with suppress(SSHException, OSError, EOFError):
            self._channel.close()

    @property
    def usable(self) -> bool:
        return not (self._spent or self._channel.closed or self._channel.eof_received)

    def _send(self, data: bytes | memoryview, until: float | None, feed: Feed | None = None) -> None:
        left = memoryview(data)
        while left:
            self._channel.settimeout(None if until is None else max(0.01, until - time.monotonic()))
            try:
                sent = self._channel.send(left)  # type: ignore[arg-type]
            except TimeoutError:
                raise
            except OSError as error:  # closed: what it said before says why
                self._take()
                raise ShellLost(self._last()) from error
            left = left[sent:]
            if feed is not None:
                feed.gone += sent

    def _await(self, there: Callable[[], bool], until: float, cancel: CancelToken) -> None:
        drop = cancel.on_cancel(self._stir.set)
        try:
            while True:
                self._stir.clear()
                over = not self.usable  # asked before taking: what came before the end is taken
                self._take()
                if there():
                    return
                cancel.check()
                if over:
                    raise ShellLost(self._last())
                if (left := until - time.monotonic()) <= 0:
                    raise TimeoutError
                self._stir.wait(left)
        finally:
            drop()

    def _take(self) -> None:
        """What has come, without waiting."""
        while self._channel.recv_ready():
            self._heard += self._channel.recv(_CHUNK)
            if len(self._heard) > _MOST:
                raise ShellLost(f"{self._last()}; and more than {_MOST >> 20} MiB in all")

    @property
    def _end(self) -> bytes:
        return b"\n%s %d " % (self._mark, self._calls)

    def _status(self) -> int | None:
        end = self._end
        at = self._heard.find(end, self._searched)
        if at < 0:
            self._searched = max(0, len(self._heard) - len(end))
            return None
        self._searched = at
        stop = self._heard.find(b"\n", at + len(end))
        digits = bytes(self._heard[at + len(end) : max(stop, 0)])
        return int(digits) if digits.isdigit() else None

    def _reply(self) -> Reply:
        status = self._status() or 0
        self._spent = self._reads and status != 0
        return parse(status, bytes(self._heard[: self._searched]))

    def _last(self) -> str:
        return shorten(bytes(self._heard[-_LAST:]))
