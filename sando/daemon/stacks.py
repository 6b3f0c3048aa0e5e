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
from sando.model.clock import span
from sando.work.now import read_clock


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
    message, waiting = actor.in_hand, actor.actor_inbox.qsize()  # type: ignore[attr-defined]
    age = span(max(0.0, read_clock().up - actor.taken_at))
    does = "has nothing in hand" if message is None else f"has {type(message).__name__} in hand for {age}"
    return f"actor {actor.name}: {does}, {waiting} messages wait"


def actors() -> list[Actor]:
    found = (ref._actor_weakref() for ref in pykka.ActorRegistry.get_all())  # noqa: SLF001
    return [actor for actor in found if isinstance(actor, Actor)]


def busy_for() -> dict[str, float]:
    """For how many seconds each actor has had its message in hand, by its place as in `Pulse`; none in hand: absent."""
    now, live = read_clock().up, {actor.actor_urn: actor for actor in actors()}

    def place(actor: Actor) -> str:
        above = live.get(getattr(actor.parent, "actor_urn", ""))
        return f"{place(above)}/{actor.name}" if above else actor.name

    return {place(a): max(0.0, now - a.taken_at) for a in live.values() if a.in_hand is not None}


def _actors() -> list[str]:
    return [f"{len(actors())} actors live; oldest message in hand: {oldest()}"]


def oldest() -> str:
    busy = [actor for actor in actors() if actor.in_hand is not None]
    return describe(min(busy, key=lambda actor: actor.taken_at)) if busy else "none"
