"""What every thread and every actor does just now, as text for stderr: SIGUSR1, and a loop that hangs. It changes nothing."""

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import traceback
from types import FrameType

import pykka

from actors.base import Actor
from actors.messages.lives import Hand
from sando.model.clock import span
from sando.work.now import read_clock

STALE_S = 1.0
"""Who was stopped in the middle of a handler needs a moment to find out."""


def listen() -> None:
    """From here on SIGUSR1 prints all stacks; so does a crash, and the SIGABRT of a watchdog. Only on the main thread."""
    faulthandler.enable()
    signal.signal(signal.SIGUSR1, lambda _number, _frame: _start())


def _start() -> None:
    """A handler may interrupt anything, also one that holds a lock of stderr: so a thread writes, past all buffers."""
    try:
        threading.Thread(target=print_stacks, args=("SIGUSR1",), name="stacks", daemon=True).start()
    except RuntimeError:  # no thread to be had, which may be why somebody asks
        print_stacks("SIGUSR1")


def print_stacks(why: str) -> None:
    text = f"sandod (pid {os.getpid()}): all stacks, for {why}\n{stacks()}".encode("utf-8", "replace")
    with contextlib.suppress(OSError):
        while text:
            text = text[os.write(2, text) :]


def stacks() -> str:
    """A paragraph a thread: its name, the actor that it is, and what it has in hand for how long; then its stack."""
    frames = sys._current_frames()  # noqa: SLF001  (the one way to another thread's stack)
    names = {t.ident: t.name for t in threading.enumerate()}
    parts = [_thread(names.get(ident, "unknown"), ident, frame) for ident, frame in sorted(frames.items())]
    return "\n".join([*parts, *_actors()]) + "\n"


def _thread(name: str, ident: int, frame: FrameType) -> str:
    actor = _actor_in(frame)
    does = f", {describe(actor)}" if actor else ""
    return f"thread {name} ({ident:#x}){does}\n" + "".join(traceback.format_stack(frame)).rstrip()


def _actor_in(frame: FrameType | None) -> Actor | None:
    """The actor whose loop stands at the bottom of this stack."""
    found = None
    while frame is not None:
        mine = frame.f_locals.get("self") if frame.f_code.co_name.startswith("_actor_loop") else None
        found = mine if isinstance(mine, Actor) else found
        frame = frame.f_back
    return found


def describe(actor: Actor) -> str:
    """`actor a-1: has Do in hand for 3s, 2 messages wait`; also of one that takes a message just now."""
    life, waiting = actor.life, actor.actor_inbox.qsize()  # type: ignore[attr-defined]
    hand = life.hand
    has = f"{type(hand.message).__name__} in hand for {span(_age(hand))}" if hand else "nothing in hand"
    then = "it was replaced" if life.cut else f"{waiting} messages wait"
    return f"actor {actor.name}: has {has}, {then}"


def _age(hand: Hand) -> float:
    return max(0.0, read_clock().up - hand.since)


def actors() -> list[Actor]:
    found = (ref._actor_weakref() for ref in pykka.ActorRegistry.get_all())  # noqa: SLF001
    return [actor for actor in found if isinstance(actor, Actor)]


def busy_for() -> dict[str, float]:
    """For how many seconds each actor has had its message in hand, by its place as in `Pulse`; none in hand: absent."""
    live = {actor.actor_urn: actor for actor in actors() if not actor.life.cut}

    def place(actor: Actor) -> str:
        above = live.get(getattr(actor.parent, "actor_urn", ""))
        return f"{place(above)}/{actor.name}" if above else actor.name

    return {place(a): _age(hand) for a in live.values() if (hand := a.life.hand)}


def left_behind() -> list[str]:
    """The names of actors that were replaced while they hung, and whose threads have not come back."""
    return sorted(actor.name for actor in actors() if _is_left(actor))


def still_there() -> list[str]:
    """The names of all others: those that come to their end when they are told to."""
    return sorted(actor.name for actor in actors() if not _is_left(actor))


def _is_left(actor: Actor) -> bool:
    hand = actor.life.hand
    return actor.life.cut and hand is not None and _age(hand) >= STALE_S


def _actors() -> list[str]:
    return [f"{len(actors())} actors live; oldest message in hand: {oldest()}"]


def oldest() -> str:
    busy = [(hand.since, actor.actor_urn, actor) for actor in actors() if (hand := actor.life.hand)]
    return describe(min(busy)[-1]) if busy else "none"
