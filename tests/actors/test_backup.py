"""The backup (SPEC 9): one fetch at a time, by hand or by schedule, and what is known of the last good one."""

import itertools
import logging
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from actors.messages import AbortOperation, FetchBackup, Rebuild, Reload, RunGate
from sando.model.backup import Arriving
from sando.model.errors import WorkError
from sando.model.gates import Verdict
from sando.model.operation import Operation, Status
from sando.model.topology import BackupSpec, Topology
from sando.work.outcome import Done, Failed
from tests.actors.steps import built
from tests.factories import gate, tier, topology
from tests.harness import Stage

HOUR, DAY = 3600.0, 86400.0
LOST = Failed(WorkError("backup", "ssh://prod-1/x: connection lost", errored=True, tail="last words"))


def with_backup(**keys: Any) -> Topology:
    base = topology()
    assert base.backup
    return replace(base, backup=replace(base.backup, **keys))


def backup(stage: Stage) -> Any:
    assert stage.board.latest is not None
    return stage.board.latest.state["backup"]


def fetching(stage: Stage) -> Any:
    assert stage.board.latest is not None
    return stage.board.latest.state["fetch"]


def fetches(stage: Stage) -> list[Operation]:
    """Oldest first."""
    return stage.store.operations(kind="backup")[::-1]


# -- by hand -----------------------------------------------------------------------------------------------


def test_a_fetch_is_an_operation_and_the_state_shows_what_came(stage: Stage) -> None:
    operation = stage.accepted(FetchBackup(actor="max"), 202)
    assert stage.accepted(FetchBackup(), 200).id == operation.id
    assert backup(stage) is None
    stage.finish_all()
    row = stage.operation(operation.id)
    assert (row.status, row.step, row.details["sha256"], row.details["kind"]) == (
        Status.SUCCEEDED, "", "00", "plain",
    )  # fmt: skip
    shown = backup(stage)
    assert (shown["bytes"], shown["sha256"], shown["operation"]) == (7, "00", operation.id)
    assert (shown["last_restore_ok_at"], shown["stale"], shown["warnings"]) == (None, False, [])
    (told,) = stage.events("BackupFetched", "BackupFailed")
    assert (told.type, told.actor, told.data["bytes"], told.data["warnings"]) == (
        "BackupFetched",
        "max",
        7,
        [],
    )


def test_a_warning_reaches_the_operation_the_event_the_state_and_the_log(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    operation = stage.accepted(FetchBackup())
    fetched = replace(stage.world.fetched(), warnings=("it has 1 byte, less than half of the last one",))
    stage.finish("backup/", Done(fetched))
    for where in (
        stage.operation(operation.id).details,
        stage.events("BackupFetched")[0].data,
        backup(stage),
    ):
        assert where["warnings"] == ["it has 1 byte, less than half of the last one"]
    assert "less than half of the last one" in caplog.text


@pytest.mark.parametrize("errored", [False, True])
def test_a_fetch_that_fails_leaves_what_is_known_as_it_was(stage: Stage, *, errored: bool) -> None:
    stage.accepted(FetchBackup())
    stage.finish_all()
    before = backup(stage)
    operation = stage.accepted(FetchBackup())
    stage.finish("backup/", Failed(WorkError("backup", "no such file", errored=errored, tail="cat: x")))
    row = stage.operation(operation.id)
    assert row.status is (Status.ERRORED if errored else Status.FAILED)
    assert "no such file" in str(row.error)
    assert backup(stage) == before
    (told,) = stage.events("BackupFailed")
    assert (told.operation, told.data["status"], told.data["tail"]) == (operation.id, row.status, "cat: x")


def test_without_a_backup_section_there_is_nothing_to_fetch(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(topology(backup=False))
    assert stage.refused(FetchBackup()) == (409, "no_backup_configured")


def test_a_fetch_can_be_aborted_and_says_by_whom(stage: Stage) -> None:
    operation = stage.accepted(FetchBackup())
    stage.accepted(AbortOperation(operation.id, "eva", "the line is needed"))
    stage.finish_all()
    row = stage.operation(operation.id)
    assert (row.status, row.error) == (Status.ABORTED, "aborted by eva")
    assert row.details["abort_reason"] == "the line is needed"


@pytest.mark.parametrize("who", ["backup", "supervisor"])
def test_an_abort_outlives_the_death_of_its_actor(stage: Stage, who: str) -> None:
    operation = stage.accepted(FetchBackup())
    stage.tell(AbortOperation(operation.id, "eva"))
    while "abort" not in stage.operation(operation.id).details:
        assert stage.step()
    stage.crash(stage.actor(who))
    stage.finish_all()
    assert stage.operation(operation.id).error == "aborted by eva"


@pytest.mark.parametrize("who", ["backup", "supervisor"])
def test_a_fetch_survives_the_death_of_its_actor(stage: Stage, who: str) -> None:
    operation = stage.accepted(FetchBackup())
    stage.crash(stage.actor(who))
    stage.finish_all()
    assert stage.operation(operation.id).status is Status.SUCCEEDED
    assert stage.runner.held() == ()


def test_a_fetch_under_a_killed_sandod_is_interrupted(stage: Stage) -> None:
    operation = stage.accepted(FetchBackup())
    stage.restart()
    stage.drain()
    assert stage.operation(operation.id).status is Status.INTERRUPTED
    assert len(stage.events("BackupFailed")) == 1


# -- how far it is -----------------------------------------------------------------------------------------


def say(stage: Stage, operation: Operation, arriving: Arriving) -> None:
    stage.runner.say(f"backup/{operation.id}", arriving)
    stage.drain()


def test_how_far_it_is_stands_in_the_operation_and_in_the_state(stage: Stage) -> None:
    operation = stage.accepted(FetchBackup())
    assert fetching(stage)["operation"] == operation.id
    assert (fetching(stage)["bytes"], fetching(stage)["of"]) == (None, None)
    say(stage, operation, Arriving("fetch", 3, None))
    assert stage.operation(operation.id).details["bytes"] == 3
    say(stage, operation, Arriving("check", 7, 7))
    row = stage.operation(operation.id)
    assert (row.step, row.details["bytes"], row.details["of"]) == ("check", 7, 7)
    assert (fetching(stage)["step"], fetching(stage)["bytes"], fetching(stage)["of"]) == ("check", 7, 7)
    stage.finish_all()
    assert fetching(stage) is None


def test_how_far_it_is_makes_no_event(stage: Stage) -> None:
    operation = stage.accepted(FetchBackup())
    before = len(stage.events())
    say(stage, operation, Arriving("fetch", 3, 7))
    assert len(stage.events()) == before


def test_how_far_it_is_reaches_the_actor_that_took_over(stage: Stage) -> None:
    operation = stage.accepted(FetchBackup())
    stage.crash(stage.actor("backup"))
    stage.drain()
    say(stage, operation, Arriving("fetch", 5, 7))
    assert stage.operation(operation.id).details["bytes"] == 5


def test_a_store_that_is_away_makes_nobody_wait_for_progress(stage: Stage) -> None:
    operation = stage.accepted(FetchBackup())
    stage.store.away = 1
    say(stage, operation, Arriving("fetch", 5, 7))
    assert "bytes" not in stage.operation(operation.id).details
    say(stage, operation, Arriving("fetch", 6, 7))
    assert stage.operation(operation.id).details["bytes"] == 6
    stage.finish_all()
    stage.advance(10)
    assert stage.operation(operation.id).status is Status.SUCCEEDED


def test_what_is_said_after_the_end_is_dropped(stage: Stage) -> None:
    operation = stage.accepted(FetchBackup())
    job = stage.runner.one("backup/")
    stage.finish_all()
    assert job.heard
    job.heard(job.key, Arriving("fetch", 5, 7))
    stage.drain()
    assert stage.operation(operation.id).details["bytes"] == 7


# -- by schedule -------------------------------------------------------------------------------------------


@pytest.fixture
def daily(stage_of: Callable[..., Stage]) -> Stage:
    """The first fetch has just begun, since there was none."""
    return stage_of(with_backup(schedule_s=DAY))


def test_the_first_one_is_fetched_at_once_and_then_one_a_day(daily: Stage) -> None:
    (first,) = fetches(daily)
    assert (first.actor, first.reason) == ("schedule", "there is none yet")
    daily.finish_all()
    daily.advance(DAY - 1)
    assert len(fetches(daily)) == 1
    daily.advance(1)
    assert [o.reason for o in fetches(daily)] == ["there is none yet", "every 1d"]
    daily.finish_all()
    assert all(o.status is Status.SUCCEEDED for o in fetches(daily))


def test_a_fetch_by_hand_counts_for_the_schedule(daily: Stage) -> None:
    daily.finish_all()
    daily.advance(DAY / 2)
    daily.accepted(FetchBackup(actor="max"))
    daily.finish_all()
    daily.advance(DAY * 0.9)
    assert len(fetches(daily)) == 2
    daily.advance(DAY * 0.1 + 1)
    assert len(fetches(daily)) == 3


def test_there_are_never_two_at_once(daily: Stage) -> None:
    (first,) = fetches(daily)
    assert daily.accepted(FetchBackup(), 200).id == first.id
    daily.advance(3 * DAY)
    assert len(fetches(daily)) == 1
    daily.finish_all()
    daily.advance(DAY - 1)
    assert len(fetches(daily)) == 1


def test_after_a_failure_it_tries_again_soon_and_then_less_often(daily: Stage) -> None:
    begun = [daily.clock().at]
    for _ in range(6):
        daily.finish("backup/", LOST)
        count = len(fetches(daily))
        daily.advance(HOUR - 1 if len(begun) > 3 else 0)
        while len(fetches(daily)) == count:
            daily.advance(1)
        begun.append(fetches(daily)[-1].created_at)
    waits = [(b - a).total_seconds() for a, b in itertools.pairwise(begun)]
    assert waits == [60, 240, 960, 3600, 3600, 3600]
    assert fetches(daily)[-1].reason == "6 in a row brought nothing"
    daily.finish_all()
    daily.advance(DAY - 1)
    assert len(fetches(daily)) == 7
    daily.advance(1)
    assert fetches(daily)[-1].reason == "every 1d"


def test_what_a_person_stopped_is_not_begun_again_at_once(daily: Stage) -> None:
    daily.accepted(AbortOperation(fetches(daily)[0].id, "eva"))
    daily.finish_all()
    daily.advance(DAY - 1)
    assert len(fetches(daily)) == 1
    daily.advance(1)
    assert len(fetches(daily)) == 2


@pytest.mark.parametrize("reboot", [False, True])
def test_a_schedule_goes_on_over_restarts_and_deaths(daily: Stage, *, reboot: bool) -> None:
    daily.finish_all()
    daily.advance(DAY / 4)
    daily.crash(daily.actor("backup"))
    daily.drain()
    daily.advance(DAY / 4)
    daily.restart(reboot=reboot)
    daily.drain()
    daily.advance(DAY / 2 - 1)
    assert len(fetches(daily)) == 1
    daily.advance(1)
    assert len(fetches(daily)) == 2


def test_a_failure_is_remembered_over_a_restart(daily: Stage) -> None:
    for _ in range(3):
        daily.finish("backup/", LOST)
        daily.advance(HOUR)
    daily.finish("backup/", LOST)
    daily.restart()
    daily.drain()
    daily.advance(HOUR - 1)
    assert len(fetches(daily)) == 4
    daily.advance(1)
    assert len(fetches(daily)) == 5


def test_one_that_ended_with_a_killed_sandod_is_tried_again_after_a_minute(daily: Stage) -> None:
    """It may have been what killed it."""
    daily.restart()
    daily.drain()
    daily.advance(59)
    assert len(fetches(daily)) == 1
    daily.advance(1)
    assert len(fetches(daily)) == 2


def test_one_that_was_stopped_with_sandod_goes_on_at_the_next_start(daily: Stage) -> None:
    daily.shut_down()
    daily.finish_all()
    assert fetches(daily)[0].status is Status.INTERRUPTED
    daily.restart()
    daily.drain()
    assert len(fetches(daily)) == 2


def test_a_sandod_that_stops_begins_none(daily: Stage) -> None:
    daily.finish_all()
    daily.shut_down()
    daily.drain()
    daily.advance(2 * DAY)
    assert len(fetches(daily)) == 1


def reloaded(stage: Stage, declared: Topology) -> None:
    stage.world.declared = declared
    stage.told(Reload())
    stage.drain()


def test_a_reload_begins_and_ends_a_schedule(stage: Stage) -> None:
    stage.accepted(FetchBackup())
    stage.finish_all()
    stage.advance(2 * HOUR)
    reloaded(stage, with_backup(schedule_s=HOUR))
    assert [o.actor for o in fetches(stage)] == ["anonymous", "schedule"]
    stage.finish_all()
    reloaded(stage, with_backup(schedule_s=DAY))
    stage.advance(DAY - 1)
    assert len(fetches(stage)) == 2
    reloaded(stage, topology())
    stage.advance(DAY)
    assert len(fetches(stage)) == 2


def test_another_source_is_fetched_at_once_whatever_the_old_one_did(daily: Stage) -> None:
    for _ in range(4):
        daily.finish("backup/", LOST)
        daily.advance(HOUR)
    daily.finish("backup/", LOST)
    mended = BackupSpec("ssh://backup@prod-2/x.sql", "/var/lib/sando/x.sql", schedule_s=DAY)
    reloaded(daily, replace(topology(), backup=mended))
    assert len(fetches(daily)) == 6
    daily.finish_all()
    assert backup(daily)["source"] == "ssh://backup@prod-2/x.sql"
    reloaded(daily, with_backup(schedule_s=DAY))
    assert fetches(daily)[-1].reason == "there is none yet"


def jump(stage: Stage, seconds: float) -> None:
    """The wall clock alone."""
    now = stage.clock.now
    stage.clock.now = replace(now, at=now.plus(seconds).at)


@pytest.mark.parametrize("days", [-10, 10])
def test_a_jump_of_the_wall_clock_neither_stops_the_schedule_nor_makes_it_run_wild(
    daily: Stage, days: int
) -> None:
    daily.finish_all()
    daily.advance(HOUR)
    jump(daily, days * DAY)
    for _ in range(30):
        daily.advance(HOUR)
        daily.finish_all()
    early = days > 0  # it is late by the wall clock, which may be right
    assert len(fetches(daily)) == 2 + early


def test_a_clock_that_was_set_back_while_the_machine_was_off_makes_it_due(daily: Stage) -> None:
    daily.finish_all()
    daily.kill()
    jump(daily, -10 * DAY)
    daily.restart(reboot=True)
    daily.drain()
    assert len(fetches(daily)) == 2
    daily.finish_all()
    daily.advance(DAY - 1)
    assert len(fetches(daily)) == 2


def test_a_failure_before_the_clock_was_set_back_holds_nothing_up(daily: Stage) -> None:
    daily.finish("backup/", LOST)
    daily.kill()
    jump(daily, -10 * DAY)
    daily.restart(reboot=True)
    daily.drain()
    assert len(fetches(daily)) == 2
    daily.finish("backup/", LOST)
    daily.advance(239)
    assert len(fetches(daily)) == 2
    daily.advance(1)
    assert len(fetches(daily)) == 3


def test_a_store_that_is_away_when_it_is_due_only_delays_it(daily: Stage) -> None:
    daily.finish_all()
    daily.advance(DAY - 1)
    daily.store.away = 2
    daily.advance(1)
    assert len(fetches(daily)) == 1
    daily.advance(5)
    assert len(fetches(daily)) == 2


# -- how old it is -----------------------------------------------------------------------------------------


def test_one_that_is_too_old_is_shown_and_warned_of_once_a_day(
    stage_of: Callable[..., Stage], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    stage = stage_of(with_backup(max_age_s=2 * DAY))
    stage.advance(DAY)
    assert not fetches(stage)
    stage.accepted(FetchBackup())
    stage.finish_all()
    stage.advance(2 * DAY - 1)
    assert (backup(stage)["stale"], "max_age" in caplog.text) == (False, False)
    stage.advance(120)
    assert backup(stage)["stale"]
    assert caplog.text.count("backup: fetched 2d ago, and max_age is 2d: fetch a new one") == 1
    stage.advance(12 * HOUR)
    assert caplog.text.count("max_age is") == 1
    stage.advance(13 * HOUR)
    assert caplog.text.count("max_age is") == 2
    stage.accepted(FetchBackup())
    stage.finish_all()
    assert not backup(stage)["stale"]


# -- that it restores --------------------------------------------------------------------------------------

REHEARSAL = gate("migration_dry_run")


@pytest.fixture
def rehearsing(stage_of: Callable[..., Stage]) -> Stage:
    """Its build tier rehearses; a backup is there."""
    stage = stage_of(topology(tier("mm", 0, REHEARSAL), tier("a", 1), tier("b", 1)))
    stage.accepted(FetchBackup())
    stage.finish_all()
    return stage


def restores(stage: Stage, sha256: str = "00") -> None:
    stage.world.facts["migration_dry_run"] = {"restore_ok": True, "backup_sha256": sha256}


def test_a_rehearsal_that_restored_the_backup_is_shown_with_it(rehearsing: Stage) -> None:
    restores(rehearsing)
    rehearsing.advance(60)
    built(rehearsing, "1.0")
    (done,) = list(rehearsing.events("GateDone"))
    assert backup(rehearsing)["last_restore_ok_at"] == "2026-11-23T12:01:00.000Z"
    (proof,) = rehearsing.store.restored()
    assert (proof.tier, proof.version, proof.operation, proof.at) == ("mm", "1.0", done.operation, done.at)


def test_the_same_bytes_keep_their_proof_and_other_bytes_have_none(rehearsing: Stage) -> None:
    restores(rehearsing)
    built(rehearsing, "1.0")
    proven = backup(rehearsing)["last_restore_ok_at"]
    rehearsing.advance(HOUR)
    rehearsing.accepted(FetchBackup())
    rehearsing.finish_all()
    assert backup(rehearsing)["last_restore_ok_at"] == proven
    rehearsing.world.dump = "11"
    rehearsing.accepted(FetchBackup())
    rehearsing.finish_all()
    assert backup(rehearsing)["last_restore_ok_at"] is None


def test_a_rehearsal_of_other_bytes_proves_nothing_of_these(rehearsing: Stage) -> None:
    """A fetch ended while it was at work."""
    restores(rehearsing, "of the one before")
    built(rehearsing, "1.0")
    assert backup(rehearsing)["last_restore_ok_at"] is None


def test_a_rehearsal_whose_migrations_failed_proves_the_backup_all_the_same(rehearsing: Stage) -> None:
    built(rehearsing, "1.0")
    assert backup(rehearsing)["last_restore_ok_at"] is None
    rehearsing.accepted(RunGate("mm", "migration_dry_run"))
    facts: dict[str, object] = {"restore_ok": True, "backup_sha256": "00"}
    rehearsing.finish("gate/", Done(Verdict(passed=False, message="002.sql: syntax error", facts=facts)))
    assert backup(rehearsing)["last_restore_ok_at"] is not None


@pytest.mark.parametrize(
    "facts",
    [{}, {"restore_ok": False, "backup_sha256": "00"}, {"restore_ok": True}, {"restore_ok": "yes", "backup_sha256": "00"}],
)  # fmt: skip
def test_a_rehearsal_that_says_less_proves_nothing(rehearsing: Stage, facts: dict[str, object]) -> None:
    rehearsing.world.facts["migration_dry_run"] = facts
    built(rehearsing, "1.0")
    assert backup(rehearsing)["last_restore_ok_at"] is None


@pytest.mark.parametrize("after", range(1, 6))
def test_a_proof_is_kept_with_the_end_of_its_gate_or_not_at_all(rehearsing: Stage, after: int) -> None:
    """A bug right after any of the commits, and a kill: what the store says of both always agrees."""
    restores(rehearsing)
    rehearsing.world.push("1" * 40, "1.0")
    rehearsing.store.bug_after = after
    rehearsing.tell(Rebuild())
    for _ in range(4):
        rehearsing.finish_all("lookup/", "build/", "gate/")
    rehearsing.restart()
    rehearsing.drain()
    green = any(e.data["outcome"] == "passed" for e in rehearsing.events("GateDone"))
    assert bool(rehearsing.store.restored()) == green
    assert (backup(rehearsing)["last_restore_ok_at"] is not None) == green


def test_a_proof_outlives_a_restart(rehearsing: Stage) -> None:
    restores(rehearsing)
    built(rehearsing, "1.0")
    proven = backup(rehearsing)["last_restore_ok_at"]
    rehearsing.restart(reboot=True)
    rehearsing.drain()
    assert backup(rehearsing)["last_restore_ok_at"] == proven is not None
