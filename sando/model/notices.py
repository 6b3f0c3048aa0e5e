"""What a notifier is told, when it is tried again and when it is given up. Pure: no socket, no process, no clock."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sando.model.clock import stamp
from sando.model.events import Event
from sando.model.names import visible
from sando.model.topology import NotifySpec

EVERYTHING = "*"
GIVE_UP = timedelta(days=1)
"""So old may an event become before one more failure is the last."""
FIRST_S, LONGEST_S = 1.0, 3600.0
NEVER_STATUS = frozenset({400, 413, 422})
"""The receiver refuses this very event; sent again, it would keep all later ones waiting for nothing."""
NEVER_EXIT = 65
"""The same of a command: EX_DATAERR of sysexits.h."""
_FIELDS = ("operation", "tier", "node", "version", "sha", "actor")


def wants(spec: NotifySpec, event: Event) -> bool:
    return EVERYTHING in spec.on or event.type in spec.on


def pause(failures: int, chance: float, asked: float = 0.0) -> float:
    """Seconds until the next attempt: doubled with each failure, spread by `chance` (0 to 1), no less than `asked`."""
    longest = min(LONGEST_S, FIRST_S * 2.0 ** min(failures - 1, 20))
    return max(longest * (0.5 + chance / 2), min(asked, LONGEST_S))


def too_old(event: Event, now: datetime) -> bool:
    return now - event.at > GIVE_UP


def delivery(event: Event) -> str:
    """The same for every attempt, and for no other event, also of another store: by it a receiver knows a repetition."""
    return f"{event.seq}-{int(event.at.timestamp() * 1000)}"


def given_up(name: str, lost: Iterable[Event], error: str, now: datetime) -> Event | None:
    """What is told of it; nothing where all that was lost had told of such a loss: that would go on for ever."""
    lost = tuple(lost)
    if all(event.type == "NotifyFailed" for event in lost):
        return None
    data: dict[str, object] = {
        "notifier": name,
        "events": len(lost),
        "first": lost[0].seq,
        "last": lost[-1].seq,
        "error": error,
    }
    return Event("NotifyFailed", now, data=data)


def environment(event: Event) -> dict[str, str]:
    """What a command gets beside the whole event on its stdin."""
    named = {name: getattr(event, name) for name in _FIELDS}
    found = {"type": event.type, "seq": event.seq, "at": stamp(event.at), **named}
    return {
        f"SANDO_EVENT_{key.upper()}": "" if value is None else visible(str(value)).replace("\n", " ")
        for key, value in found.items()
    }
