"""What all actors are given, and how they post. What they do with it counts as long as the life lasts in which they do it."""

import logging
import queue
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pykka

from actors.messages import Publish, Pulse, Ref, Reply
from actors.messages.lives import Life, acting
from sando.model.answers import restarting
from sando.model.clock import Clock

log = logging.getLogger(__name__)


class Fenced:
    """A collaborator as an actor has it: of its methods those that are named are acts (`acting`), all else is its own."""

    __slots__ = ("_acts", "_real")

    def __init__(self, real: Any, *acts: str) -> None:
        self._real = real
        self._acts = acts

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        return partial(_act, found) if name in self._acts else found


def _act(call: Callable[..., Any], *words: Any, **more: Any) -> Any:
    with acting():
        return call(*words, **more)


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

    def __post_init__(self) -> None:
        self.store = Fenced(self.store, "save")
        self.runner = Fenced(self.runner, "start", "adopt", "cancel", "forget")
        self.timer = Fenced(self.timer, "after")
        self.work = Fenced(self.work, "adopt")


def post(ref: Ref | None, message: Any) -> bool:
    """`tell` that survives a dead receiver; a Reply that the message carried is answered then."""
    with acting():
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


def answer_waiting(life: Life, inbox: Any) -> None:
    """Whoever waits for an answer from this life is told that there will be none. Also beside a thread that hangs in it."""
    if life.hand is not None:
        answer_lost(life.hand.message)
    while (message := _next(inbox)) is not None:
        answer_lost(message)
    for reply in life.held:
        if reply.given is None:
            reply.answer(restarting())


def _next(inbox: Any) -> Any:
    try:
        return inbox.get_nowait().message
    except queue.Empty:
        return None
