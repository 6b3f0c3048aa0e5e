"""Who is connected, and for how long each may be silent: deadlines that no trickle moves, a share for each address.

All of it happens on the thread that runs Waitress's loop. It never looks into a request.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

HEADERS_LATE = "the headers of the request did not arrive in time"
BODY_LATE = "the body of the request did not arrive in time"


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, and numbers of connections that have not left as streams."""

    headers_s: float = 10.0
    body_s: float = 30.0
    idle_s: float = 30.0
    """Between an answer and the next request."""
    stalled_s: float = 30.0
    """For an answer of which the client takes nothing."""
    taken_s: float = 120.0
    """For the client to take the whole answer."""
    most: int = 500
    most_of_one: int = 200


class Guest(Protocol):
    """A connection, as far as it is watched. Times are of `clock`; all are read on the loop's thread."""

    address: str

    def at_work(self) -> bool:
        """A request of it is being answered, or its answer is not sent yet: it is not put out for another one."""
        ...

    def quiet_since(self) -> float:
        """When it was opened, or its last answer was given: bytes that complete nothing change nothing."""
        ...

    def overdue(self, limits: Limits, now: float) -> str | None:
        """Why it must go now, empty where there is nobody to tell; None: it may stay."""
        ...

    def dismiss(self, why: str) -> None:
        """Ends it; `why` is told where a request had begun."""
        ...


class Crowd:
    """At most `most` guests, at most `most_of_one` of one address; a silent one goes where one more would be too many."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = monotonic) -> None:
        self.limits = limits
        self.clock = clock
        self._guests: dict[str, list[Guest]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def enter(self, guest: Guest) -> None:
        self._guests.setdefault(guest.address, []).append(guest)
        self._count += 1

    def leave(self, guest: Guest) -> None:
        """Of one that is not in: nothing."""
        there = self._guests.get(guest.address, [])
        if guest in there:
            there.remove(guest)
            self._count -= 1
            if not there:
                del self._guests[guest.address]

    def room_for(self, address: str) -> bool:
        """Whether one more may come from there, once the most silent one has gone where there were enough."""
        there = self._guests.get(address, [])
        if len(there) >= self.limits.most_of_one:
            return _put_out(there)
        return self._count < self.limits.most or self.make_room()

    def make_room(self) -> bool:
        """Puts out a silent one of the address that has most; False when all are at work."""
        crowds = sorted(self._guests.values(), key=len, reverse=True)
        return any(_put_out(there) for there in crowds)

    def sweep(self) -> None:
        """Ends what is overdue; as often as deadlines are to be exact."""
        now = self.clock()
        for there in list(self._guests.values()):
            for guest in list(there):
                why = guest.overdue(self.limits, now)
                if why is not None:
                    guest.dismiss(why)


def _put_out(there: list[Guest]) -> bool:
    silent = [guest for guest in there if not guest.at_work()]
    if not silent:
        return False
    min(silent, key=lambda g: g.quiet_since()).dismiss("")
    return True
