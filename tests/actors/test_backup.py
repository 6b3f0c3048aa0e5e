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
PERIOD = 6 * HOUR
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
def often(stage_of: Callable[..., Stage]) -> Stage:
    """The first fetch has just begun, since there was none."""
    return stage_of(with_backup(schedule_s=PERIOD))


def test_the_first_one_is_fetched_at_once_and_then_one_each_period(often: Stage) -> None:
    (first,) = fetches(often)
    assert (first.actor, first.reason) == ("schedule", "there is none yet")
    often.finish_all()
    often.advance(PERIOD - 1)
    assert len(fetches(often)) == 1
    often.advance(1)
    assert [o.reason for o in fetches(often)] == ["there is none yet", "every 6h"]
    often.finish_all()
    assert all(o.status is Status.SUCCEEDED for o in fetches(often))


@pytest.mark.campaign
def test_a_fetch_by_hand_counts_for_the_schedule(often: Stage) -> None:
    often.finish_all()
    often.advance(PERIOD / 2)
    often.accepted(FetchBackup(actor="max"))
    often.finish_all()
    often.advance(PERIOD * 0.9)
    assert len(fetches(often)) == 2
    often.advance(PERIOD * 0.1 + 1)
    assert len(fetches(often)) == 3


@pytest.mark.campaign
def test_there_are_never_two_at_once(often: Stage) -> None:
    (first,) = fetches(often)
    assert often.accepted(FetchBackup(), 200).id == first.id
    often.advance(3 * PERIOD)
    assert len(fetches(often)) == 1
    often.finish_all()
    often.advance(PERIOD - 1)
    assert len(fetches(often)) == 1


@pytest.mark.campaign
def test_after_a_failure_it_tries_again_soon_and_then_less_often(often: Stage) -> None:
    begun = [often.clock().at]
    for _ in range(6):
        often.finish("backup/", LOST)
        count = len(fetches(often))
        often.advance(HOUR - 1 if len(begun) > 3 else 0)
        while len(fetches(often)) == count:
            often.advance(1)
        begun.append(fetches(often)[-1].created_at)
    waits = [(b - a).total_seconds() for a, b in itertools.pairwise(begun)]
    assert waits == [60, 240, 960, 3600, 3600, 3600]
    assert fetches(often)[-1].reason == "6 in a row brought nothing"
    often.finish_all()
    often.advance(PERIOD - 1)
    assert len(fetches(often)) == 7
    often.advance(1)
    assert fetches(often)[-1].reason == "every 6h"


@pytest.mark.campaign
def test_a_failure_is_told_once_when_the_store_goes_away_around_its_end(often: Stage) -> None:
    """Whatever is read or written then is tried again from the beginning, or is done."""
    (first,) = fetches(often)
    for away in range(1, 8):
        often.store.away, often.store.reads_too = away, True
        often.finish("backup/", LOST)
        often.advance(20)
        often.advance(4 * HOUR)
    often.store.away = 0
    told = [e.operation for e in often.events("BackupFailed")]
    assert told == sorted(set(told))
    assert first.id in told
    assert all(o.finished_at for o in fetches(often)[:-1])


def test_a_failure_says_when_the_schedule_tries_again(often: Stage, caplog: pytest.LogCaptureFixture) -> None:
    often.finish("backup/", LOST)
    assert (
        "backup: operation 1 errored: ssh://prod-1/x: connection lost; the schedule tries again in 1m"
        in caplog.text
    )


def test_what_a_person_stopped_is_not_begun_again_at_once(often: Stage) -> None:
    often.accepted(AbortOperation(fetches(often)[0].id, "eva"))
    often.finish_all()
    often.advance(PERIOD - 1)
    assert len(fetches(often)) == 1
    often.advance(1)
    assert len(fetches(often)) == 2


@pytest.mark.campaign
@pytest.mark.parametrize("reboot", [False, True])
def test_a_schedule_goes_on_over_restarts_and_deaths(often: Stage, *, reboot: bool) -> None:
    often.finish_all()
    often.advance(PERIOD / 4)
    often.crash(often.actor("backup"))
    often.drain()
    often.advance(PERIOD / 4)
    often.restart(reboot=reboot)
    often.drain()
    often.advance(PERIOD / 2 - 1)
    assert len(fetches(often)) == 1
    often.advance(1)
    assert len(fetches(often)) == 2


def test_a_failure_is_remembered_over_a_restart(often: Stage) -> None:
    for _ in range(3):
        often.finish("backup/", LOST)
        often.advance(HOUR)
    often.finish("backup/", LOST)
    often.restart()
    often.drain()
    often.advance(HOUR - 1)
    assert len(fetches(often)) == 4
    often.advance(1)
    assert len(fetches(often)) == 5


def test_one_that_ended_with_a_killed_sandod_is_tried_again_after_a_minute(often: Stage) -> None:
    """It may have been what killed it."""
    often.restart()
    often.drain()
    often.advance(59)
    assert len(fetches(often)) == 1
    often.advance(1)
    assert len(fetches(often)) == 2


def test_one_that_was_stopped_with_sandod_goes_on_at_the_next_start(often: Stage) -> None:
    often.shut_down()
    often.finish_all()
    assert fetches(often)[0].status is Status.INTERRUPTED
    often.restart()
    often.drain()
    assert len(fetches(often)) == 2


@pytest.mark.campaign
def test_a_sandod_that_stops_begins_none(often: Stage) -> None:
    often.finish_all()
    often.shut_down()
    often.drain()
    often.advance(2 * PERIOD)
    assert len(fetches(often)) == 1


def reloaded(stage: Stage, declared: Topology) -> None:
    stage.world.declared = declared
    stage.told(Reload())
    stage.drain()


@pytest.mark.campaign
def test_a_reload_begins_and_ends_a_schedule(stage: Stage) -> None:
    stage.accepted(FetchBackup())
    stage.finish_all()
    stage.advance(2 * HOUR)
    reloaded(stage, with_backup(schedule_s=HOUR))
    assert [o.actor for o in fetches(stage)] == ["anonymous", "schedule"]
    stage.finish_all()
    reloaded(stage, with_backup(schedule_s=PERIOD))
    stage.advance(PERIOD - 1)
    assert len(fetches(stage)) == 2
    reloaded(stage, topology())
    stage.advance(PERIOD)
    assert len(fetches(stage)) == 2


def test_another_source_is_fetched_at_once_whatever_the_old_one_did(often: Stage) -> None:
    for _ in range(4):
        often.finish("backup/", LOST)
        often.advance(HOUR)
    often.finish("backup/", LOST)
    mended = BackupSpec("ssh://backup@prod-2/x.sql", "/var/lib/sando/x.sql", schedule_s=PERIOD)
    reloaded(often, replace(topology(), backup=mended))
    assert len(fetches(often)) == 6
    often.finish_all()
    assert backup(often)["source"] == "ssh://backup@prod-2/x.sql"
    reloaded(often, with_backup(schedule_s=PERIOD))
    assert fetches(often)[-1].reason == "there is none yet"


def jump(stage: Stage, seconds: float) -> None:
    """The wall clock alone."""
    now = stage.clock.now
    stage.clock.now = replace(now, at=now.plus(seconds).at)


@pytest.mark.campaign
@pytest.mark.parametrize("days", [-10, 10])
def test_a_jump_of_the_wall_clock_neither_stops_the_schedule_nor_makes_it_run_wild(
    often: Stage, days: int
) -> None:
    often.finish_all()
    often.advance(HOUR)
    jump(often, days * DAY)
    for _ in range(8):
        often.advance(HOUR)
        often.finish_all()
    early = days > 0  # it is late by the wall clock, which may be right
    assert len(fetches(often)) == 2 + early


def test_a_clock_that_was_set_back_while_the_machine_was_off_makes_it_due(often: Stage) -> None:
    often.finish_all()
    often.kill()
    jump(often, -10 * DAY)
    often.restart(reboot=True)
    often.drain()
    assert len(fetches(often)) == 2
    often.finish_all()
    often.advance(PERIOD - 1)
    assert len(fetches(often)) == 2


def test_a_failure_before_the_clock_was_set_back_holds_nothing_up(often: Stage) -> None:
    often.finish("backup/", LOST)
    often.kill()
    jump(often, -10 * DAY)
    often.restart(reboot=True)
    often.drain()
    assert len(fetches(often)) == 2
    often.finish("backup/", LOST)
    often.advance(239)
    assert len(fetches(often)) == 2
    often.advance(1)
    assert len(fetches(often)) == 3


@pytest.mark.campaign
def test_a_store_that_is_away_when_it_is_due_only_delays_it(often: Stage) -> None:
    often.finish_all()
    often.advance(PERIOD - 1)
    often.store.away = 2
    often.advance(1)
    assert len(fetches(often)) == 1
    often.advance(5)
    assert len(fetches(often)) == 2


# -- how old it is -----------------------------------------------------------------------------------------


@pytest.mark.campaign
def test_one_that_is_too_old_is_shown_and_warned_of_once_a_day(
    stage_of: Callable[..., Stage], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    stage = stage_of(with_backup(max_age_s=2 * PERIOD))
    stage.advance(PERIOD)
    assert not fetches(stage)
    stage.accepted(FetchBackup())
    stage.finish_all()
    stage.advance(2 * PERIOD - 1)
    assert (backup(stage)["stale"], "max_age" in caplog.text) == (False, False)
    stage.advance(120)
    assert backup(stage)["stale"]
    assert caplog.text.count("backup: fetched 12h ago, and max_age is 12h: fetch a new one") == 1
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
    assert {"restore_ok": True, "backup_sha256": "00"}.items() <= done.data["facts"].items()
    assert rehearsing.store.gate_runs(done.operation)[-1].facts == done.data["facts"]
    shown = {g["kind"]: g.get("facts") for g in rehearsing.tier("mm")["gates"]}
    assert shown["migration_dry_run"] == done.data["facts"]
    assert [facts for kind, facts in shown.items() if kind != "migration_dry_run"] == [None] * (
        len(shown) - 1
    )
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
