"""What every actor shares: posting, replies in hand, children with a restart budget, and how one dies.

An actor never waits. It saves once in a handler, then posts; what it could not save it handles again later.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pykka

from actors.messages import (
    Admit,
    Begin,
    ChildFailed,
    Command,
    JobDone,
    JobProgress,
    Life,
    Note,
    Publish,
    Pulse,
    Ref,
    Reply,
    Tick,
    Vouch,
)
from sando.model.answers import Answer, restarting, unavailable
from sando.model.clock import Clock
from sando.model.errors import StoreUnavailable
from sando.model.events import Event

log = logging.getLogger(__name__)

RESTARTS = 5
WINDOW_S = 60.0
RETRY_S = 1.0
"""How soon a fact that the store could not take is handled again."""


class ActorBugError(Exception):
    """A bug ended an actor. Also stands in for SystemExit and its like: one of those would stop every actor."""


@dataclass(slots=True)
class Site:
    """The collaborators of all actors, made by the composition root (or by the test harness)."""

    store: Any
    clock: Clock
    runner: Any
    timer: Any
    spawn: Callable[..., Ref]
    work: Any
    """The blocking functions that actors hand to the runner: `sando.work` as one object, see `daemon.Works`."""
    journal: Ref | None = None
    """Replaced by Root when the Journal is restarted; nobody else writes it."""
    stop: Callable[[Ref], None] = field(default=lambda ref: ref.stop(block=False))
    together_s: float = 0.0
    """What comes within so many seconds of each other may be committed, or published, together: 16 nodes that end a step
    at about the same time cost one commit and one snapshot, not 16. 0: at once."""


def post(ref: Ref | None, message: Any) -> bool:
    """`tell` that survives a dead receiver; a Reply that the message carried is answered then."""
    try:
        if ref is not None:
            ref.tell(message)
            return True
    except pykka.ActorDeadError:
        log.info("%s was not delivered: its receiver is gone", type(message).__name__)
    answer_lost(message)
    return False


def answer_lost(message: Any) -> None:
    """Nobody will handle this message any more; whoever waits for its answer is told so.

    What the Journal was to publish is committed: its answer holds, whether the Journal lives or not.
    """
    if isinstance(message, Pulse):
        message.beat.heard(message.place)
    reply = getattr(message, "reply", None)
    if isinstance(reply, Reply) and reply.given is None:
        committed = message.answer if isinstance(message, Publish) else None
        reply.answer(committed or restarting())


class Actor(pykka.ThreadingActor):
    """A room with an inbox. Subclasses have one `handle` with one `match`; its last arm raises."""

    def __init__(self, site: Site, parent: Ref | None, name: str) -> None:
        super().__init__()
        self.site = site
        self.parent = parent
        self.name = name
        self.children: dict[str, Ref] = {}
        self.life = Life()
        self.lives: dict[str, Life] = {}
        self.begun = False
        self.in_hand: Any = None
        self.taken_at = 0.0
        self.held: list[Reply] = []
        self._keys = 0
        self._deaths: dict[str, deque[float]] = {}

    def handle(self, message: Any) -> None:
        raise NotImplementedError

    def on_receive(self, message: Any) -> None:
        """The boundary: a store that is away is no bug, a bug ends this actor and only this one."""
        if isinstance(message, Begin):
            self.life = message.life
        with self.life.turn() as mine:
            if mine:
                self._receive(message)
            else:
                answer_lost(message)

    def _receive(self, message: Any) -> None:
        self.in_hand, self.taken_at = message, self.site.clock().up
        try:
            self._handle(message)
        except StoreUnavailable as error:
            self._store_away(message, error)
        except BaseException as error:
            raise ActorBugError(f"{self.name}: {type(error).__name__}: {error}") from error
        self.in_hand = None

    def _handle(self, message: Any) -> None:
        if isinstance(message, Pulse):
            self._pass_on(message)
        elif isinstance(message, Note):
            self.site.store.save(message.event)
            self.publish()
        elif isinstance(message, Begin) or self.begun:
            self.handle(message)
            self.begun = True
        else:
            raise StoreUnavailable("its state could not be read yet")

    def _pass_on(self, pulse: Pulse) -> None:
        """Also while the store is away: a daemon that waits for its disk is no daemon that hangs."""
        for name, ref in self.children.items():
            place = f"{pulse.place}/{name}"
            pulse.beat.sent(place)
            post(ref, Pulse(pulse.beat, place))
        pulse.beat.heard(pulse.place, begun=self.begun)

    def _store_away(self, message: Any, error: StoreUnavailable) -> None:
        """A command is refused, a fact is handled again later."""
        log.error("%s: the store is away (%s): %s", self.name, error, type(message).__name__)
        if isinstance(message, Command | Vouch | Admit):
            message.reply.answer(unavailable())
            return
        if isinstance(reply := getattr(message, "reply", None), Reply):
            self.hold(reply)
        self.later(RETRY_S, message)

    # -- saying things -------------------------------------------------------------------------------------

    def later(self, seconds: float, message: Any) -> Callable[[], None]:
        ref = self.actor_ref
        cancel: Callable[[], None] = self.site.timer.after(seconds, lambda: post(ref, message))
        return cancel

    def tick(self, seconds: float, what: str, number: int = 0) -> Callable[[], None]:
        return self.later(seconds, Tick(what, number))

    def start_job(self, key: str, work: Callable[..., Any]) -> None:
        ref = self.actor_ref
        self.site.runner.start(
            key,
            work,
            lambda k, outcome: post(ref, JobDone(k, outcome)),
            lambda k, said: post(ref, JobProgress(k, said)),
        )

    def adopt_job(self, key: str) -> bool:
        ref = self.actor_ref
        known: bool = self.site.runner.adopt(
            key,
            lambda k, outcome: post(ref, JobDone(k, outcome)),
            lambda k, said: post(ref, JobProgress(k, said)),
        )
        return known

    def new_key(self, prefix: str) -> str:
        """A key under which no job of this or of an earlier life is held."""
        held = self.site.runner.held(prefix)
        self._keys += 1
        while f"{prefix}{self._keys}" in held:
            self._keys += 1
        return f"{prefix}{self._keys}"

    def sweep(self, prefix: str, *mine: str) -> None:
        """After a death: jobs of an earlier life that nobody waits for are stopped, and heard to their end."""
        for key in self.site.runner.held(prefix):
            if key not in mine:
                self.site.runner.cancel(key)
                self.adopt_job(key)

    def note_restart(self, failed: ChildFailed, **about: Any) -> None:
        """Tells of a child's restart once the store can take it; the restart itself does not wait for that."""
        data: dict[str, object] = {"actor": about.pop("actor", failed.name), "error": failed.error}
        post(self.actor_ref, Note(Event("ActorRestarted", self.site.clock().at, data=data, **about)))

    def publish(self, reply: Reply | None = None, answer: Answer | None = None, *, end: bool = False) -> None:
        """Something was committed: the Journal tells the world, and then answers the reply. `end`: of an operation."""
        post(self.site.journal, Publish(reply, answer, end))

    # -- children ------------------------------------------------------------------------------------------

    def raise_child(self, name: str, kind: type["Actor"], *, fresh: bool, **arguments: Any) -> Ref:
        ref = self.site.spawn(kind, site=self.site, parent=self.actor_ref, name=name, **arguments)
        self.children[name] = ref
        self.lives[name] = self.life.begin_below()
        post(ref, Begin(fresh, self.lives[name]))
        return ref

    def is_child(self, failed: ChildFailed) -> bool:
        """An end of an earlier life is no news."""
        return self.children.get(failed.name) is failed.ref or self.children.get(failed.name) == failed.ref

    def within_budget(self, name: str) -> bool:
        now = self.site.clock().up
        deaths = self._deaths.setdefault(name, deque())
        deaths.append(now)
        while deaths and now - deaths[0] > WINDOW_S:
            deaths.popleft()
        return len(deaths) <= RESTARTS

    def stop_child(self, name: str) -> None:
        """Its life is over at once: a successor may be raised right away."""
        life = self.lives.pop(name, None)
        if life is not None:
            life.end()
        ref = self.children.pop(name, None)
        if ref is not None:
            try:
                self.site.stop(ref)
            except pykka.ActorDeadError:
                log.debug("%s was gone already", name)

    def stop_children(self) -> None:
        for name in list(self.children):
            self.stop_child(name)

    # -- the end -------------------------------------------------------------------------------------------

    def on_stop(self) -> None:
        self.stop_children()
        self._answer_all()

    def on_failure(self, _type: Any, value: Any, _traceback: Any) -> None:
        self.stop_children()
        self._answer_all()
        post(self.parent, ChildFailed(self.name, self.actor_ref, str(value)))

    def hold(self, reply: Reply) -> None:
        """A reply that waits for a job of mine: it is answered even if I die before."""
        self.held = [*(r for r in self.held if r.given is None), reply]

    def _answer_all(self) -> None:
        """Whoever waits for an answer from here is told that there will be none."""
        answer_lost(self.in_hand)
        while not self.actor_inbox.empty():
            answer_lost(self.actor_inbox.get().message)
        for reply in self.held:
            if reply.given is None:
                reply.answer(restarting())
        self.in_hand, self.held = None, []
