"""The actors as the process sees them: what waits for them, and whether all have gone. It tells them nothing."""

import logging
import time
from collections.abc import Callable

import pykka

from sando.daemon import stacks

log = logging.getLogger("sandod")

LEFT_MOST = 2
"""So many threads of actors that were replaced may be left behind; more are a fault that each successor meets again."""


def inboxes() -> dict[str, int]:
    """Messages that wait, by kind of actor."""
    waiting: dict[str, int] = {}
    for ref in pykka.ActorRegistry.get_all():
        kind = ref.actor_class.__name__.lower()
        waiting[kind] = waiting.get(kind, 0) + ref.actor_inbox.qsize()  # type: ignore[attr-defined]
    return waiting


def too_many_left() -> list[str]:
    """What there is to say when more threads than LEFT_MOST are left behind; else nothing."""
    left = stacks.left_behind()
    return [f"{len(left)} actors that were replaced ({', '.join(left)})"] if len(left) > LEFT_MOST else []


def wait_for_all(seconds: float) -> None:
    """Each stops its children and goes; whoever is left after that hangs. One that was replaced is not waited for."""
    until = time.monotonic() + seconds
    while (left := stacks.still_there()) and time.monotonic() < until:
        time.sleep(0.005)
    if left:
        log.error("actors left at the end, which is a bug: %s", ", ".join(left))


def quietly(call: Callable[[], object]) -> bool:
    """Stopping one that is gone is no error. False: it did not come to its end."""
    try:
        call()
    except (pykka.Timeout, pykka.ActorDeadError) as error:
        log.warning("stopping: %r", error)
        return False
    return True
