"""One sandod a state: locks on files beside all that it writes, which name their holder. It knows nothing of the state."""

import fcntl
import os
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

from sando.model.errors import SandoError


class StateInUse(SandoError):
    """Another sandod holds a part of the state; the text names the part and its pid."""


class OnlyOne:
    """Held while it is entered: the store, the work folder, the releases, the repository, each by its own lock.

    Two daemons that share any one of them would overwrite each other's builds, releases and hook.
    """

    def __init__(self, locks: Iterable[Path]) -> None:
        self._paths = tuple(locks)
        self._stack = ExitStack()

    def __enter__(self) -> None:
        with ExitStack() as stack:
            for path in self._paths:
                stack.enter_context(_take(path))
            self._stack = stack.pop_all()

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _take(path: Path) -> IO[str]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise StateInUse(
            f"another sandod (pid {holder}) uses {path.parent}; stop it first, or give this one folders of its own"
        ) from None
    with suppress(OSError):  # on a full disk it holds all the same, and names nobody
        file.truncate(0)
        os.write(file.fileno(), f"{os.getpid()}\n".encode())
    return file
