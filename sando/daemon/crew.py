"""The actors as the process sees them: what waits for them, and whether all have gone. It tells them nothing."""

import logging
import time
from collections.abc import Callable

import pykka

log = logging.getLogger("sandod")


def inboxes() -> dict[str, int]:
    """Messages that wait, by kind of actor."""
    waiting: dict[str, int] = {}
    for ref in pykka.ActorRegistry.get_all():
        kind = ref.actor_class.__name__.lower()
        waiting[kind] = waiting.get(kind, 0) + ref.actor_inbox.qsize()  # type: ignore[attr-defined]
    return waiting


def wait_for_all(seconds: float) -> None:
    """Each stops its children and goes; whoever is left after that hangs."""
    until = time.monotonic() + seconds
    while pykka.ActorRegistry.get_all() and time.monotonic() < until:
        time.sleep(0.005)
    left = pykka.ActorRegistry.get_all()
    if left:
        log.error("actors left at the end, which is a bug: %s", left)


def quietly(call: Callable[[], object]) -> bool:
    """Stopping one that is gone is no error. False: it did not come to its end."""
    try:
        call()
    except (pykka.Timeout, pykka.ActorDeadError) as error:
        log.warning("stopping: %r", error)
        return False
    return True
