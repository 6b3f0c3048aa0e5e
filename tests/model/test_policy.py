"""What may move and what may not: every row of SPEC 6's table that is decided here, and the order between them."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from sando.model.answers import Refusal
from sando.model.clock import Instant
from sando.model.gates import Approval, GateRun, Outcome
from sando.model.operation import Operation, Status
from sando.model.policy import (
    Admission,
    Lock,
    Vouched,
    Wish,
    active_green,
    gate_checks,
    judge,
    lacking,
    vouch,
    weigh,
)
from sando.model.tier import Half, Mark, NodeState, TierState
from sando.model.topology import GateSpec, NodeSpec, TierSpec
from tests.model.samples import NOON, T0, node_on, refused, release

DAY = 86400.0
RIPE = T0.plus(DAY)
GATES = (
    GateSpec("boot_smoke", "boot_smoke"),
    GateSpec("burn_in", "burn_in", duration_s=DAY),
    GateSpec("manual_confirm", "manual_confirm"),
)
A = TierSpec("a", provisioned=True, gates=GATES)
NODES = tuple(NodeSpec(n, "local", f"/srv/{n}") for n in ("n1", "n2"))
B = TierSpec("b", provisioned=True, nodes=NODES)


def run(
    gate: str, outcome: Outcome = Outcome.PASSED, version: str = "2.0.0", kind: str = "boot_smoke"
) -> GateRun:
    return GateRun("a", gate, kind, version, 40, 1, outcome, NOON, 3.2, "said so")


def yes(actor: str = "max") -> Approval:
    return Approval("manual_confirm", actor, "", NOON, yes=True)


def no(actor: str = "eva", reason: str = "") -> Approval:
    return Approval("manual_confirm", actor, reason, NOON, yes=False)


def source(
    smoke: Outcome | None = Outcome.PASSED, words: tuple[Approval, ...] = (yes(),), version: str = "2.0.0"
) -> TierState:
    """Tier a on `version` since T0, with its boot smoke as told and these words of people."""
    state = TierState("a").enter(release(version), 40, T0)
    assert state.current
    stay = state.current if smoke is None else state.current.record(run("boot_smoke", smoke, version))
    for word in words:
        stay = stay.approve(word)
    return state.update(stay)


def asked(
    state: TierState,
    wanted: str | None = None,
    *,
    hotfix: bool = False,
    known: bool = True,
    now: Instant = RIPE,
    spec: TierSpec = A,
) -> Vouched | Refusal:
    found = release(wanted or "2.0.0") if known else None
    return vouch(spec, state, wanted, found, now, hotfix=hotfix)


# -- the source ----------------------------------------------------------------------------------------------


def test_a_source_without_a_version_has_nothing_to_promote() -> None:
    assert refused(asked(TierState("a"))) == (409, "nothing_to_promote")


def test_a_version_that_no_release_has_is_unknown() -> None:
    assert refused(asked(source(), "9.9.9", known=False)) == (404, "unknown_version")


def test_a_version_that_was_never_on_the_predecessor_has_not_passed_its_gates() -> None:
    answer = asked(source(), "3.0.0")
    assert refused(answer) == (409, "gates_not_passed")
    assert isinstance(answer, Vouched)
    assert answer.refusal
    assert [c.check for c in answer.refusal.blocking] == [
        "source",
        "gate:boot_smoke",
        "gate:burn_in",
        "gate:manual_confirm",
    ]
    assert "never on tier a" in answer.refusal.blocking[0].detail


def test_a_version_that_was_never_there_is_refused_also_where_no_gate_is_declared() -> None:
    assert refused(asked(source(), "3.0.0", spec=replace(A, gates=()))) == (409, "gates_not_passed")


def test_a_red_candidate_of_the_build_tier_is_refused_with_what_its_gates_said() -> None:
    state = replace(source(), tried=(run("boot_smoke", Outcome.FAILED, "3.0.0"),))
    answer = asked(state, "3.0.0", known=False)
    assert refused(answer) == (409, "gates_not_passed")
    assert isinstance(answer, Vouched)
    assert answer.checks[1].outcome == "failed"


def test_a_version_whose_gates_are_green_is_vouched_for_by_default_the_current_one() -> None:
    answer = asked(source())
    assert isinstance(answer, Vouched)
    assert (answer.source, answer.version, answer.refusal, answer.stay) == ("a", "2.0.0", None, 1)
    assert answer.skipped == ""
    assert {c.verdict for c in answer.checks} == {"ok"}
    assert all(c.clears == "" for c in answer.checks)


@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.PASSED])
def test_only_passed_lets_a_version_out(outcome: Outcome) -> None:
    answer = asked(source(outcome))
    assert refused(answer) == (409, "gates_not_passed")


def test_the_refusal_lists_every_blocking_gate_with_its_outcome_and_what_would_clear_it() -> None:
    answer = asked(source(words=()), now=T0.plus(21 * 3600))
    assert isinstance(answer, Vouched)
    assert answer.refusal
    told = [(c.gate, c.outcome, c.detail, c.clears) for c in answer.refusal.blocking]
    assert told == [
        ("burn_in", "pending", "21h of 1d", "2026-11-24T12:00:00.000Z or hotfix"),
        ("manual_confirm", "pending", "pending on tier a", "POST /confirm/a"),
    ]
    assert "burn_in pending, manual_confirm pending" in answer.refusal.detail


@pytest.mark.parametrize(
    ("smoke", "clears"),
    [
        (None, "POST /gates/a/boot_smoke/run"),
        (Outcome.RUNNING, "the end of its run"),
        (Outcome.FAILED, "POST /gates/a/boot_smoke/run"),
    ],
)
def test_a_gate_that_is_not_green_says_what_clears_it_and_burn_in_waits_for_it(
    smoke: Outcome | None, clears: str
) -> None:
    answer = asked(source(smoke))
    assert isinstance(answer, Vouched)
    assert answer.checks[0].clears == clears
    assert answer.checks[1].clears == "1d on tier a with its active gates green, or hotfix"


def test_a_rerun_that_turns_red_revokes_an_earlier_green() -> None:
    state = source()
    assert state.current
    red = state.update(state.current.record(run("boot_smoke", Outcome.FAILED)))
    assert refused(asked(red)) == (409, "gates_not_passed")


def test_a_hotfix_skips_the_burn_in_only_and_tells_what_remained() -> None:
    answer = asked(source(), hotfix=True, now=T0.plus(3600))
    assert isinstance(answer, Vouched)
    assert answer.refusal is None
    assert answer.skipped == "burn_in: 1h of 1d"
    assert [(c.gate, c.verdict, c.outcome) for c in answer.checks] == [
        ("boot_smoke", "ok", "passed"),
        ("burn_in", "warning", "skipped"),
        ("manual_confirm", "ok", "passed"),
    ]


def test_a_burn_in_that_is_skipped_has_nothing_left_to_clear_it() -> None:
    cleared = {
        hotfix: asked(source(), hotfix=hotfix, now=T0.plus(3600)).checks[1].clears for hotfix in (False, True)
    }
    assert cleared == {False: "2026-11-24T12:00:00.000Z or hotfix", True: ""}


@pytest.mark.parametrize(
    "state", [source(Outcome.FAILED), source(None), source(words=()), source(words=(no(),))]
)
def test_every_other_gate_holds_a_hotfix_too(state: TierState) -> None:
    assert refused(asked(state, hotfix=True)) == (409, "gates_not_passed")


def test_a_hotfix_when_burn_in_is_over_skips_nothing() -> None:
    answer = asked(source(), hotfix=True)
    assert isinstance(answer, Vouched)
    assert answer.skipped == ""


def test_a_version_that_has_left_is_judged_by_its_last_stay_frozen_as_it_left() -> None:
    early = source().enter(release("3.0.0"), 41, T0.plus(3600))
    late = asked(early, "2.0.0", now=T0.plus(9 * DAY))
    assert refused(late) == (409, "gates_not_passed")
    assert isinstance(late, Vouched)
    assert late.refusal
    assert [c.gate for c in late.refusal.blocking] == ["burn_in"]
    ripe = asked(source().enter(release("3.0.0"), 41, T0.plus(DAY)), "2.0.0", now=T0.plus(DAY))
    assert isinstance(ripe, Vouched)
    assert ripe.refusal is None
    assert ripe.stay == 2  # reset_burn_in is for the current stay


def test_what_a_version_that_has_left_lacks_is_cleared_by_its_return_and_not_by_a_word_for_another() -> None:
    state = source(Outcome.FAILED, words=()).enter(release("3.0.0"), 41, T0.plus(3600))
    answer = asked(state, "2.0.0", now=T0.plus(9 * DAY))
    assert isinstance(answer, Vouched)
    assert answer.refusal
    again = "another promotion of 2.0.0 into a"
    assert {c.gate: (c.detail.partition(" at ")[0], c.clears) for c in answer.refusal.blocking} == {
        "boot_smoke": ("failed", f"{again}, where it runs anew"),
        "burn_in": ("0s of 1d", f"{again}, then 1d on tier a with its active gates green, or hotfix"),
        "manual_confirm": ("pending when it left tier a", f"{again}, then POST /confirm/a"),
    }


@pytest.mark.parametrize("popped", [False, True])
def test_a_burn_in_that_a_version_left_has_no_time_when_it_is_over(popped: bool) -> None:
    left = source(words=()).enter(release("3.0.0"), 41, T0.plus(3600))
    if popped:
        left = replace(left, stays=tuple(replace(s, popped=s.version == "2.0.0") for s in left.stays))
    answer = asked(left, "2.0.0", now=T0.plus(2 * 3600))
    assert isinstance(answer, Vouched)
    assert [c.clears for c in answer.checks if c.gate == "burn_in"] == [
        "another promotion of 2.0.0 into a, then 1d on tier a with its active gates green, or hotfix"
    ]


def test_on_the_build_tier_it_is_built_again() -> None:
    state = source(words=()).enter(release("3.0.0"), 41, T0.plus(3600))
    answer = vouch(A, state, "2.0.0", release("2.0.0"), RIPE, hotfix=False, built=True)
    assert isinstance(answer, Vouched)
    assert answer.checks[2].clears == "POST /rebuild with its sha, then POST /confirm/a"


# -- gates as they stand -------------------------------------------------------------------------------------


def views(state: TierState, now: Instant = RIPE, spec: TierSpec = A) -> list[tuple[str, Outcome]]:
    return [(v.name, v.outcome) for v in judge(spec, state.current, now, state.tried)]


def test_a_gate_without_a_run_is_pending_and_so_is_every_gate_of_an_empty_tier() -> None:
    assert views(TierState("a")) == [(g.name, Outcome.PENDING) for g in GATES]
    added = replace(A, gates=(*GATES, GateSpec("command", "soak")))
    assert views(source(), spec=added)[-1] == ("soak", Outcome.PENDING)


def test_burn_in_shows_what_is_required_what_has_passed_and_when_it_is_over() -> None:
    current = source().current
    assert current
    view = judge(A, current, T0.plus(DAY / 4))[1]
    assert (view.required_s, view.elapsed_s) == (DAY, DAY / 4)
    assert view.ready_at == NOON + timedelta(days=1)
    over = judge(A, current, T0.plus(3 * DAY))[1]
    assert (over.outcome, over.elapsed_s, over.ready_at) == (Outcome.PASSED, DAY, None)


def test_burn_in_is_zero_until_the_active_gates_are_green_and_then_counts_from_the_deploy() -> None:
    held = source(Outcome.RUNNING).current
    assert held
    view = judge(A, held, T0.plus(3 * DAY))[1]
    assert (view.outcome, view.elapsed_s, view.ready_at) == (Outcome.PENDING, 0.0, None)
    green = held.record(run("boot_smoke"))
    assert judge(A, green, T0.plus(3 * DAY))[1].outcome is Outcome.PASSED


def test_burn_in_uses_the_duration_of_today() -> None:
    longer = replace(A, gates=(GATES[0], replace(GATES[1], duration_s=2 * DAY)))
    assert views(source(), spec=longer)[1] == ("burn_in", Outcome.PENDING)


def test_a_candidate_without_a_stay_shows_its_own_runs() -> None:
    state = replace(source(), tried=(run("boot_smoke", Outcome.RUNNING, "3.0.0"),))
    view = judge(A, state.current, T0, state.tried)[0]
    assert (view.outcome, view.version) == (Outcome.RUNNING, "3.0.0")


@pytest.mark.parametrize(
    ("words", "outcome", "message"),
    [
        ((), Outcome.PENDING, "0 of 2 approvals"),
        ((yes("max"),), Outcome.PENDING, "1 of 2 approvals"),
        ((yes("max"), yes("max")), Outcome.PENDING, "1 of 2 approvals"),
        ((yes("max"), yes("eva")), Outcome.PASSED, "confirmed by eva, max"),
        ((yes("max"), yes("eva"), no("otto", "slow")), Outcome.FAILED, "rejected by otto: slow"),
        ((yes("max"), no("eva"), yes("max")), Outcome.PENDING, "1 of 2 approvals"),
        ((no("eva"), yes("eva"), yes("max")), Outcome.PASSED, "confirmed by eva, max"),
    ],
)
def test_approvals_count_distinct_people_and_a_no_is_lifted_by_a_new_confirm(
    words: tuple[Approval, ...], outcome: Outcome, message: str
) -> None:
    spec = replace(A, gates=(GATES[0], replace(GATES[2], min_approvals=2)))
    view = judge(spec, source(words=words).current, T0)[1]
    assert (view.outcome, view.message) == (outcome, message)


def test_a_rejection_keeps_a_version_where_it_is() -> None:
    assert refused(asked(source(words=(yes(), no())))) == (409, "gates_not_passed")
    again = asked(source(words=(no(), yes())))
    assert isinstance(again, Vouched)
    assert again.refusal is None


def test_a_confirmation_ends_with_the_stay() -> None:
    state = source().enter(release("2.0.0"), 41, T0.plus(DAY))
    assert views(state, T0.plus(2 * DAY))[2] == ("manual_confirm", Outcome.PENDING)


def test_the_active_gates_are_green_when_each_has_passed() -> None:
    for state, green in ((source(), True), (source(None), False), (source(Outcome.ERRORED), False)):
        assert state.current
        assert active_green(A, state.current) is green


def test_the_checks_of_a_plan_are_those_of_the_act() -> None:
    state = source(words=())
    answer = asked(state)
    assert isinstance(answer, Vouched)
    assert answer.checks == gate_checks(A, judge(A, state.current, T0.plus(DAY)), hotfix=False)


# -- the target ----------------------------------------------------------------------------------------------

GOOD = Vouched("a", "2.0.0", stay=1)
RED = Vouched("a", "2.0.0", refusal=Refusal(409, "gates_not_passed", "no", "later"))
BAD = {"b": (Mark("2.0.0", NOON, "max", "slow", 33),)}
BUSY = Operation(44, "promote", "b", "1.9.0", "a" * 40, "eva", "", Status.RUNNING, NOON, step="upload")
LOCK = Lock("b", "eva", "the fair", NOON, NOON + timedelta(hours=1))


def target(current: str | None = "1.0.0", half: str | None = None, **on: str | None) -> TierState:
    """Tier b on `current`, with nodes n1, n2 on it unless told otherwise."""
    state = TierState("b")
    if current:
        state = state.enter(release(current), 30, T0)
    for name in ("n1", "n2"):
        state = state.with_node(node_on(name, on.get(name, current)))
    return replace(state, half=Half(half, 43) if half else None)


def decided(
    state: TierState,
    wish: Wish | None = None,
    vouched: Vouched = GOOD,
    spec: TierSpec = B,
    **given: object,
) -> Admission | Refusal:
    facts: dict[str, object] = {"marks": {}, "busy": None, "lock": None, "frozen_until": None}
    found = given.pop("release", release(vouched.version))
    return weigh(spec, state, wish or Wish("b"), vouched, found, **{**facts, **given}).verdict  # type: ignore[arg-type]


def test_a_version_that_is_vouched_for_goes_to_all_nodes_in_service() -> None:
    assert decided(target()) == Admission("promote", "2.0.0", ("n1", "n2"))
    assert decided(target(None)) == Admission("promote", "2.0.0", ("n1", "n2"))
    spec = replace(B, nodes=(NODES[0], replace(NODES[1], out=True)))
    assert decided(target(), spec=spec) == Admission("promote", "2.0.0", ("n1",))


def test_a_source_that_does_not_vouch_is_a_refusal_of_its_own() -> None:
    for wish in (Wish("b"), Wish("b", force=True)):
        answer = decided(target(), wish, vouched=RED)
        assert refused(answer) == (409, "gates_not_passed")
        assert isinstance(answer, Refusal)
        assert [c.check for c in answer.blocking] == ["version"]


def test_a_release_that_nobody_knows_is_missing_also_with_force() -> None:
    assert refused(decided(target(), release=None)) == (409, "release_missing")
    assert refused(decided(target(), Wish("b", force=True), release=None)) == (409, "release_missing")


def test_what_is_current_on_every_node_is_current_already_and_force_deploys_it_again() -> None:
    assert refused(decided(target("2.0.0"))) == (409, "already_current")
    assert decided(target("2.0.0"), Wish("b", force=True)) == Admission("promote", "2.0.0", ("n1", "n2"))


@pytest.mark.parametrize(
    "node",
    [
        node_on("n2", "1.0.0"),
        node_on("n2", None),
        node_on("n2", "2.0.0", status="unknown"),
        node_on("n2", "2.0.0", status="failed"),
    ],
)
def test_only_the_nodes_that_lack_the_current_version_are_repaired_without_a_vouch(node: NodeState) -> None:
    state = target("2.0.0").with_node(node)
    assert lacking(B, state) == ("n2",)
    assert decided(state, vouched=RED) == Admission("repair", "2.0.0", ("n2",))
    assert decided(state, marks=BAD) == Admission("repair", "2.0.0", ("n2",))


def test_a_node_that_was_added_is_repaired() -> None:
    spec = replace(B, nodes=(*NODES, NodeSpec("n3", "local", "/srv/n3")))
    assert decided(target("2.0.0"), spec=spec) == Admission("repair", "2.0.0", ("n3",))


@pytest.mark.parametrize("tier", ["a", "b"])
def test_a_version_marked_bad_there_or_earlier_needs_force(tier: str) -> None:
    marks = {tier: BAD["b"]}
    answer = decided(target(), marks=marks)
    assert refused(answer) == (409, "version_marked_bad")
    assert isinstance(answer, Refusal)
    for word in ("tier " + tier, "max", "slow", "2.0.0"):
        assert word in answer.detail
    assert isinstance(decided(target(), Wish("b", force=True), marks=marks), Admission)
    assert isinstance(decided(target(), marks={"b": (Mark("1.9.0", NOON, "max", "", 3),)}), Admission)


def test_a_mixed_tier_takes_only_the_version_that_it_half_holds_and_resumes() -> None:
    state = target("1.0.0", half="2.0.0", n1="2.0.0")
    assert decided(state) == Admission("promote", "2.0.0", ("n2",))
    assert decided(state, Wish("b", force=True)) == Admission("promote", "2.0.0", ("n1", "n2"))
    other = Vouched("a", "3.0.0")
    assert refused(decided(state, vouched=other)) == (409, "tier_mixed")
    assert refused(decided(state, Wish("b", force=True), vouched=other)) == (409, "tier_mixed")
    assert refused(decided(state, vouched=Vouched("a", "1.0.0"))) == (409, "tier_mixed")


def test_a_mixed_tier_whose_other_half_is_away_is_not_sent_back_behind_what_was() -> None:
    state = target("1.0.0", half="2.0.0").with_node(node_on("n2", "2.0.0", reachable=False, status="unknown"))
    answer = decided(state, vouched=Vouched("a", "3.0.0"))
    assert isinstance(answer, Refusal)
    assert answer.hint == (
        "promote 2.0.0 again to resume, or wait until n2 is reached, and then roll back tier b to make it whole"
    )
    gone = state.with_node(node_on("n9", "0.9.0"))
    assert decided(gone, vouched=Vouched("a", "3.0.0")) == answer, (
        "a node that is in service no more has no say"
    )


def test_a_resumed_promotion_still_needs_the_word_of_its_source() -> None:
    answer = decided(target("1.0.0", half="2.0.0", n1="2.0.0"), vouched=RED)
    assert refused(answer) == (409, "gates_not_passed")


def test_a_resumed_promotion_that_has_arrived_everywhere_visits_all_once_more() -> None:
    state = target("1.0.0", half="2.0.0", n1="2.0.0", n2="2.0.0")
    assert decided(state) == Admission("promote", "2.0.0", ("n1", "n2"))


def test_a_busy_tier_names_the_operation_that_holds_it() -> None:
    answer = decided(target(), busy=BUSY)
    assert refused(answer) == (409, "tier_busy")
    assert isinstance(answer, Refusal)
    assert answer.operation == BUSY
    assert "promote 44 of 1.9.0 by eva" in answer.detail
    assert "/operations/44" in answer.hint


def test_a_locked_tier_says_who_why_and_until_when_and_nothing_passes_it() -> None:
    wish = Wish("b", force=True, override_freeze=True, reason="now")
    answer = decided(target(), wish, lock=LOCK)
    assert refused(answer) == (423, "locked")
    assert isinstance(answer, Refusal)
    assert "eva" in answer.detail
    assert "the fair" in answer.detail
    assert "2026-11-23T13:00:00.000Z" in answer.detail
    forever = decided(target(), lock=replace(LOCK, expires=None, tier="all"))
    assert isinstance(forever, Refusal)
    assert "until" not in forever.detail
    assert "DELETE /lock/all" in forever.hint


def test_a_lock_holds_until_it_expires() -> None:
    assert LOCK.holds(NOON + timedelta(minutes=59))
    assert not LOCK.holds(NOON + timedelta(hours=1))
    assert replace(LOCK, expires=None).holds(NOON + timedelta(days=999))


@pytest.mark.parametrize(
    ("wish", "passes"),
    [
        (Wish("b"), False),
        (Wish("b", override_freeze=True), False),
        (Wish("b", override_freeze=True, reason=" \t"), False),
        (Wish("b", reason="the fair"), False),
        (Wish("b", force=True, hotfix=True, reason="x"), False),
        (Wish("b", override_freeze=True, reason="the fair"), True),
    ],
)
def test_a_freeze_is_passed_only_with_an_override_and_a_reason(wish: Wish, passes: bool) -> None:
    until = NOON + timedelta(hours=12)
    answer = decided(target(), wish, frozen_until=until)
    if passes:
        assert answer == Admission("promote", "2.0.0", ("n1", "n2"))
    else:
        assert refused(answer) == (423, "frozen")
        assert isinstance(answer, Refusal)
        assert "2026-11-24T00:00:00.000Z" in answer.detail


@pytest.mark.parametrize("what", [{"busy": BUSY}, {"lock": LOCK}, {"frozen_until": NOON}])
def test_a_repair_waits_like_any_deploy(what: dict[str, Any]) -> None:
    assert isinstance(decided(target("2.0.0", n2="1.0.0"), **what), Refusal)


def test_a_tier_with_every_node_left_out_has_nowhere_to_go() -> None:
    spec = replace(B, nodes=tuple(replace(n, out=True) for n in NODES))
    assert refused(decided(target(), spec=spec)) == (409, "no_nodes")


def test_the_first_refusal_of_the_table_is_the_one_that_is_told() -> None:
    """Everything is wrong at once; then the rows are put right from the top, one by one."""
    state = target("1.0.0", half="1.5.0")
    wrong: dict[str, Any] = {
        "vouched": RED,
        "release": None,
        "marks": BAD,
        "busy": BUSY,
        "lock": LOCK,
        "frozen_until": NOON,
    }
    steps: list[tuple[str, dict[str, Any]]] = [
        ("gates_not_passed", {"vouched": GOOD}),
        ("release_missing", {"release": release("2.0.0")}),
        ("version_marked_bad", {"marks": {}}),
        ("tier_mixed", {"state": target("1.0.0")}),
        ("tier_busy", {"busy": None}),
        ("locked", {"lock": None}),
        ("frozen", {"frozen_until": None}),
    ]
    facts: dict[str, Any] = {"state": state, **wrong}
    for code, right in steps:
        assert refused(decided(**facts))[1] == code
        facts.update(right)
    assert isinstance(decided(**facts), Admission)


def cleared_by(answer: Admission | Refusal) -> dict[str, str]:
    assert isinstance(answer, Refusal)
    return {c.check: c.clears for c in answer.blocking}


def test_what_clears_a_hurdle_is_a_thing_so_that_it_reads_after_whatever_a_face_puts_before_it() -> None:
    out = replace(B, nodes=tuple(replace(n, out=True) for n in NODES))
    wrong = decided(
        target("1.0.0", half="1.5.0"),
        release=None,
        marks=BAD,
        busy=BUSY,
        lock=LOCK,
        frozen_until=NOON,
        spec=out,
    )
    assert cleared_by(wrong) == {
        "release": "POST /rebuild with its sha",
        "marks": "`force`",
        "mixed": "a promotion of 1.5.0, which resumes it, or POST /rollback/b",
        "busy": "its end, or POST /operations/44/abort",
        "lock": "2026-11-23T13:00:00.000Z or DELETE /lock/b",
        "freeze": "2026-11-23T12:00:00.000Z or override_freeze with a reason",
        "nodes": "a node of it without `out = true` in sando.toml, and POST /reload",
    }
    assert cleared_by(decided(target("2.0.0"))) == {"current": "`force`"}
    assert cleared_by(decided(target(), busy=replace(BUSY, kind="rollback"))) == {"busy": "its end"}
    never = asked(source(), "3.0.0")
    assert isinstance(never, Vouched)
    assert {c.clears for c in never.checks} == {"its arrival on tier a"}


def test_already_current_does_not_promise_that_force_replaces_what_was_changed_on_a_node() -> None:
    answer = decided(target("2.0.0"))
    assert isinstance(answer, Refusal)
    assert answer.hint == (
        "`force` deploys it again, unless its files were changed on a node: then roll back, or promote another version"
    )


def test_already_current_is_told_before_a_lock_or_a_busy_tier() -> None:
    answer = decided(target("2.0.0"), busy=BUSY, lock=LOCK, frozen_until=NOON, marks=BAD)
    assert refused(answer) == (409, "already_current")
