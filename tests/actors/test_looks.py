"""Looks at nodes between operations: what they find is stored and told once, and nobody ever waits for one."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from actors.messages import Plan, Promote, Reload, Rollback
from actors.observing import AWAY_S, LOOK_S
from sando.model.answers import Accepted, Refusal
from sando.model.errors import WorkError
from sando.model.operation import Status
from sando.model.task import NodeFacts
from sando.work.outcome import Aborted, Done, Failed
from tests.actors.steps import LOST, built, promoted, running, step, up_to
from tests.factories import tier, topology
from tests.harness import Stage, as_read

OLD, NEW = "1.0", "2.0"


@pytest.fixture
def stage(stage_of: Callable[..., Stage]) -> Stage:
    """Tier b with two nodes on the old version; looks end when the test says so from now on."""
    stage = stage_of(topology(tier("b", 2, confirm_within_s=60.0)))
    up_to(stage, "b", OLD)
    stage.runner.slow_looks = True
    return stage


def node(stage: Stage, name: str) -> dict[str, Any]:
    return next(n for n in stage.tier("b")["nodes"] if n["name"] == name)


def looks(stage: Stage) -> list[str]:
    return sorted(j.key.split("/")[2] for j in stage.runner.running("/look/"))


def look(stage: Stage, name: str, outcome: Any = None) -> None:
    stage.drain()
    stage.runner.finish(f"/{name}/look/", outcome)
    stage.drain()


def test_every_node_is_looked_at_when_the_daemon_starts_and_every_few_minutes(stage: Stage) -> None:
    stage.slow_looks = True
    stage.restart()
    stage.drain()
    assert looks(stage) == ["b-1", "b-2"]
    stage.finish_all()
    stage.advance(LOOK_S - 1)
    assert looks(stage) == []
    stage.advance(1)
    assert looks(stage) == ["b-1", "b-2"]


def test_a_link_that_was_changed_by_hand_is_shown_and_told_once(stage: Stage) -> None:
    stage.world.node("b", "b-1").current = "0.9"
    for _ in range(3):
        stage.advance(LOOK_S)
        stage.finish_all()
    told = stage.events("DriftDetected")
    assert [(e.tier, e.node, e.data["recorded"], e.data["observed"]) for e in told] == [
        ("b", "b-1", OLD, "0.9")
    ]
    assert (node(stage, "b-1")["version"], node(stage, "b-1")["observed"]) == (OLD, "0.9")
    assert stage.tier("b")["status"] == "degraded"


def test_a_link_that_is_put_right_again_makes_the_tier_steady_without_a_word(stage: Stage) -> None:
    for current in ("0.9", OLD):
        stage.world.node("b", "b-1").current = current
        stage.advance(LOOK_S)
        stage.finish_all()
    assert len(stage.events("DriftDetected")) == 1
    assert stage.tier("b")["status"] == "steady"


def test_looks_that_find_nothing_new_store_nothing(stage: Stage) -> None:
    revision = stage.store.revision
    stage.advance(LOOK_S)
    stage.finish_all()
    assert stage.store.revision == revision


def test_a_node_that_is_away_is_shown_so_and_looked_for_often(stage: Stage) -> None:
    stage.advance(LOOK_S)
    look(stage, "b-1", Failed(WorkError("connect", "b-1: connection refused", errored=True)))
    look(stage, "b-2")
    assert (node(stage, "b-1")["reachable"], node(stage, "b-1")["detail"]) == (
        False,
        "b-1: connection refused",
    )
    assert (node(stage, "b-2")["reachable"], stage.tier("b")["status"]) == (True, "steady")
    stage.advance(AWAY_S)
    assert looks(stage) == ["b-1"]
    look(stage, "b-1")
    assert (node(stage, "b-1")["reachable"], node(stage, "b-1")["detail"]) == (True, "")
    assert stage.events("DriftDetected") == []


def test_an_operation_waits_for_no_look(stage: Stage) -> None:
    """A look at a node that does not answer is cancelled, and the step begins when it has let go."""
    built(stage, NEW)
    stage.advance(LOOK_S)
    hanging = stage.runner.one("/b-1/look/")
    stage.accepted(Promote("b"))
    assert hanging.token.cancelled
    assert looks(stage) == ["b-1", "b-2"]
    look(stage, "b-1", Aborted())
    look(stage, "b-2", Aborted())
    assert running(stage) == ["b-1/preflight", "b-2/preflight"]
    assert node(stage, "b-1")["reachable"]


def test_while_an_operation_has_the_tier_nobody_else_looks(stage: Stage) -> None:
    built(stage, NEW)
    stage.accepted(Promote("b"))
    stage.finish_all("preflight")
    stage.advance(LOOK_S)
    assert looks(stage) == []
    stage.finish_all()
    stage.advance(AWAY_S)
    stage.finish_all("prune")
    assert looks(stage) == ["b-1", "b-2"]


def test_a_look_that_an_operation_has_overtaken_teaches_nothing(stage: Stage) -> None:
    built(stage, NEW)
    stage.advance(LOOK_S)
    stage.accepted(Promote("b"))
    look(stage, "b-1", Done(NodeFacts(current="0.9")))
    assert node(stage, "b-1")["observed"] == OLD
    assert stage.events("DriftDetected") == []


def test_a_node_that_went_back_by_itself_is_found_and_the_tier_is_whole_again(stage: Stage) -> None:
    """The network was cut right after the switch: the operation ends with what is known, the look finds the rest."""
    built(stage, NEW)
    operation = stage.accepted(Promote("b")).id
    stage.finish_all("preflight", "upload")
    step(stage, "b-1", "switch")
    known = "b-1: no answer; it goes back to 1.0 by itself within 60s of its switch"
    gone = Failed(WorkError("connect", known, errored=True))
    for kind in ("start", "revert", "observe"):
        step(stage, "b-1", kind, gone)
    row = stage.operation(operation)
    assert (row.status, row.rolled_back) == (Status.ERRORED, False)
    assert (row.nodes[0].status, row.nodes[0].detail) == ("unknown", f"connect: {known}")
    assert stage.tier("b")["status"] in {"mixed", "degraded"}
    assert node(stage, "b-1")["reachable"] is False

    stage.world.node("b", "b-1").current = OLD
    stage.advance(AWAY_S)
    look(stage, "b-1")
    assert (node(stage, "b-1")["version"], node(stage, "b-1")["observed"]) == (OLD, OLD)
    assert (stage.tier("b")["status"], stage.tier("b")["current_version"]) == ("steady", OLD)
    assert [e.node for e in stage.events("NodeReverted")] == ["b-1"]
    assert stage.events("DriftDetected") == []


def lost_under_its_restart(stage: Stage) -> None:
    """The promotion of NEW has moved b-1, whose restart was cut off with its connection; nobody knows more."""
    stage.accepted(Promote("b", NEW))
    stage.finish_all("preflight", "upload")
    step(stage, "b-1", "switch")
    for kind in ("start", "revert", "observe"):
        step(stage, "b-1", kind, LOST)
    stage.finish_all()


@pytest.mark.parametrize("again", ["resumed", "left out meanwhile"])
def test_a_node_that_was_lost_under_its_restart_is_restarted_before_it_is_called_well(
    stage: Stage, again: str
) -> None:
    built(stage, NEW)
    lost_under_its_restart(stage)
    if again == "left out meanwhile":
        base = stage.world.running
        declared = base.tiers[-1]
        out = replace(declared, nodes=(replace(declared.nodes[0], out=True), declared.nodes[1]))
        stage.world.declared = replace(base, tiers=(*base.tiers[:-1], out))
        stage.told(Reload())
        stage.runner.slow_looks = False
        promoted(stage, "b", NEW)
        stage.world.declared = base
        stage.told(Reload())
    stage.runner.slow_looks = False
    stage.advance(LOOK_S)
    found = node(stage, "b-1")
    assert (found["version"], found["status"], found["reachable"]) == (NEW, "failed", True)
    assert "nobody knows whether that was started; promote 2.0 again" in found["detail"]
    assert stage.tier("b")["status"] in {"mixed", "degraded"}
    assert stage.events("NodeReverted") == []
    before = list(stage.world.node("b", "b-1").did)
    operation = stage.accepted(Promote("b", NEW))
    assert "b-1" in [n.name for n in operation.nodes]
    stage.finish_all()
    assert "start" in str(stage.world.node("b", "b-1").did[len(before) :])
    assert (node(stage, "b-1")["status"], stage.tier("b")["status"]) == ("ok", "steady")


def test_a_node_that_a_rollback_could_not_reach_is_found_where_it_was(stage: Stage) -> None:
    up_to(stage, "b", NEW)
    stage.runner.slow_looks = True
    operation = stage.accepted(Rollback("b")).id
    step(stage, "b-2", "preflight", LOST)
    step(stage, "b-2", "observe", LOST)
    stage.finish_all()
    assert stage.operation(operation).status is Status.FAILED
    stage.advance(AWAY_S)
    look(stage, "b-2")
    assert (node(stage, "b-2")["version"], node(stage, "b-2")["reachable"]) == (NEW, True)
    assert (stage.tier("b")["status"], stage.tier("b")["current_version"]) == ("degraded", OLD)


def test_the_steps_of_an_operation_carry_the_dead_man_switch_and_a_rollback_carries_none(
    stage: Stage,
) -> None:
    built(stage, NEW)
    stage.accepted(Promote("b"))
    stage.drain()
    task = stage.runner.one("/b-1/").arguments[0]
    assert (task.confirm_within_s, task.settles) == (60.0, False)
    stage.finish_all()
    stage.accepted(Rollback("b"))
    stage.drain()
    assert stage.runner.one("/b-1/").arguments[0].confirm_within_s is None


def test_a_node_that_is_out_is_not_looked_at(stage_of: Callable[..., Stage]) -> None:
    spec = tier("b", 2)
    stage = stage_of(
        topology(replace(spec, nodes=(replace(spec.nodes[0], out=True), spec.nodes[1]))), slow_looks=True
    )
    assert looks(stage) == ["b-2"]


def test_a_node_that_could_not_be_reached_is_not_asked_the_same_again(stage: Stage) -> None:
    """Its connection was refused, or nobody answered in time: a second wait would only hold up the others."""
    up_to(stage, "b", NEW)
    operation = stage.accepted(Rollback("b")).id
    gone = WorkError("preflight", "no answer within 10s", errored=True, lost=True)
    step(stage, "b-2", "preflight", Failed(gone))
    stage.finish_all("preflight")
    assert running(stage) == ["b-1/switch"]
    stage.finish_all()
    row = stage.operation(operation)
    assert {n.name: n.status for n in row.nodes} == {"b-1": "ok", "b-2": "unknown"}
    assert node(stage, "b-2")["reachable"] is False


def test_who_asks_for_what_is_recorded_gets_what_the_nodes_say(stage: Stage) -> None:
    """A link was changed by hand since the last look: the current version is not refused, the node is repaired."""
    stage.world.node("b", "b-2").current = "0.9"
    reply = stage.tell(Promote("b", OLD))
    stage.drain()
    assert reply.given is None
    assert looks(stage) == ["b-1", "b-2"]
    stage.finish_all()
    assert isinstance(reply.given, Accepted)
    assert [n.name for n in reply.given.operation.nodes] == ["b-2"]
    assert stage.world.links("b") == {"b-1": OLD, "b-2": OLD}
    assert stage.tier("b")["status"] == "steady"


def test_who_asks_where_a_rollback_goes_is_told_what_the_act_will_find(stage: Stage) -> None:
    """A link was changed by hand since the last look: the tier is made whole, and does not step back."""
    up_to(stage, "b", NEW)
    stage.world.node("b", "b-2").current = "0.9"
    reply = stage.tell(Plan(Rollback("b")))
    stage.drain()
    assert reply.given is None
    stage.finish_all()
    plan = as_read(reply.given)
    assert (plan["to"], plan["whole"]) == (NEW, True)
    operation = stage.accepted(Rollback("b")).id
    stage.finish_all()
    assert (stage.operation(operation).version, stage.operation(operation).status) == (NEW, Status.SUCCEEDED)


def test_who_asks_for_what_is_recorded_waits_three_seconds_for_a_node_that_hangs(stage: Stage) -> None:
    reply = stage.tell(Promote("b", OLD))
    stage.drain()
    look(stage, "b-1")
    assert reply.given is None
    stage.advance(3.0)
    assert isinstance(reply.given, Refusal)
    assert reply.given.code == "already_current"


def test_a_repair_looks_at_the_other_nodes_too(stage: Stage) -> None:
    """One node is known to lack the version; what was done to another meanwhile is found before anything is promised."""
    stage.world.node("b", "b-1").current = "0.9"
    stage.advance(LOOK_S)
    stage.finish_all()
    stage.world.node("b", "b-2").current = "0.8"
    reply = stage.tell(Promote("b", OLD))
    stage.finish_all()
    assert isinstance(reply.given, Accepted)
    assert [n.name for n in reply.given.operation.nodes] == ["b-1", "b-2"]
    assert stage.world.links("b") == {"b-1": OLD, "b-2": OLD}
    assert stage.tier("b")["status"] == "steady"
