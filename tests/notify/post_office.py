"""What stands around the notifiers in their tests: somebody who commits events, and commands that need no process."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from api.shown import event_bytes
from sando.model.clock import Instant
from sando.model.errors import Undelivered
from sando.model.events import Event
from sando.model.topology import NotifySpec
from sando.notify import Notifiers
from sando.store import Store
from tests.api.room import until

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Command:
    """An attempt that does what the test says."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.send = act

    def abort(self) -> None:
        """It is over before anybody could."""


class PostOffice:
    """`happen` commits and publishes; `ran` has what commands were told, `failing` those that fail."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = NOON
        self.ran: list[tuple[str, bytes, dict[str, str]]] = []
        self.failing: set[str] = set()
        self.told = 0
        self.notifiers = self.make()

    def make(self) -> Notifiers:
        return Notifiers(
            self.store,
            lambda: Instant(self.now, "boot", 1.0),
            encode=event_bytes,
            run=self._run,
            told=self._told,
        )

    def restart(self) -> None:
        self.notifiers.close(1.0)
        self.notifiers = self.make()

    def close(self) -> None:
        self.notifiers.close(0.0)

    def _told(self) -> None:
        self.told += 1
        self.notifiers.heard()

    def _run(self, name, _command, body, env) -> Command:
        def act() -> None:
            if name in self.failing:
                raise Undelivered("the command ended with exit status 1")
            self.ran.append((name, body, env))

        return Command(act)

    def adopt(self, *specs: NotifySpec) -> None:
        self.notifiers.adopt(specs)

    def happen(self, *kinds: str, ago: timedelta = timedelta(0), **fields) -> list[int]:
        """One commit for each; answers their places."""
        seqs = [self.store.save(Event(kind, self.now - ago, **fields))[0].seq for kind in kinds]
        self.notifiers.heard()
        return seqs

    def events(self, kind: str) -> list[Event]:
        return [e for e in self.store.events(0, 10_000) if e.type == kind]

    def settled(self) -> None:
        """Every notifier stands at the end of what is stored, or waits to try again."""
        until(lambda: all(n._seen == self.store.last_seq() or n._failures for n in self._all()))

    def _all(self) -> list:
        return list(self.notifiers._all.values())


def to(url: str, *on: str, name: str = "chat", secret: str | None = None) -> NotifySpec:
    return NotifySpec(name, on or ("*",), url=url, secret=secret)


def run(*on: str, name: str = "script") -> NotifySpec:
    return NotifySpec(name, on or ("*",), command=("true",))
