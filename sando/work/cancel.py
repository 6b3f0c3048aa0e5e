"""A one-way switch that tells work to stop; it never stops anything itself, it only runs what work hooked to it."""

import logging
import threading
from collections.abc import Callable

from sando.model.errors import Cancelled

log = logging.getLogger(__name__)

Hook = Callable[[], None]


class CancelToken:
    """Thread-safe and idempotent. Hooks run in the thread that cancels, so they must be short."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._hooks: dict[int, Hook] = {}
        self._number = 0

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def cancel(self) -> None:
        """Run every registered hook, each exactly once; one that raises is logged and keeps no other from running."""
        with self._lock:
            self._event.set()
            hooks, self._hooks = self._hooks, {}
        for hook in hooks.values():
            _run(hook)

    def check(self) -> None:
        """Raise Cancelled when cancelled: what work calls between two steps."""
        if self._event.is_set():
            raise Cancelled("told to stop")

    def on_cancel(self, hook: Hook) -> Hook:
        """Run `hook` at cancel, at once when that has been; the answer unregisters it.

        A hook may still be running in another thread while it is unregistered: what it uses must bear that.
        """
        with self._lock:
            self._number += 1
            number = self._number
            late = self._event.is_set()
            if not late:
                self._hooks[number] = hook
        if late:
            _run(hook)
        return lambda: self._drop(number)

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds` and answer whether cancelled: what work uses in place of a sleep."""
        return self._event.wait(max(0.0, seconds))

    def _drop(self, number: int) -> None:
        with self._lock:
            self._hooks.pop(number, None)


def _run(hook: Hook) -> None:
    try:
        hook()
    except Exception:
        log.exception("cancel: a hook raised")
