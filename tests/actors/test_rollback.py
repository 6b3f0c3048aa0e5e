"""Rollbacks (SPEC 7): whole first, then one step back, never a toggle, and always to the end."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from actors.messages import AbortOperation, Plan, Promote, Rebuild, Reload, Rollback, RunGate
from actors.observing import AWAY_S
from sando.model.answers import Refusal
from sando.model.errors import WorkError
from sando.model.operation import Operation, Status
from sando.work.outcome import Failed
from tests.actors.steps import LOST, RED, built, promoted, running, step, steps, up_to
from tests.factories import SMOKE, gate, sha, tier, topology
from tests.harness import Stage, as_read


@pytest.fixture
def stage(stage_of: Callable[..., Stage]) -> Stage:
    """Three versions have come to tier b, one after the other."""
    stage = stage_of(topology(tier("b", 3)))
    up_to(stage, "b", "1.0", "2.0", "3.0")
    return stage


def rolled_back(stage: Stage, version: str | None = None) -> Operation:
    operation = stage.accepted(Rollback("b", version, actor="max", reason="it smells"))
    stage.finish_all()
    return stage.operation(operation.id)


def shown(stage: Stage) -> tuple[str | None, str | None, str]:
    state = stage.tier("b")
    return state["current_version"], state["previous_version"], state["status"]


def test_it_is_not_a_toggle(stage: Stage) -> None:
    assert rolled_back(stage).status is Status.SUCCEEDED
    assert shown(stage) == ("2.0", "1.0", "steady")
    rolled_back(stage)
    assert shown(stage) == ("1.0", None, "steady")
    assert stage.refused(Rollback("b")) == (409, "no_previous_version")
    assert stage.tier("b")["marked_bad"] == ["2.0", "3.0"]
    assert set(stage.world.links("b").values()) == {"1.0"}


def test_the_version_left_is_marked_with_who_and_why_and_the_events_tell(stage: Stage) -> None:
    operation = rolled_back(stage)
    mark = stage.actor("b").state.marks["3.0"]
    assert (mark.actor, mark.reason, mark.operation) == ("max", "it smells", operation.id)
    told = [e.type for e in stage.events() if e.operation == operation.id]
    assert told == ["DeployStart", *["NodeDeployed"] * 3, "DeployOk", "Rollback"]


def test_all_nodes_go_at_once_and_the_version_moves_with_the_first(stage: Stage) -> None:
    stage.accepted(Rollback("b"))
    stage.finish_all("preflight")
    assert running(stage) == ["b-1/switch", "b-2/switch", "b-3/switch"]
    assert shown(stage)[0] == "3.0"
    steps(stage, "b-2", "switch")
    assert shown(stage) == ("2.0", "1.0", "deploying")
    stage.finish_all()
    assert shown(stage) == ("2.0", "1.0", "steady")


def test_a_node_that_fails_does_not_stop_the_others_and_the_tier_is_degraded(stage: Stage) -> None:
    operation = stage.accepted(Rollback("b")).id
    stage.finish_all("preflight")
    step(stage, "b-1", "switch", RED)
    stage.finish_all()
    row = stage.operation(operation)
    assert row.status is Status.FAILED
    assert {n.name: n.status for n in row.nodes} == {"b-1": "failed", "b-2": "ok", "b-3": "ok"}
    assert shown(stage) == ("2.0", "1.0", "degraded")
    assert [e.type for e in stage.events("DeployFailed", "RollbackFailed")] == [
        "DeployFailed",
        "RollbackFailed",
    ]
    whole = rolled_back(stage)
    assert (whole.status, [n.name for n in whole.nodes]) == (Status.SUCCEEDED, ["b-1"])
    assert shown(stage) == ("2.0", "1.0", "steady")
    assert stage.tier("b")["marked_bad"] == ["3.0"]


def test_a_node_that_cannot_be_reached_is_left_out_and_told(stage: Stage) -> None:
    operation = stage.accepted(Rollback("b")).id
    step(stage, "b-3", "preflight", LOST)
    stage.finish_all()
    row = stage.operation(operation)
    assert row.status is Status.FAILED
    assert stage.world.links("b") == {"b-1": "2.0", "b-2": "2.0", "b-3": "3.0"}
    assert shown(stage)[0] == "2.0"


BURNS = tier("b", 2, SMOKE, gate("burn_in", duration_s=60.0))


def burns(stage: Stage) -> tuple[str, str]:
    """The active gate, and the burn-in."""
    smoke, burn = stage.tier("b")["gates"]
    return smoke["outcome"], burn["outcome"]


def test_the_burn_in_after_a_rollback_begins_when_it_is_on_every_node(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(topology(BURNS))
    up_to(stage, "b", "1.0", "2.0")
    stage.accepted(Rollback("b"))
    stage.finish_all("preflight")
    steps(stage, "b-1", "switch", "start")
    stage.advance(100)
    assert stage.tier("b")["burn_in_started_at"] is None
    assert burns(stage) == ("pending", "pending")
    stage.finish_all()
    assert stage.tier("b")["burn_in_started_at"] is not None
    stage.advance(59)
    assert burns(stage) == ("passed", "pending")
    stage.advance(2)
    assert burns(stage) == ("passed", "passed")


@pytest.mark.parametrize("how", ["rollback", "promote", "by itself", "left out"])
def test_a_rollback_that_failed_on_a_node_runs_gates_and_burn_in_when_it_is_whole(
    stage_of: Callable[..., Stage], how: str
) -> None:
    stage = stage_of(topology(BURNS))
    up_to(stage, "b", "1.0", "2.0")
    operation = stage.accepted(Rollback("b")).id
    step(stage, "b-2", "preflight", Failed(WorkError("preflight", "no answer", errored=True, lost=True)))
    stage.finish_all()
    stage.world.node("b", "b-2").current = "1.0" if how == "by itself" else "2.0"
    assert stage.operation(operation).status is Status.FAILED
    stage.advance(AWAY_S - 1)
    assert burns(stage) == ("pending", "pending")
    stage.advance(2)
    match how:
        case "rollback":
            rolled_back(stage)
        case "promote":
            promoted(stage, "b", "1.0")
        case "by itself":
            stage.finish_all()
        case _:
            base = stage.world.running
            out = replace(BURNS, nodes=(BURNS.nodes[0], replace(BURNS.nodes[1], out=True)))
            stage.world.declared = replace(base, tiers=(*base.tiers[:-1], out))
            stage.told(Reload())
            stage.finish_all()
    assert burns(stage) == ("passed", "pending")
    stage.advance(61)
    assert burns(stage) == ("passed", "passed")
    assert len(stage.events("GateDone")) == len(stage.events("GateStart")) + 1, "the burn-in ended once"


def test_a_rollback_that_reaches_no_node_changes_nothing(stage: Stage) -> None:
    operation = stage.accepted(Rollback("b")).id
    for node in ("b-1", "b-2", "b-3"):
        step(stage, node, "preflight", LOST)
        step(stage, node, "observe", LOST)
    assert stage.operation(operation).status is Status.FAILED
    assert (shown(stage)[0], shown(stage)[2]) == ("3.0", "degraded")
    assert [n["reachable"] for n in stage.tier("b")["nodes"]] == [False, False, False]
    assert stage.tier("b")["marked_bad"] == []


def test_a_named_version_that_lies_below_is_gone_back_to(stage: Stage) -> None:
    assert rolled_back(stage, "1.0").status is Status.SUCCEEDED
    assert shown(stage) == ("1.0", None, "steady")


@pytest.mark.parametrize(
    ("version", "code"),
    [("3.0", "already_current"), ("9.9", "not_rollbackable"), ("0.1", "not_rollbackable")],
)
def test_a_named_version_that_is_current_or_not_below_is_refused(
    stage: Stage, version: str, code: str
) -> None:
    assert stage.refused(Rollback("b", version)) == (409, code)
    assert shown(stage)[0] == "3.0"


def test_a_marked_version_is_not_gone_back_to(stage: Stage) -> None:
    rolled_back(stage)
    promoted(stage, "b", "3.0", force=True)
    rolled_back(stage)
    promoted(stage, "b", "1.0", force=True)
    assert stage.refused(Rollback("b", "3.0")) == (409, "not_rollbackable")


def test_a_release_that_the_node_no_longer_has_is_uploaded_again(stage: Stage) -> None:
    stage.world.node("b", "b-2").releases.discard("2.0")
    stage.accepted(Rollback("b"))
    stage.finish_all("preflight")
    assert running(stage) == ["b-2/upload"]
    stage.finish_all()
    assert set(stage.world.links("b").values()) == {"2.0"}


def test_what_retention_has_removed_is_not_gone_back_to_unless_forced(
    stage_of: Callable[..., Stage],
) -> None:
    """Each rollback may go where the tier stood before; the next one then goes further back than releases are kept."""
    stage = stage_of(topology(tier("mm", 0, keep_releases=1), tier("b", 1, keep_releases=1)))
    up_to(stage, "b", "1.0", "2.0", "3.0")
    assert rolled_back(stage).status is Status.SUCCEEDED
    assert shown(stage) == ("2.0", "1.0", "steady")
    assert stage.refused(Rollback("b")) == (409, "release_missing")
    assert stage.refused(Rollback("b", "1.0")) == (409, "release_missing")
    plan = stage.tell(Plan(Rollback("b")))
    stage.finish_all()
    told = as_read(plan.given)
    assert (told["ready"], told["status"], told["code"], told["to"]) == (False, 409, "release_missing", "1.0")
    stage.world.node("b", "b-1").releases |= {"1.0"}
    forced = stage.accepted(Rollback("b", force=True))
    stage.finish_all()
    assert stage.operation(forced.id).status is Status.SUCCEEDED
    assert shown(stage) == ("1.0", None, "steady")


def test_a_running_promotion_is_busy(stage: Stage) -> None:
    built(stage, "4.0")
    stage.accepted(Promote("b"))
    stage.finish_all("preflight", "upload")
    steps(stage, "b-1", "switch", "start")
    assert stage.refused(Rollback("b")) == (409, "tier_busy")


def test_it_cannot_be_aborted(stage: Stage) -> None:
    operation = stage.accepted(Rollback("b")).id
    assert stage.refused(AbortOperation(operation)) == (409, "not_abortable")
    stage.finish_all()
    assert stage.operation(operation).status is Status.SUCCEEDED


def test_it_aborts_the_gates_of_its_tier(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(topology(tier("b", 1, SMOKE)))
    up_to(stage, "b", "1.0", "2.0")
    gate_run = stage.accepted(RunGate("b", "boot_smoke")).id
    stage.accepted(Rollback("b"))
    stage.finish_all()
    assert stage.operation(gate_run).status is Status.ABORTED
    assert shown(stage)[0] == "1.0"


@pytest.mark.parametrize("when", ["preflight", "switch", "start"])
@pytest.mark.parametrize("reboot", [False, True])
def test_a_rollback_is_continued_to_its_target_after_a_kill(stage: Stage, when: str, *, reboot: bool) -> None:
    operation = stage.accepted(Rollback("b")).id
    order = ["preflight", "switch", "start"]
    for kind in order[: order.index(when)]:
        steps(stage, "b-1", kind)
        if kind == "preflight":
            stage.finish_all("preflight")
    if when == "start":
        stage.world.node("b", "b-2").current = "2.0"
    stage.restart(reboot=reboot)
    stage.finish_all()
    row = stage.operation(operation)
    assert (row.status, row.recovered) == (Status.SUCCEEDED, True)
    assert shown(stage) == ("2.0", "1.0", "steady")
    assert set(stage.world.links("b").values()) == {"2.0"}
    assert stage.tier("b")["marked_bad"] == ["3.0"]
    assert len([s for s in stage.actor("b").state.stays if s.version == "2.0"]) == 2, "it stepped back once"


def test_a_node_that_was_switched_and_cannot_be_looked_at_after_a_kill_is_not_said_to_be_well(
    stage: Stage,
) -> None:
    operation = stage.accepted(Rollback("b")).id
    stage.finish_all("preflight")
    stage.world.node("b", "b-1").current = "2.0"
    stage.restart()
    stage.drain()
    for node in ("b-1", "b-2", "b-3"):
        step(stage, node, "preflight", LOST)
        step(stage, node, "observe", LOST)
    assert stage.operation(operation).status is Status.FAILED
    assert shown(stage)[2] == "degraded"


@pytest.mark.parametrize("who", ["b", "b-1", "supervisor", "journal"])
def test_a_rollback_survives_the_death_of_an_actor(stage: Stage, who: str) -> None:
    operation = stage.accepted(Rollback("b")).id
    stage.finish_all("preflight")
    stage.crash(stage.actor(who))
    stage.finish_all()
    assert stage.operation(operation).status is Status.SUCCEEDED
    assert shown(stage) == ("2.0", "1.0", "steady")


def test_on_the_build_tier_only_the_pointer_moves(stage: Stage) -> None:
    operation = stage.accepted(Rollback("mm"))
    assert stage.operation(operation.id).status is Status.SUCCEEDED
    assert not stage.runner.running()
    mm = stage.tier("mm")
    assert (mm["current_version"], mm["previous_version"], mm["marked_bad"]) == ("2.0", "1.0", ["3.0"])
    assert mm["gates"][0]["outcome"] == "passed"
    assert stage.refused(Promote("b", "3.0")) in {(409, "already_current"), (409, "version_marked_bad")}


def test_a_build_goes_on_while_a_tier_is_rolled_back(stage: Stage) -> None:
    stage.world.push(sha(9), "9.0")
    build = stage.accepted(Rebuild()).id
    rolled_back(stage)
    assert stage.operation(build).status is Status.SUCCEEDED
    assert stage.tier("mm")["current_version"] == "9.0"


def test_a_tier_that_is_unknown_or_not_provisioned_has_no_way_back(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(topology(tier("b", 1), tier("c", 1, provisioned=False)))
    assert stage.refused(Rollback("x")) == (404, "unknown_tier")
    assert stage.refused(Rollback("c")) == (409, "not_provisioned")
    answer = stage.answer(Rollback("b"))
    assert isinstance(answer, Refusal)
    assert answer.code == "no_previous_version"


def test_a_tier_whose_node_was_found_elsewhere_is_made_whole_before_it_steps_back(stage: Stage) -> None:
    stage.world.node("b", "b-2").current = None
    operation = stage.accepted(Rollback("b")).id
    stage.finish_all()
    ended = stage.operation(operation)
    assert (ended.status, ended.version, ended.details["whole"]) == (Status.SUCCEEDED, "3.0", True)
    assert [n.name for n in ended.nodes] == ["b-2"]
    assert shown(stage) == ("3.0", "2.0", "steady")
    assert stage.tier("b")["marked_bad"] == []
    assert set(stage.world.links("b").values()) == {"3.0"}
    drift = [e.data for e in stage.store.events(0, 10_000) if e.type == "DriftDetected"]
    assert drift == [{"recorded": "3.0", "observed": None}]


def test_a_rollback_to_a_named_version_goes_there_whatever_a_node_was_found_on(stage: Stage) -> None:
    stage.world.node("b", "b-2").current = None
    assert rolled_back(stage, "2.0").status is Status.SUCCEEDED
    assert set(stage.world.links("b").values()) == {"2.0"}
