"""The way to a node, lent to jobs: whoever lets go of it cuts off no job that is at work on it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sando.work.cancel import CancelToken
from sando.work.hosts.base import Host, Link


class LentLink:
    """A job outlives the actor that owns the way to its node; the last one to end closes what was let go of meanwhile."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._lock = threading.Lock()
        self._jobs = 0
        self._let_go = False

    @contextmanager
    def lend(self, cancel: CancelToken) -> Iterator[Host]:
        """The node for one job, as `Link.host`."""
        with self._lock:
            self._jobs += 1
        try:
            yield self._link.host(cancel)
        finally:
            with self._lock:
                self._jobs -= 1
            self._close()

    def close(self) -> None:
        """Let go of the connection: now, or at the end of the job that is at work on it."""
        with self._lock:
            self._let_go = True
        self._close()

    def _close(self) -> None:
        with self._lock:
            over = self._let_go and not self._jobs
        if over:
            self._link.close()
