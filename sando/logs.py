"""How the daemon speaks to stderr: a line a record, as text or as JSON. It knows nothing of what is said."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

from sando.model.clock import stamp
from sando.model.names import visible


class TextFormat(logging.Formatter):
    """`2026-11-23T10:00:00.000Z INFO tiers: …`; a record of several lines stays one record, indented."""

    def format(self, record: logging.LogRecord) -> str:
        at = stamp(datetime.fromtimestamp(record.created, UTC))
        text = visible(super().format(record)).replace("\n", "\n    ")
        return f"{at} {record.levelname} {record.name}: {text}"


class JsonFormat(logging.Formatter):
    """One object a line: `at`, `level`, `logger`, `message`, and `traceback` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "at": stamp(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said)  # in ASCII: a terminal may be what reads it


def set_up(form: Literal["text", "json"]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormat() if form == "json" else TextFormat())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in ("pykka", "paramiko"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
