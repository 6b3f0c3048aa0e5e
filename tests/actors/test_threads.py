"""The same tree on real threads, with the real runner and timer: what only pykka itself can show."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pykka
import pytest

from actors import base, root
from actors.base import Actor, Site, post
from actors.messages import Begin, LockTier, Promote, Rebuild, Reply, Shutdown
from actors.root import Root
from sando.model.answers import Accepted, Told
from sando.model.events import Event
from sando.model.operation import Status
from sando.store import Store
from sando.work.now import read_clock
from sando.work.runner import Runner
from sando.work.timer import Timer
from tests.factories import sha, topology
from tests.harness import Board
from tests.world import World

SOON = 30.0
REST = ("root", "supervisor", "journal", "mm", "b", "build", "backup")


def until(what: Callable[[], Any]) -> Any:
    """What it says first that is true; the test fails when that takes too long."""
    deadline = time.monotonic() + SOON
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)
    return found


class Daemon:
    """As the composition root makes it, with a simulated world."""

    def __init__(self, folder: Path, actors: list[Any]) -> None:
        self.actors = actors
        self.store = Store(folder / "sando.db", synchronous="OFF")
        self.store.open()
        self.world = World(topology())
        self.board = Board()
        self.runner, self.timer = Runner(), Timer()
        self.died: list[str] = []
        site = Site(
            store=self.store, clock=read_clock, runner=self.runner, timer=self.timer, work=self.world,
            spawn=lambda kind, **arguments: kind.start(**arguments),
        )  # fmt: skip
        self.root: Any = Root.start(
            site=site, topology=self.world.running, board=self.board, daemon={}, die=self.died.append
        )
        post(self.root, Begin(fresh=True))

    def ask(self, message: Any) -> Any:
        post(self.root, message)
        return message.reply.wait(SOON)

    def child(self, name: str) -> Any:
        """The latest actor of that name itself: only to put a bug into it."""
        return [a for a in self.actors if a.name == name][-1]

    def living(self, *names: str) -> set[str]:
        alive = {r.actor_urn for r in pykka.ActorRegistry.get_all()}
        return {a.actor_urn for a in self.actors if a.name in names} & alive

    def ended(self, operation: int) -> Status:
        row = until(lambda: (o := self.store.operation(operation)) and o.status.ended and o)
        return Status(row.status)

    def stop(self) -> None:
        self.timer.close()
        self.runner.close(5.0)
        self.root.stop(block=True, timeout=5.0)
        until(lambda: not pykka.ActorRegistry.get_all())
        self.store.close()


@pytest.fixture
def daemon(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    actors: list[Any] = []
    plain = Actor.__init__

    def noted(self: Actor, *arguments: Any) -> None:
        plain(self, *arguments)
        actors.append(self)

    monkeypatch.setattr(Actor, "__init__", noted)
    monkeypatch.setattr(root, "ROUND_S", 0.05)
    made = Daemon(folder, actors)
    until(lambda: len(made.living("a", "a-1", *REST)) == len(REST) + 2)
    yield made
    if made.root.is_alive():
        made.stop()


def test_a_push_goes_all_the_way_on_real_threads_and_nothing_is_left(daemon: Daemon) -> None:
    daemon.world.push(sha(1), "1.0")
    build = daemon.ask(Rebuild())
    assert isinstance(build, Accepted)
    assert daemon.ended(build.operation.id) is Status.SUCCEEDED
    until(lambda: (t := daemon.store.tier("mm")).current_version == "1.0" and not t.gating)
    deploy = daemon.ask(Promote("a"))
    assert daemon.ended(deploy.operation.id) is Status.SUCCEEDED
    assert daemon.world.links("a") == {"a-1": "1.0"}
    until(lambda: not daemon.runner.held())
    reply = Reply()
    post(daemon.root, Shutdown(reply))
    assert isinstance(reply.wait(SOON), Told)
    daemon.stop()
    # A prune begins after the promotion has ended, and nobody waits for it when the daemon stops.
    assert [key for key in daemon.runner.held() if not key.endswith("/prune")] == []
    assert daemon.died == []


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit, KeyboardInterrupt])
def test_a_bug_ends_one_actor_and_it_comes_back(daemon: Daemon, kind: type[BaseException]) -> None:
    before = daemon.child("a")
    others = daemon.living(*REST)

    def strike(_message: Any) -> None:
        raise kind("a bug in a told message")

    before.handle = strike
    before.actor_ref.tell(object())
    after = until(lambda: (found := daemon.child("a")) is not before and found.begun and found)
    assert after is not before
    assert daemon.living(*REST) == others
    told = until(lambda: [e for e in daemon.board.events if e.type == "ActorRestarted"])
    assert told[0].tier == "a"
    assert isinstance(daemon.ask(LockTier("a", "still here")), Told)


def test_an_actor_that_hangs_is_replaced_and_does_nothing_more_when_it_goes_on(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "HANG_S", 0.1)
    before, go = daemon.child("a"), threading.Event()
    below = daemon.child("a-1")

    def hang(_message: Any) -> None:
        assert go.wait(SOON)
        before.site.store.save(Event("Locked", read_clock().at, tier="a", actor="a ghost"))

    before.handle = hang
    waits = [LockTier("a", "in its hand"), LockTier("a", "behind it")]
    for message in waits:
        before.actor_ref.tell(message)
    after = until(lambda: (found := daemon.child("a")) is not before and found.begun and found)
    assert [m.reply.wait(SOON).code for m in waits] == ["restarting"] * 2
    until(below.actor_stopped.is_set)
    assert before.actor_urn in daemon.living("a"), "its thread is still in the handler"
    go.set()
    until(lambda: daemon.living("a") == {after.actor_urn})
    assert isinstance(daemon.ask(LockTier("a", "still here")), Told)
    assert [e.actor for e in daemon.store.events(0, 1000) if e.type == "Locked"] == ["anonymous"]


def test_a_supervisor_that_exits_takes_its_children_with_it_and_all_come_back(daemon: Daemon) -> None:
    old = daemon.child("supervisor")
    below = [daemon.child("a"), daemon.child("build"), daemon.child("a-1")]
    old.handle = lambda _message: sys.exit(3)
    old.actor_ref.tell(object())
    until(lambda: all(a.actor_stopped.is_set() for a in below))
    daemon.world.push(sha(1), "1.0")
    build = until(lambda: (a := daemon.ask(Rebuild())) and isinstance(a, Accepted) and a)
    assert daemon.ended(build.operation.id) is Status.SUCCEEDED
