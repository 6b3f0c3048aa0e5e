"""What a request with an Idempotency-Key was answered is stored with what it made: in every order of deaths, both or none."""

from collections.abc import Callable
from typing import Any

import pytest

from actors.messages import (
    AbortOperation,
    Confirm,
    FetchBackup,
    LockTier,
    Promote,
    Rebuild,
    Reject,
    Reload,
    Rollback,
    RunGate,
    UnlockTier,
)
from sando.model.answers import Accepted, Told
from sando.model.claim import Claim
from tests.actors.steps import up_to
from tests.factories import CONFIRM, SMOKE, sha, tier, topology
from tests.harness import NOON, Stage

BOTH = topology(tier("a", 1, SMOKE, CONFIRM), tier("b", 3))
Scene = Callable[[Stage], Any]


def claimed(message: Any) -> Any:
    """The message as the API sends it for a request with a key."""
    message.reply.claim = Claim("key", "request", "max", NOON)
    return message


def moved(stage: Stage) -> Any:
    stage.world.push(sha(len(stage.world.commits) + 1), "9.9")
    return Rebuild()


def running(stage: Stage, *messages: Any) -> AbortOperation:
    """The last of these is accepted and goes on; it is to be aborted."""
    for message in messages:
        operation = stage.accepted(message)
    return AbortOperation(operation.id)


def waiting_build(stage: Stage) -> AbortOperation:
    running(stage, moved(stage))
    stage.world.push(sha(99), "9.9.9")
    return running(stage, Rebuild())


SCENES: dict[str, Scene] = {
    "rebuild": moved,
    "rebuild of what is green": lambda _: Rebuild(),
    "promote": lambda _: Promote("a", force=True),
    "rollback": lambda _: Rollback("a"),
    "rollback of the pointer": lambda _: Rollback("mm"),
    "rollback that stops a promotion": lambda stage: (
        stage.accepted(Promote("a", force=True)) and Rollback("a", abort_running=True)
    ),
    "gate of the build tier": lambda _: RunGate("mm", "cargo_test"),
    "gate": lambda _: RunGate("a", "boot_smoke"),
    "confirm": lambda _: Confirm("a"),
    "reject": lambda _: Reject("a"),
    "fetch": lambda _: FetchBackup(),
    "lock": lambda _: LockTier("a", "audit"),
    "unlock": lambda stage: stage.ask(LockTier("a", "audit")) and UnlockTier("a"),
    "reload": lambda _: Reload(),
    "abort of a build": lambda stage: running(stage, moved(stage)),
    "abort of a waiting build": waiting_build,
    "abort of a promotion": lambda stage: running(stage, Promote("a", force=True)),
    "abort of a gate": lambda stage: running(stage, RunGate("a", "boot_smoke")),
    "abort of a fetch": lambda stage: running(stage, FetchBackup()),
}


@pytest.fixture
def stage(stage_of: Callable[..., Stage]) -> Stage:
    stage = stage_of(BOTH)
    stage.finish_all()
    up_to(stage, "a", "1.0", "1.1")
    return stage


def expected(answer: Accepted | Told) -> tuple[int, int | None, bool]:
    if isinstance(answer, Accepted):
        return answer.status, answer.operation.id, False
    return answer.status, None, True


def found(claim: Claim | None) -> tuple[int, int | None, bool]:
    assert claim is not None
    return claim.status, claim.operation, claim.told is not None


@pytest.mark.parametrize("scene", SCENES)
def test_what_an_act_made_and_what_its_key_says_are_one_transaction(stage: Stage, scene: str) -> None:
    message = claimed(SCENES[scene](stage))
    answer = stage.answer(message)
    assert isinstance(answer, Accepted | Told), answer
    assert message.reply.kept
    assert found(stage.store.claim("key")) == expected(answer)


@pytest.mark.parametrize("scene", SCENES)
def test_after_a_death_right_behind_the_commit_the_key_says_what_was_made(stage: Stage, scene: str) -> None:
    """The one who asked is told that the outcome is unknown, or to try again; the key knows it."""
    message = claimed(SCENES[scene](stage))
    stage.store.bug_after = 1
    stage.tell(message)
    stage.drain()
    stage.finish_all("lookup/", "verify/", "reload/")
    stage.kill()
    stage.store.open()
    claim = stage.store.claim("key")
    assert claim is not None
    assert (claim.operation is None) or stage.store.operation(claim.operation) is not None


@pytest.mark.parametrize("scene", SCENES)
def test_where_the_store_is_away_nothing_is_made_and_the_key_says_nothing(stage: Stage, scene: str) -> None:
    message = claimed(SCENES[scene](stage))
    before = len(stage.store.operations()), stage.store.last_seq()
    stage.tell(message)
    stage.store.away = -1
    stage.drain()
    stage.finish_all("lookup/", "verify/", "reload/")
    stage.store.away = 0
    assert stage.store.claim("key") is None
    made = [e for e in stage.events()[before[1] :] if e.type != "ActorRestarted"]
    assert (len(stage.store.operations()), made) == (before[0], [])


def test_a_refusal_is_not_kept(stage: Stage) -> None:
    assert stage.refused(claimed(Promote("nowhere"))) == (404, "unknown_tier")
    assert stage.refused(claimed(Promote("a"))) == (409, "already_current")
    assert stage.store.claim("key") is None


def test_what_was_only_found_is_left_to_the_one_who_asked_to_keep(stage: Stage) -> None:
    stage.accepted(FetchBackup())
    message = claimed(FetchBackup())
    assert stage.accepted(message, 200)
    assert not message.reply.kept
    assert stage.store.claim("key") is None


def test_an_unlock_of_what_is_not_locked_makes_nothing(stage: Stage) -> None:
    message = claimed(UnlockTier("b"))
    assert stage.told(message) == {"unlocked": []}
    assert not message.reply.kept


def test_an_aborted_promotion_that_is_aborted_again_keeps_nothing_new(stage: Stage) -> None:
    wish = running(stage, Promote("a", force=True))
    stage.accepted(wish)
    again = claimed(AbortOperation(wish.operation))
    stage.accepted(again)
    assert not again.reply.kept
