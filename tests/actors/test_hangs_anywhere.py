"""An actor hangs before each thing that it does on the way of a push to a tier and back, is replaced, and goes on later.

Each run is the same way with one hang: in the message number `at` that the actor handles, before its act number `before`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors.base import HANG_S, ROUND_S
from actors.messages import Confirm, FetchBackup, LockTier, Promote, Rebuild, Rollback
from sando.model.answers import Refusal
from tests.actors.calm import check_rest
from tests.factories import CARGO, CONFIRM, SMOKE, sha, tier, topology
from tests.harness import Stage
from tests.sleeper import Sleeper

WHO = ("supervisor", "journal", "build", "backup", "mm", "a", "a-1")
SHAPE = topology(tier("mm", 0, CARGO), tier("a", 2, SMOKE, CONFIRM, canary="parallel"))
FAR = 10_000


class Trapped(Stage):
    """The actor `who` hangs once, as said above; `sleeper` is it, and None as long as it did not."""

    def __init__(self, path: Path, who: str, at: int, before: int) -> None:
        self.who, self.at, self.before = who, at, before
        self.handled = 0
        self.sleeper: Sleeper | None = None
        super().__init__(path, SHAPE)

    def handle(self, actor: Any) -> None:
        if actor.name == self.who and self.sleeper is None:
            self.handled += 1
            if self.handled > self.at:
                self.sleeper = self.sleep(actor, before=self.before)
                return
        super().handle(actor)

    def carry_out(self, make: Callable[[], Any]) -> None:
        """As a person does it: who is told to try again tries again."""
        for _ in range(3):
            message = make()
            self.tell(message)
            self.finish_all()
            if self.sleepers:
                self.advance(HANG_S + 2 * ROUND_S)
                self.finish_all()
            given = message.reply.given
            assert given is not None, f"no answer to {message}"
            if not isinstance(given, Refusal) or given.code != "restarting":
                return
        raise AssertionError(f"{message} is never carried out")


def walk(stage: Trapped, *, late: bool) -> None:
    """There and back; the sleeper is woken after it was replaced: at once, or at the very end."""
    steps: tuple[Callable[[], Any], ...] = (
        lambda: Rebuild(sha(1)), lambda: Promote("a", "1.0"), lambda: Confirm("a", "1.0"), FetchBackup,
        lambda: Rebuild(sha(2)), lambda: Promote("a", "2.0"), lambda: Rollback("a", "1.0"), lambda: LockTier("a", "why"),
    )  # fmt: skip
    for make in steps:
        stage.carry_out(make)
        if not late:
            wake(stage)
    stage.who = ""
    stage.advance(HANG_S + 2 * ROUND_S)
    wake(stage)
    stage.advance(65)
    stage.finish_all()


def wake(stage: Trapped) -> None:
    for sleeper in list(stage.sleepers):
        assert sleeper.actor.life.over
        sleeper.wake()


def check(stage: Trapped) -> None:
    check_rest(stage, [])
    shown = stage.tier("a")
    assert (shown["current_version"], shown["previous_version"]) == ("1.0", None)
    assert stage.world.links("a") == {"a-1": "1.0", "a-2": "1.0"}
    assert shown["lock"]["reason"] == "why"
    assert stage.store.tier("a").marks.keys() == {"2.0"}
    assert stage.store.backup() is not None


def run(folder: Path, who: str, at: int, before: int) -> Trapped:
    path = folder / f"{who}-{at}-{before}.db"
    stage = Trapped(path, who, at, before)
    stage.world.push(sha(1), "1.0")
    stage.world.push(sha(2), "2.0")
    try:
        walk(stage, late=before % 2 == 1)
        check(stage)
    finally:
        stage.store.close()
        path.unlink()
    return stage


@pytest.mark.campaign
@pytest.mark.parametrize("who", WHO)
@pytest.mark.long
def test_wherever_an_actor_hangs_the_way_leads_to_the_same_place(folder: Path, who: str) -> None:
    hung = 0
    for at in range(FAR):
        for before in range(FAR):
            try:
                stage = run(folder, who, at, before)
            except Exception as error:
                raise AssertionError(f"message {at}, act {before}: {error}") from error
            if stage.sleeper is None:
                assert hung >= 8
                return
            if not stage.sleeper.slept:
                break
            hung += 1
