"""Every write of a round that fails, one after the other: the program that `test_walk.py` starts with `fault.c` before it.

The actors and the store are the real ones, of a `Stage`. Each round begins on the same state, with the nth write of it
armed, and does all that a person does; nth rises until a round passes untouched. Afterwards, and as a kill right
after the fault would have left the files: the store is whole, has all that was told, and agrees with itself.

`python -m tests.store.walk round|birth|copy|lying KIND ERRNO FOLDER` prints how many writes there were.
"""

import itertools
import logging
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from actors.messages import Confirm, FetchBackup, LockTier, Promote, Rebuild, Rollback, UnlockTier
from sando.model.answers import Accepted, Answer, Told
from sando.model.errors import StoreUnavailable
from sando.model.events import Event
from sando.model.operation import Operation
from sando.store import Store, StoreRefusedError
from sando.store.copy import copy_store
from tests.actors.steps import up_to
from tests.factories import CONFIRM, sha, tier, topology
from tests.harness import NOON, FlakyStore, Stage
from tests.store.witness import Witness, whole
from tests.system.faults import Faults

TOPOLOGY = topology(tier("a", 1, CONFIRM))
PAGES = 40
"""After so many pages SQLite carries the journal over into the file; of its own it would not within one round."""
SERIES = 12
"""So many rounds go on where the last one ended; then all begins anew, so that it does not grow."""


class WalkedStore(FlakyStore):
    """Durable, and carried over often."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, synchronous="FULL")

    def open(self) -> None:
        super().open()
        self._db.pragma("wal_autocheckpoint", PAGES)


class LyingStore(WalkedStore):
    """Says that all is well when nothing was written: what the walk has to find out."""

    def save(self, *values: Any) -> tuple[Event, ...]:
        try:
            return super().save(*values)
        except StoreUnavailable:
            return ()


class Round:
    """What a person does, each of it until it is done: what the store could not take is asked for again."""

    def __init__(self, stage: Stage, witness: Witness | None = None) -> None:
        self.stage = stage
        self.witness = witness

    def live(self) -> None:
        stage, number = self.stage, len(self.stage.world.commits) + 1
        stage.world.push(sha(number), f"{number}.0")
        self.ends(Rebuild)
        self.ends(lambda: Promote("a", force=True))
        self.done(lambda: Confirm("a"))
        self.ends(lambda: Rollback("a", force=True))
        self.ends(FetchBackup)
        self.done(lambda: LockTier("a", "why"))
        self.done(lambda: UnlockTier("a"))

    def done(self, make: Callable[[], Any]) -> Answer:
        """Refused once at most, as one fault can do no more."""
        given = self.ask(make())
        if getattr(given, "code", None) == "store_unavailable":
            given = self.ask(make())
        assert isinstance(given, Accepted | Told), given
        return given

    def ask(self, wish: Any) -> Answer | None:
        reply = self.stage.tell(wish)
        self.rest(until=lambda: reply.given is not None)
        if self.witness is not None and reply.given is not None:
            self.witness.answers.append(reply.given)
            self.witness.look()
        return reply.given

    def ends(self, make: Callable[[], Any]) -> None:
        given = self.done(make)
        assert isinstance(given, Accepted), given
        number = given.operation.id
        self.rest(until=lambda: self._operation(number).status.ended)
        assert self._operation(number).status == "succeeded", self._operation(number)

    def _operation(self, number: int) -> Operation:
        return self.stage.operation(number)

    def rest(self, until: Callable[[], bool]) -> None:
        """Jobs end, and what was put off for a second comes again."""
        for _ in range(10):
            self.stage.finish_all()
            if until():
                return
            self.stage.advance(1)
        raise AssertionError("it does not come to an end")


def again(stage: Stage) -> Stage:
    """The next daemon on the same state; one whose start the store refused is started again."""
    for _ in range(2):
        with suppress(StoreRefusedError, StoreUnavailable):
            stage.restart()
            stage.drain()
            return stage
    raise AssertionError("the second start was refused, too")


def prepared(folder: Path) -> Stage:
    """A state with something to go back to, and its daemon gone."""
    stage = Stage(folder / "first.db", TOPOLOGY, store=WalkedStore(folder / "first.db"))
    up_to(stage, "a", "1.0")
    Round(stage).live()
    stage.kill()
    return stage


def fresh(path: Path, first: Stage, store: type[WalkedStore]) -> Stage:
    """The prepared state once more, under a daemon that has been killed."""
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    shutil.copyfile(first.path, path)
    stage = Stage(path, TOPOLOGY, world=first.world.copy(), store=store(path))
    stage.clock.now = first.clock.now
    stage.kill()
    return stage


def rounds(
    folder: Path, faults: Faults, arm: Callable[[int], None], store: type[WalkedStore] = WalkedStore
) -> int:
    """All of a round, from the start of sandod to its end; each one is also the next one after the last fault."""
    first = prepared(folder)
    stage = first
    for nth in itertools.count(1):
        if nth % SERIES == 1:
            stage.kill()
            stage = fresh(folder / "sando.db", first, store)
        arm(nth)
        witness = Witness(again(stage), faults)
        Round(stage, witness).live()
        stage.store.finish()
        reached = faults.failed
        faults.disarm()
        stage.advance(5)
        stage.finish_all()
        witness.check_rest()
        if not reached:
            return nth - 1
    raise AssertionError


def births(folder: Path, faults: Faults, arm: Callable[[int], None]) -> int:
    """The first start of all: the file and its tables are there, or it is refused and the next start makes them."""
    path = folder / "sando.db"
    for nth in itertools.count(1):
        for old in folder.glob(f"{path.name}*"):
            old.unlink()
        store = Store(path)
        arm(nth)
        with suppress(StoreRefusedError, StoreUnavailable):
            born(store)
        store.finish()
        reached = faults.failed
        faults.disarm()
        born(store)
        store.close()
        whole(path)
        if not reached:
            return nth - 1
    raise AssertionError


def born(store: Store) -> None:
    store.open()
    store.save(Event("DaemonStarted", NOON))


def copies(folder: Path, faults: Faults, arm: Callable[[int], None]) -> int:
    """`sandod backup`: the copy is whole, or the old one is there as it was."""
    first = prepared(folder)
    goal = folder / "sando.db.copies" / "copy"
    goal.parent.mkdir()
    for nth in itertools.count(1):
        goal.write_bytes(b"the old one")
        arm(nth)
        try:
            copy_store(first.path, goal)
        except StoreRefusedError:
            old = goal.read_bytes() == b"the old one"
        else:
            old = False
        reached = faults.failed
        faults.disarm()
        if not old:
            whole(goal)
        assert [p.name for p in goal.parent.iterdir()] == ["copy"]
        if not reached:
            return nth - 1
    raise AssertionError


WALKS = {"round": rounds, "birth": births, "copy": copies, "lying": partial(rounds, store=LyingStore)}


def main(walk: str, kind: str, number: str, folder: str) -> None:
    logging.disable(logging.CRITICAL)
    faults = Faults(Path(os.environ["FAULT"]))
    print(WALKS[walk](Path(folder), faults, lambda nth: faults.arm(nth, int(number), kind)))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
