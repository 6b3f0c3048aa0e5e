"""How the daemon speaks to stderr: a line a record, as text or as JSON. It knows nothing of what is said.

Where stderr is the journal, each line begins with its priority (sd-daemon(3)), and text has no time of its own.
"""

import json
import logging
import os
import select
import time
from datetime import UTC, datetime
from typing import Literal

from sando.model.clock import stamp
from sando.model.names import visible

PATIENCE_S = 1.0
_PIECE = 4096
"""A pipe that has room at all takes so much without a wait."""
_LOST = ("sandod", logging.WARNING, "", 0, "%d lines were lost here: nobody took what was written to stderr")
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


class TextFormat(logging.Formatter):
    """`2026-11-23T10:00:00.000Z INFO tiers: …`; a record of several lines stays one record, indented."""

    def __init__(self, *, journal: bool = False) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        text = visible(super().format(record))
        if self._journal:  # it takes every line for a record of its own
            mark = f"\n{_mark(record.levelno)}    "
            return f"{_mark(record.levelno)}{record.name}: {text}".replace("\n", mark)
        at = stamp(datetime.fromtimestamp(record.created, UTC))
        text = text.replace("\n", "\n    ")
        return f"{at} {record.levelname} {record.name}: {text}"


class JsonFormat(logging.Formatter):
    """One object a line: `at`, `level`, `logger`, `message`, and `traceback` where there is one."""

    def __init__(self, *, journal: bool = False) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "at": stamp(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        mark = _mark(record.levelno) if self._journal else ""
        return mark + json.dumps(said)  # in ASCII: a terminal may be what reads it


class Sink(logging.Handler):
    """stderr, for those who may not wait for whoever reads it (a pager, a journal that hangs), or has gone.

    What is not taken within a second is lost, and so is all that follows, at once, until there is room; then it is told
    how much that was.
    """

    def __init__(self, fd: int = 2) -> None:
        super().__init__()
        self._fd = fd
        self._room = select.poll()
        self._room.register(fd, select.POLLOUT)
        self._lost = 0
        self._half = False

    def emit(self, record: logging.LogRecord) -> None:
        if self._lost and self._has_room(0.0):
            told = (*_LOST, (self._lost,), None)
            self._lost = 0 if self._write(self.format(logging.LogRecord(*told)), 0.0) else self._lost
        if self._lost or not self._write(self.format(record), PATIENCE_S):
            self._lost += 1

    def _write(self, line: str, seconds: float) -> bool:
        data = b"\n" * self._half + line.encode("utf-8", "backslashreplace") + b"\n"
        until = time.monotonic() + seconds
        whole = len(data)
        while data and self._has_room(until - time.monotonic()):
            try:
                data = data[os.write(self._fd, data[:_PIECE]) :]
            except OSError:  # nobody will ever read it, or not now
                break
        self._half = 0 < len(data) < whole
        return not data

    def _has_room(self, seconds: float) -> bool:
        return any(flags & select.POLLOUT for _, flags in self._room.poll(max(0.0, seconds) * 1000))


def set_up(form: Literal["text", "json"]) -> None:
    handler = Sink()
    journal = to_journal()
    handler.setFormatter(JsonFormat(journal=journal) if form == "json" else TextFormat(journal=journal))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in ("pykka", "paramiko"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def to_journal() -> bool:
    """JOURNAL_STREAM is inherited by all below; it names the device and inode of stderr only where that is the journal."""
    try:
        found = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def priority(level: int) -> str:
    """What a line of that level begins with: nothing, unless the journal reads it."""
    return _mark(level) if to_journal() else ""


def _mark(level: int) -> str:
    return f"<{next((number for least, number in _PRIORITIES if level >= least), 7)}>"
