"""What every actor shares: its turns, replies in hand, children with a restart budget, and how one dies.

An actor never waits. It saves once in a handler, then posts; what it could not save it handles again later.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import pykka

from actors.messages import (
    Admit,
    Begin,
    ChildFailed,
    Command,
    JobDone,
    JobProgress,
    LookAfter,
    Note,
    Publish,
    Pulse,
    Ref,
    Reply,
    Tick,
    Vouch,
)
from actors.messages.lives import Hand, Life, acting
from actors.site import Site, answer_lost, answer_waiting, post
from sando.model.answers import Answer, unavailable
from sando.model.clock import span
from sando.model.errors import StoreUnavailable
from sando.model.events import Event

__all__ = ["HANG_S", "ROUND_S", "Actor", "ActorBugError", "Site", "post"]

log = logging.getLogger(__name__)

RESTARTS = 5
WINDOW_S = 60.0
RETRY_S = 1.0
"""How soon a fact that the store could not take is handled again."""
ROUND_S = 5.0
"""How often each actor is looked after by its parent."""
HANG_S = 15.0
"""Who has the same message in hand for so long hangs: the longest that a handler waits is 5 s, for a locked store."""


class ActorBugError(Exception):
    """A bug ended an actor. Also stands in for SystemExit and its like: one of those would stop every actor."""


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
        self._keys = 0
        self._deaths: dict[str, deque[float]] = {}

    def handle(self, message: Any) -> None:
        raise NotImplementedError

    def on_receive(self, message: Any) -> None:
        """The boundary: a store that is away is no bug, a bug ends this actor and only this one."""
        if isinstance(message, Begin):
            self.life = message.life
        with self.life.turn(message, self.site.clock().up) as mine:
            if mine:
                self._receive(message)
            else:
                answer_lost(message)
        if self.life.cut:
            self._leave(message)

    def _receive(self, message: Any) -> None:
        try:
            self._handle_now_or_later(message)
        except BaseException as error:
            if not self.life.cut:
                raise ActorBugError(f"{self.name}: {type(error).__name__}: {error}") from error
            log.debug("%s: what it did after its end failed: %r", self.name, error)

    def _handle_now_or_later(self, message: Any) -> None:
        try:
            self._handle(message)
        except StoreUnavailable as error:
            self._store_away(message, error)

    def _handle(self, message: Any) -> None:
        if isinstance(message, Pulse):
            self._pass_on(message)
        elif isinstance(message, LookAfter):
            self.look_after()
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
        with acting():
            if name in self.lives:
                self.lives[name].end()
            ref = self.site.spawn(kind, site=self.site, parent=self.actor_ref, name=name, **arguments)
            self.children[name] = ref
            self.lives[name] = self.life.begin_below(ref)
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

    def look_after(self) -> None:
        """Whoever below me hangs is deposed, and has a successor as after a bug. I ask nobody: who hangs answers nothing."""
        now = self.site.clock().up
        for name, ref in list(self.children.items()):
            life = self.lives[name]
            if (hand := life.hangs(now, HANG_S)) is not None:
                self._depose(name, life, hand, now)
            elif life.is_parent:
                post(ref, LookAfter())

    def _depose(self, name: str, life: Life, hand: Hand, now: float) -> None:
        if not (ended := life.depose(hand)):
            return
        for each in ended:
            self._lay_down(each)
        why = f"{name}: hangs, {type(hand.message).__name__} in hand for {span(now - hand.since)}"
        log.error("%s; it is replaced, and its thread left behind", why)
        post(self.actor_ref, ChildFailed(name, life.ref, why))

    def stop_child(self, name: str) -> None:
        """Its life is over at once: a successor may be raised right away."""
        self.children.pop(name, None)
        life = self.lives.pop(name, None)
        for ended in life.end() if life else ():
            self._lay_down(ended)

    def _lay_down(self, life: Life) -> None:
        """Who is idle goes by itself. Who has a message in hand may never come back from it: nobody waits for that."""
        if life.cut:
            life.ref.actor_stopped.set()  # so that whatever is posted to it is answered
            answer_waiting(life, life.ref.actor_inbox)
            return
        try:
            self.site.stop(life.ref)
        except pykka.ActorDeadError:
            log.debug("%s was gone already", life.ref)

    def stop_children(self) -> None:
        for name in list(self.children):
            self.stop_child(name)

    # -- the end -------------------------------------------------------------------------------------------

    def on_stop(self) -> None:
        self.stop_children()
        answer_waiting(self.life, self.actor_inbox)

    def on_failure(self, _type: Any, value: Any, _traceback: Any) -> None:
        self.stop_children()
        answer_waiting(self.life, self.actor_inbox)
        post(self.parent, ChildFailed(self.name, self.actor_ref, str(value)))

    def _leave(self, message: Any) -> None:
        """My life was ended in the middle of a turn, which is over now: pykka has nothing more to do here."""
        log.info(
            "%s: is back from %s, and goes: its life had ended meanwhile", self.name, type(message).__name__
        )
        self.actor_stopped.set()
        pykka.ActorRegistry.unregister(self.actor_ref)
        self.on_stop()

    def hold(self, reply: Reply) -> None:
        """A reply that waits for a job of mine: it is answered even if I die before."""
        self.life.held = [*(r for r in self.life.held if r.given is None), reply]
