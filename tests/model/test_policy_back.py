"""The way back and the word of a person: the plan of a rollback (SPEC 7) and what may be confirmed (SPEC 8)."""

import pytest
from msgspec.structs import replace

from sando.model.answers import Refusal
from sando.model.operation import Operation, Status
from sando.model.policy import (
    Holder,
    Return,
    RollbackPlan,
    WayBack,
    confirmable,
    plan_after,
    plan_rollback,
    weigh_after,
    weigh_back,
)
from sando.model.safety import Pairs, Way
from sando.model.stay import Stay
from sando.model.tier import Half, Mark, TierState
from sando.model.topology import GateSpec, NodeSpec, TierSpec
from tests.model.samples import NOON, T0, node_on, refused, release

B = TierSpec("b", provisioned=True, nodes=tuple(NodeSpec(n, "local", f"/srv/{n}") for n in ("n1", "n2")))
MM = TierSpec("mm", provisioned=True)
CONFIRM = GateSpec("manual_confirm", "go")


def on(*versions: str, half: str | None = None, **nodes: str | None) -> TierState:
    """A tier that saw `versions` one after the other, its nodes on the last unless told otherwise."""
    state = TierState("b")
    for n, version in enumerate(versions):
        state = state.enter(release(version), n, T0.plus(n))
    for name in ("n1", "n2"):
        state = state.with_node(node_on(name, nodes.get(name, state.current_version)))
    return replace(state, half=Half(half, 43) if half else None)


def planned(state: TierState, version: str | None = None, spec: TierSpec = B) -> RollbackPlan:
    plan = plan_rollback(spec, state, version)
    assert isinstance(plan, RollbackPlan), plan
    return plan


def where(plan: RollbackPlan) -> tuple[str, tuple[str, ...], bool, str | None]:
    return plan.stay.version, plan.nodes, plan.whole, plan.marks


def bad(state: TierState, version: str) -> TierState:
    return state.marked(Mark(version, NOON, "max", "", 3))


def test_a_whole_tier_steps_back_on_every_node_and_marks_what_it_leaves() -> None:
    assert where(planned(on("1", "2", "3"))) == ("2", ("n1", "n2"), False, "3")


def test_a_marked_version_is_stepped_over() -> None:
    assert where(planned(bad(on("1", "2", "3"), "2"))) == ("1", ("n1", "n2"), False, "3")


def test_a_tier_that_half_holds_a_version_is_made_whole_first_and_that_version_is_marked() -> None:
    plan = planned(on("1", "2", half="3", n1="3"))
    assert where(plan) == ("2", ("n1",), True, "3")


@pytest.mark.parametrize("status", ["failed", "unknown"])
def test_a_half_failed_rollback_is_made_whole_first_and_marks_nothing(status: str) -> None:
    state = on("1", "2").with_node(node_on("n2", "2", status=status))  # type: ignore[arg-type]
    assert where(planned(state)) == ("2", ("n2",), True, None)
    assert where(planned(state, "2")) == ("2", ("n2",), True, None)


def test_a_redeploy_of_the_current_version_that_stopped_half_way_marks_nothing() -> None:
    state = on("1", "2", half="2").with_node(node_on("n2", "2", status="failed"))
    assert where(planned(state)) == ("2", ("n2",), True, None)


def test_a_node_that_is_away_does_not_keep_a_tier_from_stepping_back() -> None:
    state = on("1", "2").with_node(node_on("n2", "1", reachable=False))
    assert where(planned(state)) == ("1", ("n1", "n2"), False, "2")


def test_who_steps_back_while_a_node_that_is_away_may_hold_the_bad_version_is_told_what_that_does() -> None:
    """After a promotion that one node lost and the others put back: most likely nobody wants to go behind what was."""
    state = on("1", "2", half="3").with_node(node_on("n2", "3", reachable=False, status="unknown"))
    way = weigh_back(B, state, Return(), None, {}, pointer=False, rehearsed=False)
    assert way.plan
    assert where(way.plan) == ("1", ("n1", "n2"), False, "2")
    (told,) = [r.check for r in way.rulings if r.check.check == "whole"]
    assert told.verdict == "warning"
    assert "n2 may be on 3 and is not reached" in told.detail
    assert "it takes the others from 2 back to 1" in told.detail
    for quiet in (replace(state, half=None), on("1", "2")):
        way = weigh_back(B, quiet, Return(), None, {}, pointer=False, rehearsed=False)
        assert [r for r in way.rulings if r.check.check == "whole"] == []


def test_a_node_that_is_left_out_takes_no_part() -> None:
    spec = replace(B, nodes=(B.nodes[0], replace(B.nodes[1], out=True)))
    state = on("1", "2").with_node(node_on("n2", "1"))
    assert where(planned(state, spec=spec)) == ("1", ("n1",), False, "2")


def test_a_lower_version_may_be_named_also_while_the_tier_is_mixed() -> None:
    assert where(planned(on("1", "2", "3"), "1")) == ("1", ("n1", "n2"), False, "3")
    assert planned(on("1", "2", half="3", n1="3"), "1").stay.version == "1"


def test_the_newest_stay_of_a_named_version_is_the_target() -> None:
    assert planned(on("1", "2", "1", "3"), "1").stay.n == 3


def test_a_tier_whose_nodes_are_away_is_not_sent_to_a_promotion_that_sends_it_back() -> None:
    found = plan_rollback(B, on("1", half="2").with_node(node_on("n2", "2", reachable=False)), None)
    assert isinstance(found, Refusal)
    assert found.detail.endswith("and nobody knows what n2 runs: not reached")
    assert found.hint.startswith("sandod goes on looking for it: roll back once it is there")


@pytest.mark.parametrize(
    ("state", "version", "code"),
    [
        (on(), None, "no_previous_version"),
        (on("1"), None, "no_previous_version"),
        (bad(on("1", "2"), "1"), None, "no_previous_version"),
        (on(half="1", n1="1"), None, "no_previous_version"),
        (on("1", "2"), "2", "already_current"),
        (on("1", "2"), "9", "not_rollbackable"),
        (on(), "1", "not_rollbackable"),
        (bad(on("1", "2"), "1"), "1", "not_rollbackable"),
    ],
)
def test_there_is_no_way_back(state: TierState, version: str | None, code: str) -> None:
    assert refused(plan_rollback(B, state, version)) == (409, code)


def test_a_version_that_was_popped_is_not_below_any_more() -> None:
    state = on("1", "2", "3")
    assert state.previous
    state = state.pop_to(state.previous, None, T0.plus(9))
    assert refused(plan_rollback(B, state, "3")) == (409, "not_rollbackable")


def test_twice_the_same_rollback_with_its_version_does_no_harm() -> None:
    state = on("1", "2", "3")
    plan = planned(state, "2")
    state = state.pop_to(plan.stay, Mark("3", NOON, "max", "", 4), T0.plus(9))
    state = state.with_node(node_on("n1", "2")).with_node(node_on("n2", "2"))
    assert refused(plan_rollback(B, state, "2")) == (409, "already_current")
    assert where(planned(state)) == ("1", ("n1", "n2"), False, "2")


def test_on_the_build_tier_only_the_pointer_moves() -> None:
    assert where(planned(on("1", "2"), spec=MM)) == ("1", (), False, "2")
    assert refused(plan_rollback(MM, on("1", "2"), "2")) == (409, "already_current")


# -- confirm -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [None, "2"])
def test_the_current_version_may_be_confirmed_by_name_or_without(version: str | None) -> None:
    spec = replace(B, gates=(GateSpec("boot_smoke", "boot_smoke"), CONFIRM))
    assert confirmable(spec, on("1", "2"), version) == CONFIRM


@pytest.mark.parametrize(
    ("gates", "state", "version", "answer"),
    [
        ((CONFIRM,), on("1", "2"), "1", (412, "not_current")),
        ((CONFIRM,), on(), None, (409, "tier_empty")),
        ((CONFIRM,), on(), "1", (409, "tier_empty")),
        ((), on("1"), None, (409, "no_such_gate")),
        ((GateSpec("boot_smoke", "manual_confirm"),), on("1"), "1", (409, "no_such_gate")),
    ],
)
def test_there_is_nothing_to_confirm(
    gates: tuple[GateSpec, ...], state: TierState, version: str | None, answer: tuple[int, str]
) -> None:
    found = confirmable(replace(B, gates=gates), state, version)
    assert isinstance(found, Refusal)
    assert refused(found) == answer


def test_the_plan_keeps_the_stay_that_it_goes_to() -> None:
    state = on("1", "2")
    assert isinstance(planned(state).stay, Stay)
    assert planned(state).stay is state.previous


# -- what stands against a way back --------------------------------------------------------------------------

RUNNING = Operation(44, "promote", "b", "3", "a" * 40, "eva", "", Status.RUNNING, NOON, step="switch")
BACK = replace(RUNNING, id=45, kind="rollback")
PLAINLY = Return()
PAIRS: Pairs = {("2", "1"): "no", ("3", "2"): "no"}


def weighed(
    state: TierState,
    wish: Return = PLAINLY,
    holder: Holder | None = None,
    pairs: Pairs | None = None,
    *,
    pointer: bool = False,
    rehearsed: bool = True,
    spec: TierSpec = B,
) -> WayBack:
    return weigh_back(spec, state, wish, holder, pairs or {}, pointer=pointer, rehearsed=rehearsed)


def verdicts(way: WayBack) -> dict[str, str]:
    return {r.check.check: r.check.verdict for r in way.rulings}


def test_a_way_back_that_nothing_stands_against_is_the_plan_itself() -> None:
    way = weighed(on("1", "2"), pairs={("2", "1"): "yes"})
    assert way.verdict == way.plan == plan_rollback(B, on("1", "2"), None)
    assert verdicts(way) == {"busy": "ok", "target": "ok", "nodes": "ok", "rollback_safe": "ok"}


@pytest.mark.parametrize(
    ("force", "answer", "verdict"),
    [(False, (409, "schema_incompatible"), "blocked"), (True, None, "warning")],
)
def test_a_schema_that_the_target_does_not_run_on_needs_force(
    force: bool, answer: tuple[int, str] | None, verdict: str
) -> None:
    way = weighed(on("1", "2"), Return(force=force), pairs=PAIRS)
    assert (refused(way.verdict) if answer else None) == answer
    assert verdicts(way)["rollback_safe"] == verdict
    assert way.way == Way("no", "2", "1")


@pytest.mark.parametrize(("rehearsed", "verdict"), [(True, "warning"), (False, "ok")])
def test_what_nobody_rehearsed_is_a_warning_only_where_somebody_rehearses(
    rehearsed: bool, verdict: str
) -> None:
    way = weighed(on("1", "2"), rehearsed=rehearsed)
    assert isinstance(way.verdict, RollbackPlan)
    assert verdicts(way)["rollback_safe"] == verdict


def test_the_first_reason_is_told_with_all_that_stand_against_it() -> None:
    out = replace(B, nodes=tuple(replace(n, out=True) for n in B.nodes))
    way = weighed(on("1", "2"), Return(), Holder(BACK), PAIRS, spec=out)
    assert refused(way.verdict) == (409, "tier_busy")
    assert isinstance(way.verdict, Refusal)
    assert [(c.check, c.clears) for c in way.verdict.blocking] == [
        ("busy", "its end"),
        ("nodes", "a node of it without `out = true` in sando.toml, and POST /reload"),
        ("rollback_safe", "`force`, or another version"),
    ]


def test_where_every_node_is_left_out_there_is_no_way_back() -> None:
    out = replace(B, nodes=tuple(replace(n, out=True) for n in B.nodes))
    assert refused(weighed(on("1", "2"), spec=out).verdict) == (409, "no_nodes")


def test_the_build_tier_has_neither_nodes_nor_a_database() -> None:
    way = weighed(on("1", "2"), pairs=PAIRS, pointer=True, spec=MM)
    assert isinstance(way.verdict, RollbackPlan)
    assert verdicts(way) == {"busy": "ok", "target": "ok"}


@pytest.mark.parametrize("abort", [False, True])
def test_a_rollback_that_runs_is_never_stopped(abort: bool) -> None:
    way = weighed(on("1", "2"), Return(abort_running=abort), Holder(BACK, begun=True))
    assert refused(way.verdict) == (409, "tier_busy")


def test_a_promotion_is_stopped_first_where_that_is_asked_for_and_then_the_tier_is_made_whole() -> None:
    way = weighed(on("1", "2"), Return(abort_running=True), Holder(RUNNING))
    assert isinstance(way.verdict, RollbackPlan)
    assert (way.verdict.stay.version, way.verdict.whole, way.first) == ("2", True, RUNNING)
    assert verdicts(way) == {"busy": "warning", "target": "ok", "nodes": "ok", "rollback_safe": "ok"}
    held = weighed(on("1", "2"), Return(), Holder(RUNNING)).verdict
    assert refused(held) == (409, "tier_busy")
    assert isinstance(held, Refusal)
    assert held.blocking[0].clears == "`abort_running`, or its end"


def test_a_tier_that_is_busy_shows_where_it_would_go_were_the_promotion_stopped() -> None:
    way = weighed(on("1", "2"), Return(), Holder(RUNNING))
    assert way.plan is not None
    assert (way.plan.stay.version, way.plan.whole) == ("2", True), "not one further back"


def test_a_promotion_is_not_stopped_for_a_version_that_is_no_way_back() -> None:
    way = weighed(on("1", "2"), Return("9", abort_running=True), Holder(RUNNING))
    assert refused(way.verdict) == (409, "not_rollbackable")


def test_a_rollback_that_waits_is_named_to_who_comes_next() -> None:
    waits = replace(BACK, status=Status.QUEUED, step="waiting")
    held = weighed(on("1", "2"), Return(abort_running=True), Holder(waits)).verdict
    assert isinstance(held, Refusal)
    assert (held.code, held.operation) == ("tier_busy", waits)
    assert "waits on tier b for the promotion that it stops" in held.detail


@pytest.mark.parametrize(
    ("begun", "version", "code"),
    [
        (False, None, None),
        (True, None, "schema_incompatible"),  # from 3 to 2, which is current
        (True, "2", "schema_incompatible"),
        (False, "2", None),
        (False, "1", "schema_incompatible"),  # from 2 to 1
        (True, "1", "schema_incompatible"),
    ],
)
def test_a_promotion_that_has_migrated_is_not_stopped_for_a_way_that_is_barred(
    begun: bool, version: str | None, code: str | None
) -> None:
    holder = Holder(RUNNING, begun=begun)
    way = weighed(on("1", "2"), Return(version, abort_running=True), holder, PAIRS)
    assert (way.verdict.code if isinstance(way.verdict, Refusal) else None) == code
    forced = weighed(on("1", "2"), Return(version, force=True, abort_running=True), holder, PAIRS)
    assert isinstance(forced.verdict, RollbackPlan)


def test_the_first_promotion_of_a_tier_has_nothing_to_go_back_to_and_is_stopped_by_an_abort() -> None:
    way = weighed(on(), Return(abort_running=True), Holder(RUNNING, begun=True), PAIRS)
    assert refused(way.verdict) == (409, "no_previous_version")
    assert isinstance(way.verdict, Refusal)
    assert f"POST /operations/{RUNNING.id}/abort" in way.verdict.hint
    held = weighed(on(), Return(), Holder(RUNNING, begun=True)).verdict
    assert isinstance(held, Refusal)
    assert (held.code, held.blocking[0].clears) == (
        "tier_busy",
        f"its end, or POST /operations/{RUNNING.id}/abort",
    )
    assert "abort_running" not in held.hint


# -- once the promotion has ended ----------------------------------------------------------------------------


def after(state: TierState, version: str | None = None, was: str | None = "2") -> RollbackPlan | Refusal:
    return plan_after(B, state, version, was)


def test_a_promotion_that_was_stopped_leaves_the_tier_to_be_made_whole_on_what_was_current() -> None:
    plan = after(on("1", "2", half="3", n1="3"))
    assert isinstance(plan, RollbackPlan)
    assert where(plan) == ("2", ("n1",), True, "3")
    assert after(on("1", "2", half="3", n1="3"), "2") == plan, "the version that the question has shown"


def test_where_its_own_revert_made_the_tier_whole_nothing_is_left_to_do_and_it_does_not_step_back() -> None:
    plan = after(on("1", "2"))
    assert isinstance(plan, RollbackPlan)
    assert where(plan) == ("2", (), True, None)


def test_a_node_that_is_away_is_gone_to_all_the_same() -> None:
    away = on("1", "2").with_node(replace(node_on("n2", "3"), reachable=False))
    plan = after(away)
    assert isinstance(plan, RollbackPlan)
    assert where(plan) == ("2", ("n2",), True, None)


def test_a_promotion_that_succeeded_all_the_same_is_stepped_back_from() -> None:
    for version in (None, "2"):
        plan = after(on("1", "2", "3"), version)
        assert isinstance(plan, RollbackPlan)
        assert where(plan) == ("2", ("n1", "n2"), False, "3")


def test_a_promotion_of_what_was_current_that_succeeded_is_no_reason_to_leave_it() -> None:
    plan = after(on("1", "2", "2"))
    assert isinstance(plan, RollbackPlan)
    assert where(plan) == ("2", (), True, None)


def test_a_lower_version_that_was_named_is_gone_to_however_the_promotion_ended() -> None:
    for state in (on("1", "2", half="3", n1="3"), on("1", "2", "3")):
        plan = after(state, "1")
        assert isinstance(plan, RollbackPlan)
        assert where(plan) == ("1", ("n1", "n2"), False, state.current_version)


def test_where_what_was_current_is_marked_bad_and_nothing_lies_below_there_is_no_way_back() -> None:
    assert refused(after(bad(on("2", "3"), "2"))) == (409, "no_previous_version")


@pytest.mark.parametrize(("force", "code"), [(False, "schema_incompatible"), (True, None)])
def test_what_the_nodes_half_hold_then_has_its_say_on_the_schema(force: bool, code: str | None) -> None:
    half = on("1", "2", half="3", n1="3")
    found = weigh_after(B, half, Return(force=force), "2", PAIRS, rehearsed=True).verdict
    assert (found.code if isinstance(found, Refusal) else None) == code


def test_where_every_node_was_left_out_meanwhile_nothing_is_said_to_be_whole() -> None:
    out = replace(B, nodes=tuple(replace(n, out=True) for n in B.nodes))
    found = weigh_after(out, on("1", "2"), Return(), "2", {}, rehearsed=False).verdict
    assert refused(found) == (409, "no_nodes")


def test_a_tier_that_is_made_whole_asks_for_the_schema_of_what_it_half_holds() -> None:
    assert refused(weighed(on("1", "2", half="3", n1="3"), pairs=PAIRS).verdict) == (
        409,
        "schema_incompatible",
    )
    astray = weighed(on("1", "2", n1="1"), pairs=PAIRS)
    assert isinstance(astray.verdict, RollbackPlan)
    assert astray.verdict.whole
