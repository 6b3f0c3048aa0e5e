"""One sandod a state: a lock on a file beside the database, which names its holder. It knows nothing of the state."""

import fcntl
import os
from pathlib import Path

from sando.model.errors import SandoError


class StateInUse(SandoError):
    """Another sandod holds the state; the text names its pid."""


class OnlyOne:
    """One sandod a state: a lock on a file beside the database, which names the holder."""

    def __init__(self, db_path: str) -> None:
        self._path = Path(f"{db_path}.lock")

    def __enter__(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = self._path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            raise StateInUse(
                f"another sandod (pid {holder}) runs on this state; stop it first, or use another db_path"
            ) from None
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def __exit__(self, *_: object) -> None:
        self._file.close()
