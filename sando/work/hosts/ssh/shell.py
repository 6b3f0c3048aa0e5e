"""A shell on a node that stays open: one call is one line to its stdin and one marked answer; it knows no deploy.

A login shell, its rc files and a fork of sshd cost a node tens of milliseconds, and a round trip each; a call of a
shell that is there costs a fifth of one. What comes out before the mark of the shell's birth (a motd, the output of
rc files) is nobody's answer. The login shell itself, be it csh or fish, is given one constant command.
"""

import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from secrets import token_hex

from paramiko import Channel

from sando.model.names import visible
from sando.work.cancel import CancelToken

LOGIN = "exec /bin/sh"
_CHUNK = 2**18
_MOST = 16 * 2**20  # bytes of one answer; a node that floods is cut off
_OUTPUT = b"@output "
_SAID = 2000  # characters of what was said that are told


class ShellLost(Exception):
    """The shell is gone; `said` is what came last, in words that may be shown."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said


@dataclass(frozen=True, slots=True)
class Reply:
    """What a call answered: its exit status, its `@key value` lines, and everything else that it said."""

    status: int
    facts: tuple[tuple[str, str], ...]
    said: str
    output: bytes
    """What a command wrote, as it is; the call says `@output` before it."""

    @property
    def ok(self) -> bool:
        return self.status == 0

    def get(self, key: str) -> str | None:
        return next((value for k, value in self.facts if k == key), None)

    def all(self, key: str) -> tuple[str, ...]:
        return tuple(value for k, value in self.facts if k == key)


class Shell:
    """One channel, used by one thread at a time. After any failure it is of no use any more: `close` it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._mark = token_hex(8).encode()
        self._calls = 0
        self._heard = bytearray()
        self._stir = threading.Event()
        channel.set_combine_stderr(True)

    def begin(self, script: str, until: float, cancel: CancelToken) -> Reply:
        """Turn the login shell into this one, and let it read `script`. ShellLost tells what came instead."""
        self._channel.exec_command(LOGIN)
        self._channel.in_buffer.set_event(self._stir)
        self._send(f"{script}\nprintf '\\n%s 0 0\\n' {self._mark.decode()}\n".encode(), until)
        self.answer(until, cancel)  # a motd and whatever else came first
        return self.call("hello", until, cancel)

    def call(self, line: str, until: float, cancel: CancelToken, feed: "Feed | None" = None) -> Reply:
        """`ask`, then `answer`. With `feed` the line reads that many bytes from stdin once it has said `@ready`."""
        self.ask(line, until, cancel, ends=feed is not None)
        if feed is not None:
            self._await(lambda: self.early("ready") is not None, until, cancel)
            feed.pour(self._send, cancel)
            until = feed.until()
        return self.answer(until, cancel)

    def ask(self, line: str, until: float, cancel: CancelToken, *, ends: bool = False) -> None:
        """Have one line of shell run, quoted already; `until` is of time.monotonic.

        `ends`: it reads stdin itself, and should it fail, the shell ends with it: what is left of the stream must
        never be taken for commands.
        """
        cancel.check()
        self._calls += 1
        self._heard.clear()
        body = f"( {line}\n)" + (" || exit" if ends else " </dev/null")
        end = f"printf '\\n%s %s %s\\n' {self._mark.decode()} {self._calls} $?"
        # One compound command: a shell that reads its stdin line by line (bash) has all of it before the call begins,
        # else what the call reads from stdin would begin with the rest of it.
        self._send(f"{{ {body}\n{end}\n}}\n".encode(), until)

    def answer(self, until: float, cancel: CancelToken) -> Reply:
        """What the last `ask` led to; to be asked for again after a TimeoutError. Raises Cancelled, ShellLost."""
        self._await(lambda: self._status() is not None, until, cancel)
        return self._reply()

    def early(self, key: str) -> str | None:
        """The value of a fact of the running call, as soon as it has been said."""
        found = re.search(rb"^@%s (.*)\n" % key.encode(), self._heard, re.MULTILINE)
        return found[1].decode("utf-8", "replace") if found else None

    def close(self) -> None:
        self._channel.close()

    @property
    def usable(self) -> bool:
        return not (self._channel.closed or self._channel.eof_received)

    def _send(self, data: bytes | memoryview, until: float) -> None:
        self._channel.settimeout(max(0.01, until - time.monotonic()))
        try:
            self._channel.sendall(data)  # type: ignore[arg-type]
        except TimeoutError:
            raise
        except OSError as error:
            self._take()
            raise ShellLost(self._last()) from error

    def _await(self, there: Callable[[], bool], until: float, cancel: CancelToken) -> None:
        drop = cancel.on_cancel(self._stir.set)
        try:
            while not there():
                cancel.check()
                if (left := until - time.monotonic()) <= 0:
                    raise TimeoutError
                self._stir.wait(left)
                over = self._channel.closed or self._channel.eof_received
                if not self._take() and over and not there():
                    raise ShellLost(self._last())
        finally:
            drop()

    def _take(self) -> bool:
        """What has come, without waiting; False when there was nothing."""
        self._stir.clear()
        before = len(self._heard)
        while self._channel.recv_ready():
            self._heard += self._channel.recv(_CHUNK)
        if len(self._heard) > _MOST:
            raise ShellLost(f"more than {_MOST >> 20} MiB of output")
        return len(self._heard) > before

    @property
    def _end(self) -> bytes:
        return b"\n%s %d " % (self._mark, self._calls)

    def _status(self) -> int | None:
        at = self._heard.rfind(self._end)
        if at < 0 or (end := self._heard.find(b"\n", at + 1)) < 0:
            return None
        return int(self._heard[at + len(self._end) : end])

    def _reply(self) -> Reply:
        status = self._status() or 0
        head, _, body = bytes(self._heard[: self._heard.rfind(self._end)]).partition(_OUTPUT)
        facts, rest = [], []
        for text in head.decode("utf-8", "replace").split("\n"):
            if found := re.fullmatch(r"@([a-z]+) (.*)", text):
                facts.append((found[1], found[2]))
            else:
                rest.append(text)
        return Reply(status, tuple(facts), shorten(rest), body.partition(b"\n")[2])

    def _last(self) -> str:
        return shorten(bytes(self._heard[-_SAID:]).decode("utf-8", "replace").splitlines())


class Feed:
    """Bytes for a call's stdin. The deadline moves on with every piece that goes out: slow is not stuck."""

    def __init__(self, data: memoryview, progress_s: float, after_s: float) -> None:
        self.size = len(data)
        self._data = data
        self._progress_s = progress_s
        self._after_s = after_s
        self.on_progress: Callable[[float], None] = lambda _seconds: None

    def pour(self, send: Callable[[memoryview, float], None], cancel: CancelToken) -> None:
        for start in range(0, self.size, _CHUNK):
            cancel.check()
            self.on_progress(self._progress_s)
            send(self._data[start : start + _CHUNK], time.monotonic() + self._progress_s)
        self.on_progress(self._after_s)

    def until(self) -> float:
        """The node has all of it: how long it may take to unpack and hash."""
        return time.monotonic() + self._after_s


def shorten(lines: Iterable[str]) -> str:
    """Lines of a node as one that can be shown."""
    said = "; ".join(visible(line.strip()) for line in lines if line.strip() and not line.startswith("@"))
    return said if len(said) <= _SAID else f"… {said[-_SAID:]}"
