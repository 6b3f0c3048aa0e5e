"""When a ping is earned: by an actor on a thread of its own that takes one message after the other, however many wait."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pykka
import pytest

from actors.base import Actor, Site, post
from actors.messages import Begin, Tick
from sando.daemon import service, stacks
from sando.daemon.service import Loops, Service
from sando.sd import Notify
from sando.work.now import read_clock
from sando.work.timer import Timer
from tests.system.manager import Manager

STATE: dict[str, Any] = {"tiers": [], "build": None}


class Slow(Actor):
    """Each message takes a moment, as long as `busy` is set; `stuck` holds it for good."""

    busy, stuck = threading.Event(), threading.Event()

    def handle(self, _message: Any) -> None:
        while self.stuck.is_set():
            threading.Event().wait(0.01)
        if self.busy.is_set():
            threading.Event().wait(0.02)


class Stand:
    def __init__(self, folder: Path) -> None:
        self.manager = Manager(str(folder / "notify"))
        self.timer = Timer()
        site = Site(
            store=None, clock=read_clock, runner=None, timer=self.timer, spawn=lambda *_: None, work=None
        )
        self.actor = Slow.start(site=site, parent=None, name="root")
        post(self.actor, Begin())
        loops = Loops(
            lambda m: post(self.actor, m), self.timer.after, lambda call: call(), lambda: None, lambda: STATE
        )
        self.service = Service(Notify(self.manager.address, watchdog_s=0.6), loops, lambda: "sandod")
        self.service.start()
        self.manager.word("WATCHDOG", after=self.manager.word("READY"))

    def fill(self) -> None:
        """More messages than the test will see the end of; what comes behind them waits."""
        Slow.busy.set()
        for _ in range(20_000):
            post(self.actor, Tick("work"))

    def close(self) -> None:
        Slow.busy.clear()
        Slow.stuck.clear()
        self.service.close()
        self.actor.stop(timeout=20)
        self.timer.close()
        self.manager.close()


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path)
    yield made
    made.close()
    pykka.ActorRegistry.stop_all()


def hangs(message: dict[str, str]) -> bool:
    return message.get("STATUS", "").startswith("hangs: root")


def test_an_actor_that_works_through_a_long_inbox_is_slow_and_no_hang(stand: Stand) -> None:
    stand.fill()
    at = len(stand.manager.said)
    for _ in range(5):
        at = stand.manager.word("WATCHDOG", after=at) + 1
    assert stand.service._beat
    assert stand.service._beat.late == ("root",), "its pulse still waits behind the others"
    assert stacks.busy_for().keys() <= {"root"}


def test_an_actor_that_takes_nothing_more_hangs_and_pulses_do_not_pile_up_before_it(stand: Stand) -> None:
    Slow.stuck.set()
    post(stand.actor, Tick("work"))
    at = stand.manager.heard(hangs)
    for _ in range(3):
        last = stand.manager.heard(hangs, after=at + 1)
        assert all("WATCHDOG" not in m for m in stand.manager.said[at:last])
        at = last
    assert "actor root: has Tick in hand for" in stand.manager.said[at]["STATUS"]
    assert stand.actor.actor_inbox.qsize() <= 1
    Slow.stuck.clear()
    stand.manager.word("WATCHDOG", after=at)


def test_what_is_in_hand_is_known_by_the_place_in_the_tree(stand: Stand) -> None:
    child = Slow.start(site=None, parent=stand.actor, name="child")
    actor = child._actor_weakref()
    assert isinstance(actor, Slow)
    assert "root/child" not in stacks.busy_for()
    with actor.life.turn(Tick("work"), read_clock().up - 7.0):
        assert stacks.busy_for()["root/child"] >= 7.0
        assert "actor child: has Tick in hand for" in stacks.oldest()
    child.stop(timeout=20)


def test_a_message_that_waits_for_too_long_is_a_hang_whatever_its_actor_does(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "OLDEST_S", 0.1)
    stand.fill()
    stand.manager.heard(hangs)
