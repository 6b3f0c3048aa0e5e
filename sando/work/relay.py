"""What one command says, on its way from a file of its own into the log that it shares with others; it starts nothing.

Several commands may be at work on one log, and what came from which of them is told nowhere in it.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable

from sando.work.log import OpLog, end_of, read_log

_AT_ONCE = 2**20


class Relay:
    """Passes on whole lines, so that those of others are not cut by them; `told` is what becomes of the bytes."""

    def __init__(self, own: OpLog, log: OpLog, told: Callable[[bytes], bytes] = bytes) -> None:
        self.own = own
        self._log = log
        self._told = told
        self._at = 0

    def pass_on(self, *, whole: bool = False) -> None:
        """All lines that have been said; `whole`: what follows the last of them, too. A full disk loses some, and no more."""
        with contextlib.suppress(OSError):
            self.own.trim()  # before: a flood would grow faster than it is copied
            end = self.own.size()
            while self._at < end:
                data, after = read_log(self.own.path, self._at, _AT_ONCE)
                cut = data.rfind(b"\n") + 1 or (len(data) if whole or len(data) == _AT_ONCE else 0)
                if not cut:
                    break
                self._write(self._told(data[:cut]))
                self._at = after - (len(data) - cut)
            self._log.trim()

    def _write(self, data: bytes) -> None:
        fd = self._log.open()
        try:
            os.write(fd, data)
        finally:
            os.close(fd)


class Apart(Relay):
    """A relay with a file without a name, below which nothing is left whatever happens. Raises OSError."""

    def __init__(self, log: OpLog) -> None:
        os.close(log.open())  # one that cannot be written is told before anything is started
        self._file = tempfile.TemporaryFile(dir=log.path.parent)  # noqa: SIM115  (closed by `close`)
        super().__init__(OpLog(f"/proc/self/fd/{self._file.fileno()}", log.cap), log)

    def text(self) -> str:
        """The last of what was said, 64 KiB at most."""
        return end_of(self.own.path)

    def close(self) -> None:
        """Pass on the rest. What is still at work writes on, to where nobody reads."""
        self.pass_on(whole=True)
        self._file.close()
