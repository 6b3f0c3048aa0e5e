"""How the daemon speaks to stderr: a line a record, as text or as JSON. It knows nothing of what is said.

Where stderr is the journal, each line begins with its priority (sd-daemon(3)), and text has no time of its own.
"""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Literal

from sando.model.clock import stamp
from sando.model.names import visible

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


def set_up(form: Literal["text", "json"]) -> None:
    handler = logging.StreamHandler(sys.stderr)
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
