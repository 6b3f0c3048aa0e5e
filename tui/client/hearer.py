"""Hears the events: from where the last ones ended, over each loss of the connection, so that none is missed or twice."""

import random
import threading
from collections.abc import Callable

from sando.client.address import Address
from sando.client.caller import Refused, Unreachable
from sando.client.events import Feed as Wire
from sando.client.shapes import Event
from tui.model.messages import Feed, Heard, Message

BEFORE = 200
"""So many are told of what was before the screen was opened."""
FIRST_S = 0.5
SLOWEST_S = 15.0


class Hearer:
    """One thread, which waits until `known` has told where the events stand."""

    def __init__(self, address: Address, post: Callable[[Message], None], nudge: Callable[[], None]) -> None:
        self._post = post
        self._nudge = nudge
        self._address = address
        self._wire: Wire | None = None
        self._since: int | None = None
        self._known = threading.Event()
        self._again = threading.Event()
        self._stopped = threading.Event()

    def known(self, seq: int) -> None:
        """The daemon answers, and this is the place of its last event."""
        if self._since is None:
            self._since = max(0, seq - BEFORE)
        self._known.set()
        self._again.set()

    def stop(self) -> None:
        self._stopped.set()
        self._known.set()
        self._again.set()
        if self._wire:
            self._wire.close()

    def run(self) -> None:
        self._known.wait()
        failures = 0
        while not self._stopped.is_set():
            self._again.clear()
            heard = self._since
            why = self._listen()
            if self._stopped.is_set():
                return
            self._post(Feed(up=False, detail=why))
            failures = 0 if self._since != heard else failures + 1
            seconds = min(SLOWEST_S, FIRST_S * 2.0**failures) * random.uniform(0.8, 1.2)  # noqa: S311  (no secret)
            if self._stopped.wait(min(1.0, seconds / 2)):
                return
            self._again.wait(seconds)

    def _listen(self) -> str:
        """Until the connection ends; the reason why."""
        self._wire = Wire(self._address)
        try:
            for events in self._wire.listen(self._since or 0):
                if events:
                    self._take(events)
                else:
                    self._post(Feed(up=True))
        except Refused as error:
            return error.problem.detail or error.problem.code
        except Unreachable as error:
            return str(error)
        return "closed"

    def _take(self, events: tuple[Event, ...]) -> None:
        for event in events:
            self._since = (
                event.state.seq if event.type == "Reset" and event.state else max(self._since or 0, event.seq)
            )
        self._post(Heard(events))
        self._nudge()
