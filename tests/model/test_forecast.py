"""The answer of /plan from rulings, states and a look outside: what it shows of nodes, schema, commits, and the answer."""

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from sando.model.answers import Refusal, bars
from sando.model.forecast import Forecast, bare, of_promotion, of_rollback
from sando.model.operation import Operation, Status
from sando.model.policy import Holder, Return, Vouched, Wish, weigh, weigh_back
from sando.model.safety import Pairs
from sando.model.survey import Change, Changes, Survey
from sando.model.tier import Gating, Half, NodeState, TierState
from sando.model.topology import GateSpec, NodeSpec, RepoSpec, TierSpec, Topology
from tests.model.samples import NOON, T0, node_on, release

NODES = tuple(NodeSpec(n, "local", f"/srv/{n}") for n in ("n1", "n2"))
B = TierSpec("b", provisioned=True, nodes=NODES)
MM = TierSpec("mm", provisioned=True, gates=(GateSpec("migration_dry_run", "migration_dry_run"),))
PLAINLY = Return()
PLAIN = TierSpec("mm", provisioned=True)
WAY = Survey(None, Changes((Change("b" * 40, "Max", "two"),), more=True), Changes(), ("2_b.sql",), ())


def flow(spec: TierSpec = B, mm: TierSpec = MM) -> Topology:
    return Topology(RepoSpec("/srv/x.git"), (mm, spec))


def on(*versions: str, half: str | None = None, **nodes: str | None) -> TierState:
    state = TierState("b")
    for n, version in enumerate(versions, 1):
        state = state.enter(release(version), n, T0.plus(n))
    for name in ("n1", "n2"):
        state = state.with_node(node_on(name, nodes.get(name, state.current_version)))
    return replace(state, half=Half(half, 43, once_done=True) if half else None)


def promotion(
    state: TierState,
    version: str = "2",
    pairs: Pairs | None = None,
    survey: Survey = WAY,
    spec: TierSpec = B,
    mm: TierSpec = MM,
    **given: Any,
) -> Forecast:
    facts: dict[str, Any] = {"marks": {}, "busy": None, "lock": None, "frozen_until": None}
    weighed = weigh(spec, state, Wish("b"), Vouched("a", version), release(version), **{**facts, **given})
    topology = flow(spec, mm)
    return of_promotion(topology, spec, state, weighed, "a", "a" * 40, pairs or {}, survey, None)


def rollback(
    state: TierState,
    wish: Return = PLAINLY,
    pairs: Pairs | None = None,
    survey: Survey = WAY,
    holder: Holder | None = None,
) -> Forecast:
    way = weigh_back(B, state, wish, holder, pairs or {}, pointer=False, rehearsed=True)
    return of_rollback(flow(), B, state, way, wish.version, survey, holder.operation if holder else None)


def verdicts(plan: Forecast) -> dict[str, str]:
    return {c.check: c.verdict for c in plan.checks}


def detail(plan: Forecast, check: str) -> str:
    return next(c.detail for c in plan.checks if c.check == check)


def test_a_plan_has_the_shape_of_the_contract() -> None:
    body = json.loads(msgspec.json.encode(promotion(on("1"))))
    assert (body["act"], body["tier"], body["ready"], body["status"], body["code"]) == (
        "promote", "b", True, 202, None,
    )  # fmt: skip
    assert (body["from"], body["to"], body["sha"], body["kind"]) == ("1", "2", "a" * 40, "promote")
    assert body["nodes"][0] == {
        "name": "n1", "version": "1", "observed": "1", "reachable": True, "out": False, "does": "switch",
        "uploads": True, "detail": "",
    }  # fmt: skip
    assert body["commits"] == [{"sha": "b" * 40, "author": "Max", "subject": "two"}]
    assert (body["commits_more"], body["commits_back"], body["migrations"]) == (True, [], ["2_b.sql"])
    assert body["rollback_safe"] == {"1": "unknown"}
    assert set(body["checks"][0]) == {"check", "verdict", "detail", "clears"}


def test_a_refusal_is_the_answer_of_the_plan_and_all_that_blocks_is_in_its_checks() -> None:
    busy = Operation(9, "promote", "b", "1", "a" * 40, "eva", "", Status.RUNNING, NOON)
    plan = promotion(on("1"), busy=busy, frozen_until=NOON)
    assert (plan.ready, plan.status, plan.code) == (False, 409, "tier_busy")
    assert [c.check for c in plan.checks if c.verdict == "blocked"] == ["busy", "freeze"]


def test_a_release_that_is_not_what_was_built_is_the_answer_only_where_nothing_else_is() -> None:
    spoilt = replace(WAY, problem=("release_corrupt", "server: sha256 differs"))
    plan = promotion(on("1"), survey=spoilt)
    assert (plan.ready, plan.code) == (False, "release_corrupt")
    assert [c.check for c in plan.checks].count("release") == 1
    both = promotion(on("1"), survey=spoilt, frozen_until=NOON)
    assert (both.code, verdicts(both)["release"]) == ("frozen", "blocked")


def test_what_is_refused_before_any_tier_is_asked_is_a_plan_of_one_check() -> None:
    plan = bare("promote", "mm", bars("tier", Refusal(409, "not_promotable", "no", "push")), "2")
    assert (plan.ready, plan.code, plan.to, verdicts(plan)) == (
        False,
        "not_promotable",
        "2",
        {"tier": "blocked"},
    )


# -- nodes ---------------------------------------------------------------------------------------------------


def test_each_node_says_what_it_is_on_and_what_would_happen_to_it() -> None:
    spec = replace(
        B, nodes=(*NODES, NodeSpec("n3", "local", "/srv/n3"), NodeSpec("n4", "local", "/x", out=True))
    )
    state = on("1", "2", n1="1").with_node(NodeState("n2", "2", "2"))
    plan = promotion(state, "2", spec=spec)
    assert plan.kind == "repair"
    assert [(n.name, n.version, n.does, n.uploads, n.out) for n in plan.nodes] == [
        ("n1", "1", "switch", False, False),
        ("n2", "2", "stay", False, False),
        ("n3", None, "switch", True, False),
        ("n4", None, "stay", False, True),
    ]
    gone = promotion(on("1", "2").with_node(NodeState("n1", "2", None)), "2", spec=spec)
    assert gone.nodes[0].uploads, "its folder may be gone with its link"


@pytest.mark.parametrize(
    ("node", "told"),
    [
        (node_on("n1", "1", reachable=False, detail="no route"), "could not be reached"),
        (NodeState("n1", "1", "0.9"), "n1 is on 0.9, recorded is 1"),
        (NodeState("n1", "1", None), "n1 is on nothing, recorded is 1"),
        (node_on("n1", "1", status="failed", detail="\x1b[31mred"), "n1 is failed: \\x1b[31mred"),
    ],
)
def test_a_node_that_is_not_as_it_should_be_is_a_warning(node: NodeState, told: str) -> None:
    plan = promotion(on("1").with_node(node))
    assert plan.ready
    assert verdicts(plan)["node:n1"] == "warning"
    assert told in detail(plan, "node:n1")
    assert "node:n2" not in verdicts(plan)
    assert "\x1b" not in plan.nodes[0].detail


def test_a_node_that_is_away_fails_a_promotion_and_is_left_out_of_a_rollback() -> None:
    state = on("1", "2").with_node(node_on("n1", "2", reachable=False))
    assert "preflight would fail" in detail(promotion(state, "3"), "node:n1")
    assert "left out" in detail(rollback(state), "node:n1")
    away = next(c for c in rollback(state).checks if c.check == "node:n1")
    assert away.clears == "its return, or `out = true` on it and POST /reload"


def test_gates_that_run_would_be_aborted() -> None:
    state = replace(on("1", "2"), gating=Gating(7, "2", (), "boot_smoke"))
    for plan in (promotion(state, "3"), rollback(state)):
        assert detail(plan, "gates") == "boot_smoke of 2 is running, and would be aborted"


# -- the schema, before a promotion --------------------------------------------------------------------------

ONCE = replace(B, once="./migrate", confirm_within_s=60.0)


@pytest.mark.parametrize(
    ("pairs", "survey", "mm", "verdict", "told"),
    [
        ({("2", "1"): "yes"}, WAY, MM, "ok", "that was rehearsed"),
        ({("2", "1"): "no"}, WAY, MM, "warning", "1 does not run on the schema of 2"),
        ({}, WAY, MM, "warning", "it is not known whether 1 runs on the schema of 2"),
        ({}, replace(WAY, migrations=None), MM, "warning", "it is not known"),
        ({}, replace(WAY, migrations=()), MM, "ok", "no migration goes out"),
        ({}, WAY, PLAIN, "ok", "no gate rehearses migrations"),
    ],
)
def test_a_promotion_says_beforehand_whether_one_could_go_back(
    pairs: Pairs, survey: Survey, mm: TierSpec, verdict: str, told: str
) -> None:
    plan = promotion(on("1"), pairs=pairs, survey=survey, mm=mm)
    assert plan.ready, "it is never a reason against a promotion"
    assert verdicts(plan)["rollback_safe"] == verdict
    assert told in detail(plan, "rollback_safe")


def test_where_once_migrates_and_one_cannot_go_back_it_says_that_a_failure_halts_unarmed() -> None:
    pairs: Pairs = {("2", "1"): "no"}
    plan = promotion(on("1"), pairs=pairs, spec=ONCE)
    assert (plan.on_failure, plan.confirm_within_s) == ("halt", None)
    assert "a failure puts back the node at fault alone" in detail(plan, "rollback_safe")
    assert "no dead-man switch is armed" in detail(plan, "rollback_safe")
    for other in (promotion(on("1"), spec=ONCE), promotion(on("1"), pairs={("2", "1"): "yes"}, spec=ONCE)):
        assert (other.on_failure, other.confirm_within_s) == ("rollback", 60.0)
    without = promotion(on("1"), pairs=pairs, spec=replace(ONCE, once=None))
    assert (without.on_failure, without.confirm_within_s) == ("rollback", 60.0)


def test_a_promotion_that_resumes_after_once_halts_as_the_first_one_did() -> None:
    plan = promotion(on("1", half="2", n1="2"), pairs={("2", "1"): "no"}, spec=replace(ONCE, once=None))
    assert (plan.on_failure, plan.confirm_within_s) == ("halt", None)
    assert verdicts(plan)["mixed"] == "warning"


def test_each_node_counts_with_what_it_was_found_on() -> None:
    state = on("1").with_node(NodeState("n2", "1", "0.9"))
    plan = promotion(state, pairs={("2", "1"): "yes", ("2", "0.9"): "no"}, spec=ONCE)
    assert plan.rollback_safe == {"1": "yes", "0.9": "no"}
    assert plan.on_failure == "halt"


@pytest.mark.parametrize(
    ("pairs", "mm", "verdict", "told"),
    [
        ({("3", "1"): "no"}, MM, "warning", "1 does not run on the schema of 3, which stays"),
        ({("3", "1"): "yes"}, MM, "ok", "1 starts on the schema of 3"),
        ({}, MM, "warning", "it is not known whether 1 runs on the schema of 3"),
        ({}, PLAIN, "ok", "it is not known"),
    ],
)
def test_promoting_a_version_that_others_came_after_is_a_way_back_too(
    pairs: Pairs, mm: TierSpec, verdict: str, told: str
) -> None:
    plan = promotion(on("1", "2", "3"), "1", pairs=pairs, mm=mm)
    assert plan.ready, "a promotion is never refused for it"
    assert verdicts(plan)["schema"] == verdict
    assert told in detail(plan, "schema")


@pytest.mark.parametrize(
    "state", [on("1", "2"), on("1", "2", half="3", n1="3").began("3"), on("1", "2").began("3")]
)
def test_what_is_new_or_is_tried_again_comes_after_everything(state: TierState) -> None:
    assert "schema" not in verdicts(promotion(state, "3"))


def test_a_first_deploy_and_a_repair_leave_nothing_behind() -> None:
    assert verdicts(promotion(on()))["rollback_safe"] == "ok"
    repair = promotion(on("1", "2", n1="1"))
    assert (verdicts(repair)["rollback_safe"], repair.migrations, repair.commits) == ("ok", (), ())


# -- the way back --------------------------------------------------------------------------------------------


def test_a_rollback_says_where_it_goes_what_it_marks_and_what_it_takes_back() -> None:
    back = Survey(None, Changes(), WAY.out, (), ("2_b.sql",))
    plan = rollback(on("1", "2"), survey=back)
    assert (plan.from_, plan.to, plan.whole, plan.marks_bad) == ("2", "1", False, "2")
    assert (plan.commits, plan.migrations_back) == ((), ("2_b.sql",))
    assert plan.commits_back
    assert [c.subject for c in plan.commits_back] == ["two"]
    assert plan.rollback_safe == {"1": "unknown"}


def test_a_rollback_that_makes_whole_says_so() -> None:
    plan = rollback(on("1", "2", half="3", n1="3"))
    assert (plan.from_, plan.to, plan.whole, plan.marks_bad) == ("3", "2", True, "3")
    assert [(n.name, n.does) for n in plan.nodes] == [("n1", "switch"), ("n2", "stay")]


def test_a_version_that_brought_no_migration_has_changed_no_schema() -> None:
    plain = replace(WAY, migrations_back=())
    assert verdicts(rollback(on("1", "2"), survey=plain))["rollback_safe"] == "ok"
    assert verdicts(rollback(on("1", "2").began("3"), survey=plain))["rollback_safe"] == "warning"
    refused = rollback(on("1", "2"), pairs={("2", "1"): "no"}, survey=plain)
    assert refused.code == "schema_incompatible", "what was rehearsed counts"


def test_a_rollback_that_is_refused_has_no_target_and_shows_the_nodes_as_they_are() -> None:
    plan = rollback(on("1"))
    assert (plan.code, plan.to, plan.commits) == ("no_previous_version", None, None)
    assert [n.does for n in plan.nodes] == ["stay", "stay"]


def test_a_rollback_that_stops_a_promotion_first_says_so() -> None:
    running = Operation(44, "promote", "b", "3", "a" * 40, "eva", "", Status.RUNNING, NOON, step="switch")
    state = on("1", "2").with_node(node_on("n1", "3"))
    plan = rollback(state, Return(abort_running=True), holder=Holder(running, begun=True))
    assert (plan.ready, plan.code, plan.operation) == (True, "aborting", 44)
    assert (plan.from_, plan.to, plan.whole) == ("3", "2", True)
    assert [(n.name, n.does) for n in plan.nodes] == [("n1", "switch"), ("n2", "stay")]
    assert "is stopped first" in detail(plan, "busy")


def test_a_release_that_the_store_lost_is_a_warning_for_a_way_back() -> None:
    plan = rollback(on("1", "2"), survey=replace(WAY, problem=("release_missing", "it is gone")))
    assert plan.ready
    assert [(c.verdict, c.clears) for c in plan.checks if c.check == "release"] == [
        ("warning", "POST /rebuild with its sha, and `force`")
    ]
