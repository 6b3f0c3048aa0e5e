"""The real application on the real actors, which nobody has started: a request is handled in the test's own thread.

Jobs end as the simulated world lets them, before the request is answered; `slow` names those that go on.
"""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from api.app import create_app
from api.board import Board
from api.collaborators import Collaborators
from sando.model import wire
from sando.model.topology import TokenSpec, Topology
from sando.work.outcome import Outcome
from tests.api.conforming import Client
from tests.api.room import HOST
from tests.factories import CARGO, CONFIRM, DAY, sha, tier, topology
from tests.harness import Job, Stage

BEFORE_THE_ANSWER = ("lookup/", "verify/", "reload/", "plan/")


def usual() -> Topology:
    """mm -> a (a person confirms) -> z (not provisioned) -> b (three nodes, a day of burn-in) -> c."""
    nowhere = tier("z", 0, provisioned=False)
    return topology(tier("mm", 0, CARGO), tier("a", 1, CONFIRM), nowhere, tier("b", 3, DAY), tier("c", 1))


class House:
    """`then` is called once, after the actors have heard of a request and before it is answered."""

    def __init__(self, folder: Path, declared: Topology | None = None) -> None:
        self.stage = Stage(folder / "house.db", declared or usual())
        self.board = Board()
        self.tokens: list[TokenSpec] = []
        self.silent = False
        """Nobody handles what is posted."""
        self.all_end = True
        """Every job ends at once; else only those that a request waits for."""
        self.outcomes: dict[str, Outcome] = {}
        """How jobs end whose key has this pattern, where it is not the world's way."""
        self.then: Callable[[], object] | None = None
        self.notifiers: tuple[str, ...] = ()
        self.tried: list[tuple[str, ...]] = []
        """The names of each test of notifiers."""
        self._listen()
        self.given = Collaborators(
            store=self.stage.store,
            board=self.board,
            tell=self._tell,
            clock=self.stage.clock,
            read_log=lambda _operation, offset, _limit: (b"", offset),
            manifest=lambda _: None,
            metrics=lambda: (b"sando_up 1\n", "text/plain; version=0.0.4; charset=utf-8"),
            listen=("127.0.0.1", 7766),
            tokens=lambda: self.tokens,
            keep=self.stage.store.save,
            notifiers=lambda: self.notifiers,
            test_notifiers=lambda names, _: self._try(tuple(names)),
            answer_within=0.05,
        )
        self.app = create_app(self.given)
        self.claims = self.app._router.find("/state")[0].claims
        self.client = Client(self.app, headers={"Host": HOST})

    def _listen(self) -> None:
        """What is published reaches the API, too."""
        self.settle()
        first = self.stage.board
        inner = first.publish

        def publish(snapshot: Any, events: Any, ended: Any) -> None:
            inner(snapshot, events, ended)
            self.board.publish(snapshot, events, ended)

        first.publish = publish  # type: ignore[method-assign]
        self.board.publish(first.latest, (), ())  # type: ignore[arg-type]

    def restart(self) -> None:
        """kill -9, and another daemon on the same state."""
        self.stage.restart()
        self._listen()

    def _try(self, names: tuple[str, ...]) -> Any:
        self.tried.append(names)
        trials = [wire.Tried(n, ok=True, detail="delivered", seconds=0.1) for n in names or self.notifiers]
        return SimpleNamespace(done=lambda: trials)

    def _tell(self, message: Any) -> None:
        self.stage.replies.append(message.reply)
        self.stage.root.tell(message)
        if not self.silent:
            self.settle()
        then, self.then = self.then, None
        if then:
            then()

    def settle(self) -> None:
        """As far as it goes by itself."""
        self.stage.drain()
        while jobs := [j for j in self.stage.runner.running() if self._ends(j)]:
            self.stage.runner.finish(jobs[0], self._outcome(jobs[0]))
            self.stage.drain()

    def _ends(self, job: Job) -> bool:
        return self.all_end or any(part in job.key for part in BEFORE_THE_ANSWER)

    def _outcome(self, job: Job) -> Outcome | None:
        return next((outcome for key, outcome in self.outcomes.items() if re.search(key, job.key)), None)

    # -- in few words ------------------------------------------------------------------------------------------

    def get(self, path: str, **options: Any) -> Any:
        return self.client.simulate_get(path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        more = {} if body is None else {"json": body}
        return self.client.simulate_post(path, **more, **options)

    def delete(self, path: str, **options: Any) -> Any:
        return self.client.simulate_delete(path, **options)

    def push(self, version: str) -> str:
        """A commit that declares it; nobody is told."""
        commits = self.stage.world.commits
        return self.stage.world.push(sha(len(commits) + 1), version)

    def green(self, *versions: str) -> "House":
        for version in versions:
            self.push(version)
            answer = self.post("/rebuild?wait=1")
            assert (answer.status_code, answer.json["version"]) == (200, version), answer.text
        return self

    def on(self, name: str, *versions: str) -> "House":
        """Each version is built, and brought through every tier up to this one."""
        for version in versions:
            self.green(version)
            for spec in self.stage.world.running.tiers[1:]:
                if spec.provisioned:
                    self.bring(spec.name, version)
                if spec.name == name:
                    break
        return self

    def bring(self, name: str, version: str) -> None:
        before = self.stage.world.running.predecessor(name)
        if before and before.name == "a":
            assert self.post("/confirm/a").status_code == 200
        answer = self.post(f"/promote/{name}?wait=1", {"version": version, "hotfix": True})
        assert answer.status_code == 200, answer.text
