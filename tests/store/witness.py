"""What the world was told on a stage whose store fails: all of it must be in the store, for whoever opens that next."""

import shutil
from contextlib import suppress
from pathlib import Path

from sando.daemon import fsck
from sando.model.answers import Accepted, Answer
from sando.model.audit import audit
from sando.store import Store
from sando.store.look import Look
from tests.actors.calm import check_rest
from tests.harness import Stage
from tests.system.faults import Faults

MOST = 5000


class Witness:
    """Of one life of a stage. `answers` are those that were given, told by whoever asked."""

    def __init__(self, stage: Stage, faults: Faults) -> None:
        self.stage = stage
        self.faults = faults
        self.answers: list[Answer] = []
        self.killed = False
        stage.replies.clear()
        stage.board.sinks.append(lambda _snapshot, _events: self.look(first=True))

    def look(self, *, first: bool = False) -> None:
        """At the first word after the fault, and at each answer; once as if sandod had been killed just then."""
        if not self.faults.failed or (first and self.killed):
            return
        self.check(self.stage.path)
        if not self.killed:
            self.killed = True
            self.check_killed()

    def check_killed(self) -> None:
        """A copy of file and journal, without what SQLite keeps in memory: the next to open it has only these."""
        copy = self.stage.path.with_name("killed.db")
        for end in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(f"{self.stage.path}{end}", f"{copy}{end}")
        store = Store(copy)
        store.open()
        store.close()
        self.check(copy)
        whole(copy)

    def check_rest(self) -> None:
        """All is over: nothing is left, the store agrees with itself and with what is shown."""
        check_rest(self.stage, [(None, r) for r in self.stage.replies])
        self.check_killed()
        look = Look(self.stage.path)
        look.open()
        books = fsck._books(look)
        look.close()
        assert list(audit(self.stage.world.running, books, alive=True)) == []

    def check(self, path: Path) -> None:
        store = Look(path)
        store.open()
        try:
            self._events(store)
            self._operations(store)
        finally:
            store.close()

    def _events(self, store: Look) -> None:
        told = self.stage.board.events
        kept = {e.seq: e for e in store.events(told[0].seq - 1, MOST)} if told else {}
        assert [kept.get(e.seq) for e in told] == told

    def _operations(self, store: Look) -> None:
        accepted = (a.operation for a in self.answers if isinstance(a, Accepted))
        for operation in (*accepted, *self.stage.board.ended):
            kept = store.operation(operation.id)
            assert kept is not None, operation
            assert kept.kind == operation.kind
            assert kept.status == operation.status or not operation.status.ended, (kept, operation)


def whole(path: Path) -> None:
    look = Look(path)
    look.open()
    assert list(look.damage()) == []
    look.close()
