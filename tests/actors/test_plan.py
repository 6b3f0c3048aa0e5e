"""/plan (SPEC 12): asked at the act's own door, answered as the act would be, and nothing is done."""

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from actors.messages import Confirm, LockTier, Plan, Promote, Reload, Reply, Rollback
from sando.model.answers import Refusal
from sando.model.backup import BACKUP, Fetched, LastGood
from sando.model.errors import WorkError
from sando.model.operation import Status
from sando.model.record import Fact
from sando.model.survey import Journey
from sando.model.topology import BackupSpec, FreezeSpec
from sando.work.outcome import Failed
from tests.actors.steps import built, promoted, steps, up_to
from tests.factories import CARGO, CONFIRM, DAY, REHEARSAL, sha, tier, topology
from tests.harness import Stage, as_read

JOBS = ("/plan/", "/verify/", "/look/")


@pytest.fixture
def stage(stage_of: Callable[..., Stage]) -> Stage:
    """1.0 is on b, 2.0 on a, which waits for a day and for a person."""
    stage = stage_of(topology(tier("a", 1, DAY, CONFIRM), tier("b", 2)))
    built(stage, "1.0")
    promoted(stage, "a")
    stage.told(Confirm("a", actor="max"))
    promoted(stage, "b", hotfix=True)
    built(stage, "2.0")
    promoted(stage, "a")
    return stage


def again(wish: Any) -> Any:
    """The same with a reply of its own."""
    return dataclasses.replace(wish, reply=Reply())


def planned(stage: Stage, wish: Promote | Rollback) -> dict[str, Any]:
    """The plan; a plan that changes anything that is kept is none."""
    before = (stage.store.last_seq(), stage.store.operations(limit=1000), stage.store.revision)
    reply = stage.tell(Plan(again(wish)))
    stage.finish_all(*JOBS)
    assert (stage.store.last_seq(), stage.store.operations(limit=1000), stage.store.revision) == before
    answer = reply.given
    assert not isinstance(answer, Refusal), answer
    return as_read(answer)


def not_planned(stage: Stage, wish: Promote | Rollback) -> tuple[int, str]:
    reply = stage.tell(Plan(again(wish)))
    stage.finish_all(*JOBS)
    assert isinstance(reply.given, Refusal), reply.given
    return reply.given.status, reply.given.code


def checks(plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {c["check"]: c for c in plan["checks"]}


def blocked(plan: dict[str, Any]) -> dict[str, str]:
    return {c["check"]: c["clears"] for c in plan["checks"] if c["verdict"] == "blocked"}


# -- a promotion ---------------------------------------------------------------------------------------------


def test_a_plan_says_what_blocks_and_what_would_clear_it(stage: Stage) -> None:
    plan = planned(stage, Promote("b"))
    assert (plan["ready"], plan["status"], plan["code"]) == (False, 409, "gates_not_passed")
    assert (plan["source"], plan["from"], plan["to"]) == ("a", "1.0", "2.0")
    assert blocked(plan) == {
        "gate:burn_in": "2026-11-24T12:00:00.000Z or hotfix",
        "gate:manual_confirm": "POST /confirm/a",
    }
    stage.told(Confirm("a", actor="max"))
    ready = planned(stage, Promote("b", hotfix=True))
    assert (ready["ready"], ready["status"], ready["code"]) == (True, 202, None)
    checks = {c["check"]: (c["verdict"], c["detail"]) for c in ready["checks"]}
    assert checks["gate:burn_in"] == ("warning", "0s of 1d")
    assert checks["gate:manual_confirm"] == ("ok", "passed at 2026-11-23T12:00:00.000Z: confirmed by max")


def test_a_lock_and_a_freeze_say_who_why_and_until_when(stage_of: Callable[..., Stage]) -> None:
    noon = FreezeSpec(tiers=("b",), days=(), end_min=12 * 60 + 30)
    stage = stage_of(topology(tier("b", 1), freezes=(noon,)))
    built(stage, "1.0")
    later = stage.clock().at + timedelta(hours=1)
    stage.told(LockTier("b", "the fair", later, actor="eva"))
    plan = planned(stage, Promote("b"))
    assert (plan["status"], plan["code"]) == (423, "locked")
    assert "locked by eva" in plan["detail"]
    assert blocked(plan) == {
        "lock": "2026-11-23T13:00:00.000Z or DELETE /lock/b",
        "freeze": "2026-11-23T12:30:00.000Z or override_freeze with a reason",
    }
    passed = planned(stage, Promote("b", override_freeze=True, reason="it burns"))
    assert set(blocked(passed)) == {"lock"}


def test_the_look_outside_goes_from_what_runs_to_what_would_run(stage_of: Callable[..., Stage]) -> None:
    rehearsal = replace(REHEARSAL, dir="db/migrations")
    stage = stage_of(topology(tier("mm", 0, CARGO, rehearsal), tier("b", 1)))
    up_to(stage, "b", "1.0", "2.0")
    built(stage, "3.0")
    for wish, new, to, old, since in (
        (Promote("b"), "3.0", sha(3), "2.0", sha(2)),
        (Rollback("b"), "1.0", sha(1), "2.0", sha(2)),
    ):
        stage.tell(Plan(wish))
        stage.drain()
        job = stage.runner.one("/plan/")
        assert job.arguments[1] == Journey(new, to, old, since, "db/migrations")
        stage.runner.finish(job)


def test_a_stale_backup_is_a_warning_where_migrations_are_rehearsed(stage_of: Callable[..., Stage]) -> None:
    """It refuses nothing: the gates that the version has passed stay passed."""
    spec = BackupSpec("file:///var/backups/x.sql", "/var/lib/sando/x.sql", max_age_s=3600)
    shape = topology(tier("mm", 0, CARGO, REHEARSAL), tier("b", 1))
    stage = stage_of(replace(shape, backup=spec))
    built(stage, "1.0")
    found = checks(planned(stage, Promote("b")))["backup"]
    assert (found["verdict"], found["clears"]) == ("warning", "POST /backup/fetch")
    stage.store.save(Fact(BACKUP, LastGood(Fetched(spec.source, spec.local_path, 1, "ab"), stage.clock(), 9)))
    assert checks(planned(stage, Promote("b")))["backup"]["verdict"] == "ok"
    stage.clock.advance(7200)
    plan = planned(stage, Promote("b"))
    assert checks(plan)["backup"]["detail"] == "fetched 2h ago, 1h at most"
    assert plan["ready"]


def test_without_a_rehearsal_a_plan_does_not_speak_of_the_backup(stage: Stage) -> None:
    assert "backup" not in checks(planned(stage, Promote("b")))


@pytest.mark.parametrize("code", ["release_missing", "release_corrupt"])
def test_a_release_that_is_not_what_was_built_is_planned_as_it_would_be_answered(
    stage: Stage, code: str
) -> None:
    stage.told(Confirm("a"))
    stage.world.wrong["2.0"] = (code, "server: sha256 differs")
    plan = planned(stage, Promote("b", hotfix=True))
    assert (plan["ready"], plan["code"], list(blocked(plan))) == (False, code, ["release"])
    answer = stage.answer(Promote("b", hotfix=True))
    assert isinstance(answer, Refusal)
    assert (answer.code, answer.detail, answer.hint) == (plan["code"], plan["detail"], plan["hint"])


def test_a_look_outside_that_fails_is_told_as_the_act_would_tell_it(stage: Stage) -> None:
    stage.told(Confirm("a"))
    plan = stage.tell(Plan(Promote("b", hotfix=True)))
    stage.finish("/plan/", Failed(WorkError("internal", "disk I/O error", errored=True)))
    act = stage.tell(Promote("b", hotfix=True))
    stage.finish("/verify/", Failed(WorkError("internal", "disk I/O error", errored=True)))
    assert plan.given == act.given
    assert (act.given.status, act.given.code) == (503, "store_unavailable")


def test_what_is_current_is_looked_for_on_the_nodes_first_as_the_act_does(stage: Stage) -> None:
    assert planned(stage, Promote("a"))["code"] == "already_current"
    stage.world.node("a", "a-1").current = "1.0"  # somebody changed the link by hand
    stage.advance(2.0)
    reply = stage.tell(Plan(Promote("a")))
    stage.finish_all(*JOBS)
    plan = as_read(reply.given)
    assert (plan["ready"], plan["kind"]) == (True, "repair")
    assert [(n["name"], n["observed"], n["does"]) for n in plan["nodes"]] == [("a-1", "1.0", "switch")]
    assert [e.type for e in stage.events("DriftDetected")] == ["DriftDetected"]
    operation = stage.accepted(Promote("a"))
    stage.finish_all()
    assert stage.operation(operation.id).status is Status.SUCCEEDED
    assert stage.world.node("a", "a-1").current == "2.0"


def test_while_a_promotion_is_checked_the_plan_waits_and_then_finds_the_tier_busy(stage: Stage) -> None:
    stage.told(Confirm("a"))
    act = stage.tell(Promote("b", hotfix=True))
    stage.drain()
    plans = [stage.tell(Plan(wish)) for wish in (Promote("b", hotfix=True), Rollback("b"))]
    stage.drain()
    assert [p.given for p in plans] == [None, None]
    stage.finish_all(*JOBS)
    assert act.given.operation.id
    assert [p.given.body.code for p in plans] == ["tier_busy", "tier_busy"]
    assert {p.given.body.operation for p in plans} == {act.given.operation.id}


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        (Promote("mm"), "not_promotable"),
        (Promote("c"), "not_provisioned"),
        (Rollback("c"), "not_provisioned"),
        (Promote("a"), "nothing_to_promote"),
        (Promote("b"), "nothing_to_promote"),
        (Promote("a", "9.9"), "unknown_version"),
        (Rollback("mm"), "no_previous_version"),
        (Rollback("a"), "no_previous_version"),
        (Rollback("a", "9.9"), "not_rollbackable"),
    ],
)
def test_what_the_act_refuses_is_a_plan_all_the_same(
    stage_of: Callable[..., Stage], wish: Promote | Rollback, code: str
) -> None:
    stage = stage_of(topology(tier("a", 1), tier("b", 1), tier("c", 1, provisioned=False)))
    plan = planned(stage, wish)
    assert (plan["ready"], plan["code"], len(blocked(plan))) == (False, code, 1)
    assert plan["detail"]
    assert plan["hint"]
    assert (plan["status"], plan["code"]) == stage.refused(again(wish))


@pytest.mark.parametrize(
    ("wish", "answer"),
    [
        (Promote("x"), (404, "unknown_tier")),
        (Rollback("x"), (404, "unknown_tier")),
        (Promote("b", reset_burn_in=True), (400, "bad_request")),
    ],
)
def test_what_cannot_be_planned_at_all_is_an_error(
    stage: Stage, wish: Promote | Rollback, answer: tuple[int, str]
) -> None:
    assert not_planned(stage, wish) == answer


# -- a rollback ----------------------------------------------------------------------------------------------


def test_the_plan_of_a_rollback_is_what_the_rollback_does(stage: Stage) -> None:
    plan = planned(stage, Rollback("a"))
    assert (plan["ready"], plan["from"], plan["to"], plan["marks_bad"]) == (True, "2.0", "1.0", "2.0")
    operation = stage.accepted(Rollback("a"))
    assert (operation.version, operation.details["marks"]) == (plan["to"], plan["marks_bad"])


def test_a_rollback_on_the_build_tier_only_moves_the_pointer(stage: Stage) -> None:
    plan = planned(stage, Rollback("mm"))
    assert (plan["ready"], plan["kind"], plan["to"], plan["nodes"]) == (True, "pointer", "1.0", [])


def test_a_rollback_that_stops_a_promotion_is_planned_as_such_and_stops_nothing(stage: Stage) -> None:
    stage.told(Confirm("a"))
    stage.accepted(Promote("b", hotfix=True))
    stage.finish_all("preflight", "upload")
    steps(stage, "b-1", "switch")
    assert planned(stage, Rollback("b"))["code"] == "tier_busy"
    plan = planned(stage, Rollback("b", abort_running=True))
    assert (plan["ready"], plan["code"], plan["whole"]) == (True, "aborting", True)
    stage.finish_all()
    assert stage.tier("b")["current_version"] == "2.0", "nothing was stopped"


# -- when something is wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["supervisor", "a", "b"])
def test_a_death_on_the_way_answers_that_it_is_being_restarted(stage: Stage, who: str) -> None:
    reply = stage.tell(Plan(Promote("b")))
    if who != "b":
        while not stage.actor(who).actor_inbox.qsize():
            assert stage.step()
        stage.crash(stage.actor(who), instead=True)
    else:
        stage.drain()
        stage.crash(stage.actor(who))
    stage.finish_all(*JOBS)
    assert isinstance(reply.given, Refusal)
    assert (reply.given.status, reply.given.code) == (503, "restarting")
    assert planned(stage, Promote("b"))["code"] == "gates_not_passed"
    assert not [j for j in stage.runner.jobs if "/plan/" in j]


def test_a_store_that_cannot_be_read_is_told_at_once(stage: Stage) -> None:
    stage.store.away, stage.store.reads_too = 1, True
    assert not_planned(stage, Promote("b")) == (503, "store_unavailable")
    reply = stage.tell(Plan(Promote("b")))
    stage.drain()
    stage.store.away = 1
    stage.finish("/plan/")
    assert reply.given.code == "store_unavailable"
    stage.store.reads_too = False
    assert planned(stage, Promote("b"))["to"] == "2.0"


def test_while_sandod_stops_nothing_is_planned(stage: Stage) -> None:
    waiting = stage.tell(Plan(Promote("b")))
    stage.drain()
    stage.shut_down()
    assert not_planned(stage, Promote("b")) == (503, "draining")
    assert not_planned(stage, Rollback("b")) == (503, "draining")
    assert waiting.given.code == "draining"


def test_a_tier_that_is_parked_is_planned_as_that(stage: Stage) -> None:
    for _ in range(6):
        stage.drain()
        stage.crash(stage.actor("b"))
    stage.drain()
    for wish in (Promote("b"), Rollback("b")):
        plan = planned(stage, wish)
        assert (plan["status"], plan["code"], list(blocked(plan))) == (503, "degraded", ["tier"])
        assert stage.refused(again(wish)) == (503, "degraded")


def test_a_tier_that_a_reload_took_away_meanwhile_is_not_planned_for(stage: Stage) -> None:
    reply = stage.tell(Plan(Promote("b")))
    stage.drain()
    stage.world.declared = replace(stage.world.running, tiers=stage.world.running.tiers[:2])
    stage.told(Reload(force=True))
    stage.finish_all(*JOBS)
    assert isinstance(reply.given, Refusal)
    assert not_planned(stage, Promote("b")) == (404, "unknown_tier")
