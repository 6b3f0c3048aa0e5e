"""The actor tree without threads: inboxes are emptied by hand, one message at a time, and time is told to move.

A `Stage` owns actors that were never started, a runner whose jobs end when the test says so, a timer and
a clock. It never waits. With a seed the next actor is picked at random, without one the oldest goes first.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from pykka import messages

from actors.base import ROUND_S, ActorBugError, Site, post
from actors.messages import Begin, Reply, Shutdown, Tick
from actors.root import Root
from sando.model.answers import Accepted, Answer, Refusal, Told
from sando.model.clock import Instant
from sando.model.errors import Cancelled, StoreUnavailable, WorkError
from sando.model.events import Event
from sando.model.operation import Operation
from sando.model.snapshot import Snapshot
from sando.model.topology import Topology
from sando.store import Store
from sando.work.cancel import CancelToken
from sando.work.outcome import Aborted, Done, Failed, Outcome
from tests.sleeper import Sleeper
from tests.world import World

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MANY_STEPS = 20_000
MANY_ROUNDS = 120
JOURNAL_WAITS = 0.95


class InjectedBugError(Exception):
    """A bug that the test put there: it ends an actor, and not the test."""


class FakeClock:
    """Wall clock and boot clock, moved by hand; `reboot` starts another boot."""

    def __init__(self) -> None:
        self.now = Instant(NOON, "boot-1", 1000.0)

    def __call__(self) -> Instant:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now = self.now.plus(seconds)

    def reboot(self) -> None:
        number = int(self.now.boot.rsplit("-", 1)[1]) + 1
        self.now = Instant(self.now.at, f"boot-{number}", 5.0)


class ManualTimer:
    """Calls are made by `advance`, in the order of their times."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.at = 0.0
        self._heap: list[tuple[float, int, list[Callable[[], None]]]] = []
        self._numbers = itertools.count()
        self.count = 0
        """So many calls were asked for."""

    def after(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        holder = [call]
        heapq.heappush(self._heap, (self.at + max(0.0, seconds), next(self._numbers), holder))
        self.count += 1
        return holder.clear

    def advance(self, seconds: float) -> None:
        """To the first call that is due, and on, until all of `seconds` have passed."""
        until = self.at + seconds
        while self._heap and self._heap[0][0] <= until:
            self.to_next()
        self._move(until)

    def to_next(self) -> bool:
        if not self._heap:
            return False
        at, _, holder = heapq.heappop(self._heap)
        self._move(max(at, self.at))
        for call in holder:
            call()
        return True

    def next_in(self) -> float | None:
        """Seconds until the first call that is not cancelled."""
        while self._heap and not self._heap[0][2]:
            heapq.heappop(self._heap)
        return self._heap[0][0] - self.at if self._heap else None

    def _move(self, at: float) -> None:
        self._clock.advance(at - self.at)
        self.at = at


@dataclass
class Job:
    """A started piece of work; `outcome` is None while it runs."""

    key: str
    work: Callable[[CancelToken], Any]
    done: Callable[[str, Outcome], None]
    heard: Callable[[str, Any], None] | None = None
    token: CancelToken = field(default_factory=CancelToken)
    outcome: Outcome | None = None

    @property
    def kind(self) -> str:
        """The name of the function of the workbench that it calls."""
        return str(getattr(self.work, "func", self.work).__name__)

    @property
    def arguments(self) -> tuple[Any, ...]:
        return tuple(getattr(self.work, "args", ()))


class ManualRunner:
    """`sando.work.runner.Runner` without threads: a job ends when `finish` says so, and stays held until forgotten."""

    def __init__(self, *, slow_looks: bool = False) -> None:
        self.jobs: dict[str, Job] = {}
        self.started: list[str] = []
        self.on_start: Callable[[Job], None] = lambda _job: None
        self.slow_looks = slow_looks

    def start(self, key: str, work: Any, done: Any, heard: Any = None) -> None:
        if key in self.jobs:
            raise RuntimeError(f"job {key} is still held: forget it first")
        self.jobs[key] = Job(key, work, done, heard)
        self.on_start(self.jobs[key])
        self.started.append(key)
        if key.split("/")[3:4] == ["look"] and not self.slow_looks:
            self.finish(self.jobs[key])

    def adopt(self, key: str, done: Any, heard: Any = None) -> bool:
        job = self.jobs.get(key)
        if job is None:
            return False
        job.done, job.heard = done, heard
        if job.outcome is not None:
            done(key, job.outcome)
        return True

    def say(self, key: str, said: Any) -> None:
        job = self.jobs.get(key)
        if job is not None and job.outcome is None and job.heard is not None:
            job.heard(key, said)

    def cancel(self, key: str) -> bool:
        job = self.jobs.get(key)
        if job is None or job.outcome is not None:
            return False
        job.token.cancel()
        return True

    def forget(self, key: str) -> None:
        job = self.jobs.get(key)
        if job is not None and job.outcome is None:
            raise RuntimeError(f"job {key} is still running: cancel it and wait for its end")
        self.jobs.pop(key, None)

    def held(self, prefix: str = "") -> tuple[str, ...]:
        return tuple(key for key in self.jobs if key.startswith(prefix))

    # -- what the test decides -------------------------------------------------------------------------------

    def running(self, part: str = "") -> list[Job]:
        return [j for j in self.jobs.values() if j.outcome is None and part in j.key]

    def one(self, part: str) -> Job:
        found = self.running(part)
        assert len(found) == 1, f"{part}: {[j.key for j in self.running()]}"
        return found[0]

    def finish(self, job: Job | str, outcome: Outcome | None = None) -> None:
        """The job's last word. Without an outcome the simulated work is done, or has been stopped if cancelled."""
        job = self.one(job) if isinstance(job, str) else job
        if outcome is None:
            outcome = Aborted() if job.token.cancelled else outcome_of(job)
        job.outcome = outcome
        job.done(job.key, outcome)


def outcome_of(job: Job) -> Outcome:
    try:
        return Done(job.work(CancelToken()))
    except Cancelled:
        return Aborted()
    except WorkError as error:
        return Failed(error)


class Board:
    """What was published: every snapshot, every event in its order, and the operations that were told as ended."""

    def __init__(self) -> None:
        self.latest: Snapshot | None = None
        self.events: list[Event] = []
        self.ended: list[Operation] = []
        self.sinks: list[Callable[[Snapshot, tuple[Event, ...]], None]] = []

    def publish(self, snapshot: Snapshot, events: tuple[Event, ...], ended: tuple[Operation, ...]) -> None:
        self.latest = snapshot
        self.events += events
        self.ended += ended
        for sink in self.sinks:
            sink(snapshot, events)


class FlakyStore(Store):
    """The real store, which can be away for some saves, or have a bug strike right after a commit."""

    away = 0
    """So many saves to come fail; below 0: all of them."""
    reads_too = False
    handling = False
    """Only what an actor does fails; the test itself may look at any time."""
    spared = False
    """Root has no parent that could restart it."""
    bug_after = 0
    """At the so-manieth save from now on the actor that saved dies, its change committed and nothing posted."""

    def save(self, *values: Any) -> tuple[Event, ...]:
        if self.away and self.handling:
            self.away -= self.away > 0
            raise StoreUnavailable("injected")
        told = super().save(*values)
        if self.bug_after and self.handling and not self.spared:
            self.bug_after -= 1
            if not self.bug_after:
                raise InjectedBugError("right after a commit")
        return told

    def _guarded(self) -> Any:
        if self.away and self.reads_too and self.handling:
            self.away -= self.away > 0
            raise StoreUnavailable("injected")
        return super()._guarded()


class Stage:
    """One daemon's actors on the store at `path`; `restart` is another daemon on the same store and the same world."""

    slow_looks: bool
    """Whether looks at nodes end when the test says so, as every other job; else at once."""

    def __init__(
        self,
        path: Path,
        topology: Topology,
        seed: int | None = None,
        world: World | None = None,
        *,
        slow_looks: bool = False,
        together_s: float = 0.0,
        store: FlakyStore | None = None,
    ) -> None:
        self.path = path
        self.slow_looks = slow_looks
        self.together_s = together_s
        self.random = random.Random(seed) if seed is not None else None
        self.clock = FakeClock()
        self.world = world or World(topology)
        self.board = Board()
        self.died: list[str] = []
        self.daemons = 0
        self.replies: list[Reply] = []
        self.sleepers: set[Sleeper] = set()
        """Those that hang in a handler now."""
        self.until = 0.0
        """To where time is passing, on the timer."""
        self.store = store or FlakyStore(path, synchronous="OFF")
        self._up()

    # -- the daemon's life -----------------------------------------------------------------------------------

    def _up(self) -> None:
        self.store.open()  # numbers its operations anew, from what the file says
        self.store.away = self.store.bug_after = self.store.revision = 0
        self.runner = ManualRunner(slow_looks=self.slow_looks)
        self.timer = ManualTimer(self.clock)
        self.actors: list[Any] = []
        self.daemons += 1
        about = {"version": "0", "started_at": "2026-11-23T12:00:00.000Z", "draining": False}
        self.site = Site(
            self.store, self.clock, self.runner, self.timer, self.spawn, self.world, stop=stop, together_s=self.together_s
        )  # fmt: skip
        self.store.save(Event("DaemonStarted", self.clock().at))
        self.root = self.spawn(
            Root, site=self.site, topology=self.world.running, board=self.board, daemon=about, die=self.died.append
        )  # fmt: skip
        post(self.root, Begin(fresh=True))

    def kill(self) -> None:
        """kill -9: actors and jobs are gone, what is not in the store or on a node is forgotten."""
        for sleeper in list(self.sleepers):
            sleeper.actor.life.end()
            sleeper.wake()
        self.actors = []
        self.runner.jobs = {}
        self.store.close()

    def restart(self, *, reboot: bool = False) -> None:
        self.kill()
        if reboot:
            self.clock.reboot()
        self.world.running = self.world.declared
        self.board = Board()
        self._up()

    def shut_down(self) -> Reply:
        """SIGTERM: the command goes out; the caller drains, and then restarts."""
        reply = Reply()
        post(self.root, Shutdown(reply))
        return reply

    # -- one message after the other ---------------------------------------------------------------------------

    def spawn(self, kind: Any, **arguments: Any) -> Any:
        actor = kind(**arguments)
        self.actors.append(actor)
        return actor.actor_ref

    def ready(self) -> list[Any]:
        asleep = {s.actor for s in self.sleepers}
        return [
            a for a in self.actors if a.actor_inbox.queue and not a.actor_stopped.is_set() and a not in asleep
        ]

    def step(self) -> bool:
        ready = self.ready()
        if not ready:
            return False
        self.handle(self._pick(ready))
        return True

    def handle(self, actor: Any) -> None:
        """The next message of this actor."""
        self.deliver(actor, actor.actor_inbox.get().message)

    def sleep(self, actor: Any, message: Any = None, *, before: int = 0) -> Sleeper:
        """It handles this, or its next message, and hangs before its act of this number, if there are so many."""
        return Sleeper(self, actor, message or actor.actor_inbox.get().message, before)

    def deliver(self, actor: Any, message: Any) -> None:
        if isinstance(message, messages._ActorStop):
            self._gone(actor)
            actor.on_stop()
            return
        if self._no_round(actor, message):
            return
        self.store.handling, self.store.spared = True, actor.name == "root"
        try:
            actor.on_receive(message)
        except ActorBugError as bug:
            if not isinstance(bug.__cause__, InjectedBugError):
                raise
            self._gone(actor)
            actor.on_failure(type(bug), bug, None)
        finally:
            self.store.handling = False
        if actor.life.cut:
            self.actors.remove(actor)

    def _pick(self, ready: list[Any]) -> Any:
        """The Journal, which composes all of /state, mostly waits until there is nothing else to do."""
        others = [a for a in ready if a.name != "journal"]
        if self.random is None:
            return (others or ready)[0]
        return self.random.choice(others if others and self.random.random() < JOURNAL_WAITS else ready)

    def _gone(self, actor: Any) -> None:
        actor.actor_stopped.set()
        self.actors.remove(actor)

    def drain(self) -> None:
        """Until every inbox is empty, and what waits for its neighbours for a moment has come, too."""
        for _ in range(MANY_STEPS):
            if not self.step() and not self._moment_passes():
                return
        raise AssertionError(f"no end in sight: {[(a.name, a.actor_inbox.qsize()) for a in self.ready()]}")

    def _moment_passes(self) -> bool:
        left = self.timer.next_in()
        return left is not None and left <= self.together_s and self.timer.to_next()

    def crash(self, actor: Any, *, instead: bool = False) -> None:
        """What pykka does on a bug: between two messages, or instead of handling the next one, which is lost."""
        if instead and not actor.actor_inbox.empty():
            take(actor, actor.actor_inbox.get().message)
        self._gone(actor)
        actor.on_failure(InjectedBugError, InjectedBugError(f"{actor.name}: injected"), None)

    # -- shorthand of the tests --------------------------------------------------------------------------------

    def actor(self, name: str, tier: str | None = None) -> Any:
        """The living actor of that name; a node's name needs its tier's where two tiers share it."""
        found = [a for a in self.actors if a.name == name and not a.actor_stopped.is_set()]
        if tier is not None:
            found = [a for a in found if a.parent == self.actor(tier).actor_ref]
        return found[-1]

    def tell(self, message: Any) -> Reply:
        """A command from outside goes to Root; nothing is handled yet."""
        self.replies.append(message.reply)
        post(self.root, message)
        return message.reply  # type: ignore[no-any-return]

    def ask(self, message: Any) -> Answer | None:
        """The same, handled as far as it goes without the end of a job; None: it waits for one."""
        reply = self.tell(message)
        self.drain()
        return reply.given

    def finish(self, part: str, outcome: Outcome | None = None) -> None:
        self.drain()
        self.runner.finish(part, outcome)
        self.drain()

    def finish_all(self, *parts: str) -> None:
        """All jobs (whose key has one of `parts`) end well, also those that begin thereby."""
        self.drain()
        for _ in range(MANY_STEPS):
            jobs = [j for j in self.runner.running() if not parts or any(p in j.key for p in parts)]
            if not jobs:
                return
            self.runner.finish(jobs[0])
            self.drain()
        raise AssertionError("jobs without end")

    def advance(self, seconds: float) -> None:
        """Time passes, and whatever is due is handled when it is due."""
        self.drain()
        until = self.until = self.timer.at + seconds
        while (left := self.timer.next_in()) is not None and self.timer.at + left <= until:
            self.timer.to_next()
            self.drain()
        self.timer.advance(until - self.timer.at)
        self.until = 0.0
        self.drain()

    def _no_round(self, actor: Any, message: Any) -> bool:
        """While nobody hangs, a round of those who look after others finds nothing: in longer times they are left out."""
        if message != Tick("look after") or actor.name != "root" or self.sleepers:
            return False
        left = self.until - self.timer.at
        if left < MANY_ROUNDS * ROUND_S:
            return False
        actor.tick(left, "look after")
        return True

    def accepted(self, message: Any, status: int | None = None) -> Operation:
        """The command is sent, look-ups and checks are done, and it was accepted."""
        answer = self.answer(message)
        assert isinstance(answer, Accepted), answer
        assert status in {None, answer.status}
        return answer.operation

    def refused(self, message: Any) -> tuple[int, str]:
        answer = self.answer(message)
        assert isinstance(answer, Refusal), answer
        return answer.status, answer.code

    def told(self, message: Any) -> dict[str, Any]:
        answer = self.answer(message)
        assert isinstance(answer, Told), answer
        return as_read(answer)

    def answer(self, message: Any) -> Answer:
        given = self.ask(message)
        if given is None:
            self.finish_all("lookup/", "verify/", "reload/")
            given = message.reply.given
        assert given is not None, f"no answer to {message}"
        return given

    def operation(self, number: int) -> Operation:
        found = self.store.operation(number)
        assert found is not None
        return found

    def tier(self, name: str) -> dict[str, Any]:
        """The tier as the last snapshot shows it."""
        assert self.board.latest is not None
        return next(t for t in self.board.latest.state["tiers"] if t["name"] == name)

    def events(self, *types: str) -> list[Event]:
        return [e for e in self.store.events(0, 1_000_000) if not types or e.type in types]


def take(actor: Any, message: Any) -> None:
    """The message is in the actor's hand, and a bug ends it there."""
    with suppress(InjectedBugError), actor.life.turn(message, actor.site.clock().up):
        raise InjectedBugError


def as_read(told: Any) -> dict[str, Any]:
    """The body of a Told as its reader gets it."""
    body: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(told.body))
    return body


def stop(ref: Any) -> None:
    ref.stop(block=False)
