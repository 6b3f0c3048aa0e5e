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

_LOOKS = 10


class Watch:
    """`with Watch(10, token, connection.drop) as watch:` then `watch.late` says whether it was the deadline.

    With `state`, the deadline moves on whenever that has changed: what moves slowly is not late.
    """

    def __init__(
        self,
        seconds: float,
        cancel: CancelToken,
        bite: Callable[[], None],
        state: Callable[[], object] | None = None,
    ) -> None:
        self.late = False
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._cancel = cancel
        self._bite = bite
        self._state = state
        self._seen = state and state()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._wait, name="ssh deadline", daemon=True)
        self._unhook: Callable[[], None] = lambda: None

    @property
    def left(self) -> float:
        return max(0.0, self._until - time.monotonic())

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
        pause = self._seconds if self._state is None else self._seconds / _LOOKS
        while not self._over.wait(min(self.left, pause)):
            self._look()
            if self.left <= 0:
                self.late = True
                self._bite()
                return

    def _look(self) -> None:
        if self._state is not None and (now := self._state()) != self._seen:
            self._seen = now
            self._until = time.monotonic() + self._seconds
