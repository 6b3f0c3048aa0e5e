"""An event as a WebSocket frame and a page carry it."""

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from sando.model.events import EventType
from sando.model.wire.stamp import Stamp


class Event(Struct, frozen=True):
    """A fact; `seq` rises without gaps. What `data` has depends on `type`."""

    seq: int
    at: Stamp
    type: EventType
    operation: int | None
    tier: str | None
    node: str | None
    version: str | None
    sha: str | None
    actor: str | None
    data: dict[str, Any]


class EventPage(Struct, frozen=True):
    """Ascending; `seq` is the `since` to go on from. `reset`: what lies between is gone, so look at /state anew."""

    events: tuple[Event, ...]
    seq: int
    reset: bool | UnsetType = UNSET
