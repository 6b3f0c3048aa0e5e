"""What psql and pg_restore say, on its way into the log of the job: files are called there as people know them.

Both are given files by descriptors, since the folders above may be closed to them, and say `/proc/self/fd/7/…` of them.
"""

import re
from functools import partial

from sando.work.log import OpLog
from sando.work.relay import Relay
from sando.work.running import Exit, Running

_MOST_BYTES = 200
_STRANGE = re.compile(r"[^\w.+,@=()\[\] -]|^[-~]")
_OURS = re.compile(rb"/proc/self/fd/[0-9]+/(?:session/[0-9a-f]{8}-)?")
_STDIN = re.compile(rb"(?<=psql:)<stdin>(?=:[0-9])|/proc/self/fd/0\b")


def known_as(name: str) -> str:
    """The name as a message can carry it: what would end it there, or a terminal would act upon, is `_`."""
    return _STRANGE.sub("_", name).encode()[:_MOST_BYTES].decode("utf-8", "ignore") or "_"


def renamed(said: bytes, stdin: str = "stdin") -> bytes:
    """`stdin` is what the file that is read there is called."""
    return _STDIN.sub(lambda _: stdin.encode(), _OURS.sub(b"", said))


class Said:
    """A command that runs, and what it has said so far: passed on by whoever waits for it, and whole once it has ended."""

    def __init__(self, running: Running, own: OpLog, log: OpLog, stdin: str) -> None:
        self._running = running
        self._relay = Relay(own, log, partial(renamed, stdin=stdin))

    @property
    def pid(self) -> int:
        return self._running.pid

    def wait(self, timeout: float | None = None) -> Exit | None:
        ended = self._running.wait(timeout)
        self.pass_on(whole=ended is not None)
        return ended

    def ask_end(self, grace: float) -> None:
        self._running.ask_end(grace)

    def end(self, grace: float) -> Exit:
        try:
            return self._running.end(grace)
        finally:
            self.pass_on(whole=True)

    def pass_on(self, *, whole: bool = False) -> None:
        self._relay.pass_on(whole=whole)
