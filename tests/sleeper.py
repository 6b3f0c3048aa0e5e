"""An actor that hangs: its handler runs on a thread of its own, which stops before one of its acts until it is woken.

The stage and that thread take turns, each waits for the other, so that a run is as good as one on a single thread. While
it sleeps it holds nothing; woken after it was replaced it must not change anything (`wake` looks).
"""

import threading
from typing import TYPE_CHECKING, Any

from actors.messages import Begin
from actors.messages.lives import Life

if TYPE_CHECKING:
    from tests.harness import Stage

LONG = 60.0
_here = threading.local()


class SleepyLife(Life):
    """Its acts are counted, those within others apart: who sleeps there is not replaced."""

    __slots__ = ()

    def __enter__(self) -> None:
        _here.sleeper.act()
        super().__enter__()
        _here.sleeper.depth += 1

    def __exit__(self, *_: object) -> None:
        _here.sleeper.depth -= 1
        super().__exit__()


class Sleeper:
    """`actor` handles `message` and falls asleep before its act number `before` (0: the first); it `slept` if it did.

    `asleep` is what it is now.
    """

    def __init__(self, stage: "Stage", actor: Any, message: Any, before: int = 0) -> None:
        self.stage, self.actor, self.message = stage, actor, message
        self.asleep = self.slept = self.done = False
        self.depth = 0
        self._left = before
        self._go, self._still = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._life = message.life if isinstance(message, Begin) else actor.life
        self._life.__class__ = SleepyLife
        self._thread.start()
        assert self._still.acquire(timeout=LONG)
        if self._thread.is_alive() and not self.asleep:
            self._thread.join(LONG)

    def wake(self) -> None:
        """It goes on to the end of its handler. Nothing that it does counts if it was replaced meanwhile."""
        over, before = self.actor.life.over, self._seen()
        self._go.release()
        self._thread.join(LONG)
        assert self.done, "it goes on"
        assert not over or self._seen() == before, f"{self.actor.name} was replaced, and went on"

    def _seen(self) -> tuple[Any, ...]:
        stage = self.stage
        waiting = {a: a.actor_inbox.qsize() for a in stage.actors if a is not self.actor}
        jobs = {key: (job.outcome, job.token.cancelled) for key, job in stage.runner.jobs.items()}
        return stage.store.revision, waiting, jobs, stage.board.latest, stage.timer.count

    # -- on its thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        _here.sleeper = self
        try:
            self.stage.deliver(self.actor, self.message)
            self.done = True
        finally:
            self._life.__class__ = Life
            self.stage.sleepers.discard(self)
            self.stage.store.close()
            self.asleep = False
            self._still.release()

    def act(self) -> None:
        if self.depth:
            return
        if self._left == 0:
            self._sleep()
        self._left -= 1

    def _sleep(self) -> None:
        handling = self.stage.store.handling, self.stage.store.spared
        self.asleep = self.slept = True
        self.stage.sleepers.add(self)
        self.stage.store.handling = False
        self._still.release()
        assert self._go.acquire(timeout=LONG)
        self.asleep = False
        self.stage.sleepers.discard(self)
        self.stage.store.handling, self.stage.store.spared = handling
