"""A deadline that bites: when it passes, or the work is cancelled, something is broken so that a blocked call ends.

paramiko waits without limit in several places (a full socket, the answer to a request); closing its socket is what
ends all of these waits.
"""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from sando.model.errors import Cancelled
from sando.work.cancel import CancelToken


class Watch:
    """`with Watch(10, token, line.drop) as watch:` then `watch.late` says whether it was the deadline."""

    def __init__(self, seconds: float, cancel: CancelToken, bite: Callable[[], None]) -> None:
        self.late = False
        self._until = time.monotonic() + seconds
        self._cancel = cancel
        self._bite = bite
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._wait, name="ssh deadline", daemon=True)
        self._unhook: Callable[[], None] = lambda: None

    @property
    def left(self) -> float:
        return max(0.0, self._until - time.monotonic())

    def extend(self, seconds: float) -> None:
        """There was progress: from now on so many seconds more."""
        self._until = time.monotonic() + seconds

    def __enter__(self) -> Self:
        self._cancel.check()
        self._thread.start()
        self._unhook = self._cancel.on_cancel(self._bite)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._unhook()
        self._over.set()
        self._thread.join()
        if error is not None and self._cancel.cancelled:
            raise Cancelled("told to stop") from error

    def _wait(self) -> None:
        while not self._over.wait(self.left):
            if self.left <= 0:
                self.late = True
                self._bite()
                return
