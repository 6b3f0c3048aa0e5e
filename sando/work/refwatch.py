"""Notices that the branch moved from the file system itself, before the hook has been started. It reads no ref.

The hook still tells the pusher what came of the push, and the tip is looked at once a minute: this one only
saves a push the time that `sh` and `curl` need to start. Where nothing can be watched, it stays silent.
"""

import logging
import os
import select
import threading
from collections.abc import Callable
from pathlib import Path

from inotify_simple import INotify, flags

log = logging.getLogger(__name__)


class RefWatch:
    """Calls `moved` from a thread of its own each time git has put a new value of the branch in place."""

    def __init__(self, bare: str, branch: str, moved: Callable[[], None]) -> None:
        ref = Path(bare, "refs", "heads", branch)
        self._folder, self._name = ref.parent, ref.name
        self._moved = moved
        self._woken, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name="refwatch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.write(self._wake, b"x")
        self._thread.join(5.0)
        os.close(self._woken)
        os.close(self._wake)

    def _run(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with INotify() as inotify:
                # git writes `<ref>.lock` and renames it over the ref.
                inotify.add_watch(self._folder, flags.MOVED_TO | flags.ONLYDIR)
                self._watch(inotify)
        except OSError as error:
            log.warning("%s cannot be watched (%s): pushes are told by the hook alone", self._folder, error)

    def _watch(self, inotify: INotify) -> None:
        poll = select.poll()
        poll.register(inotify.fileno(), select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if self._woken in ready:
                return
            if any(event.name == self._name for event in inotify.read(timeout=0)):
                self._moved()
