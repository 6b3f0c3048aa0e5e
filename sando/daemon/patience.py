"""The store at a start: a full disk, or another program's lock, is waited for, as a sandod that runs waits for it.

To end instead would be for good: systemd gives up after a few tries, and the room that is made later starts nothing.
"""

import logging
import os
import time
from pathlib import Path
from typing import Any

from sando.model.errors import StoreUnavailable
from sando.model.events import Event
from sando.sd import Notify
from sando.store import Store, StoreRefusedError

log = logging.getLogger("sandod")

AGAIN_S = 2.0
LONGER_S = 60.0
"""By so much systemd's patience is stretched at each try."""
NEEDED = 2**20
"""Bytes without which SQLite may not even open a file; it says that the disk failed then."""


def open_store(store: Store, notify: Notify) -> None:
    """The store's `open`. Raises StoreRefusedError, but not where all that is wrong is the room on its disk."""
    while True:
        try:
            return store.open()
        except StoreRefusedError:
            if _room(store.path) >= NEEDED:
                raise
            _say(notify, f"{store.path} cannot be opened: its disk is full; make room there")
        time.sleep(AGAIN_S)


def save_first(store: Store, notify: Notify, *values: Any) -> tuple[Event, ...]:
    """The store's `save`, tried until it succeeds; whoever looks at the log or at systemd sees what it waits for."""
    while True:
        try:
            return store.save(*values)
        except StoreUnavailable as error:
            _say(
                notify,
                f"{store.path} cannot be written ({error}): make room there, or end the program that locks it",
            )
        time.sleep(AGAIN_S)


def _say(notify: Notify, why: str) -> None:
    log.error("%s; sandod starts as soon as it can be", why)
    notify.say(STATUS=why, EXTEND_TIMEOUT_USEC=int(LONGER_S * 1e6))


def _room(path: str) -> int:
    disk = os.statvfs(Path(path).parent)
    return disk.f_bavail * disk.f_frsize
