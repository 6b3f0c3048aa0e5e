"""The state of a tier: its history against a plain list, its marks, and what a stay keeps when it ends."""

from collections.abc import Callable
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from sando.model.clock import Instant
from sando.model.gates import Approval, GateRun, Outcome
from sando.model.retention import kept_of
from sando.model.safety import arrivals
from sando.model.stay import BurnReset, Stay
from sando.model.tier import Half, Mark, NodeState, TierState
from tests.model.samples import NOON, T0, release

VERSIONS = ["1.0.0", "2.0.0", "3.0.0", "4.0.0"]


def mark(version: str, operation: int = 8) -> Mark:
    return Mark(version, NOON, "max", "slow", operation)


def after(*versions: str) -> TierState:
    state = TierState("b")
    for n, version in enumerate(versions):
        state = state.enter(release(version), n, T0.plus(100 * n))
    return state


def back(state: TierState, now: Instant, *, keep_gates: bool = False) -> TierState:
    assert state.previous
    assert state.current_version
    return state.pop_to(state.previous, mark(state.current_version), now, keep_gates=keep_gates)


def passed(version: str, gate: str = "boot_smoke", outcome: Outcome = Outcome.PASSED) -> GateRun:
    return GateRun("b", gate, "command", version, 7, 1, outcome, NOON)


def test_an_empty_tier_has_neither_current_nor_previous() -> None:
    state = TierState("b")
    assert (state.current, state.current_version, state.previous) == (None, None, None)
    assert (state.judged("1.0.0"), state.below("1.0.0")) == (None, None)


def test_a_rollback_is_no_toggle_after_three_to_two_the_previous_is_one() -> None:
    state = back(after("1.0.0", "2.0.0", "3.0.0"), T0.plus(900))
    assert state.current_version == "2.0.0"
    assert state.previous
    assert state.previous.version == "1.0.0"
    state = back(state, T0.plus(901))
    assert (state.current_version, state.previous) == ("1.0.0", None)
    assert set(state.marks) == {"2.0.0", "3.0.0"}


def test_a_rollback_target_starts_a_stay_of_its_own_with_nothing_but_a_zero_clock() -> None:
    state = after("1.0.0")
    assert state.current
    state = state.update(
        state.current.record(passed("1.0.0")).approve(Approval("x", "max", "", NOON, yes=True))
    )
    state = back(state.enter(release("2.0.0"), 2, T0.plus(50)), T0.plus(60))
    fresh = state.current
    assert fresh
    assert (fresh.version, fresh.n, fresh.gates, fresh.approvals) == ("1.0.0", 3, (), ())
    assert fresh.digest == "digest of 1.0.0"
    assert fresh.burnt(T0.plus(60)) == 0.0
    assert [s.popped for s in state.stays] == [True, True, False]


def test_on_the_build_tier_the_pointer_moves_back_with_its_gates() -> None:
    state = TierState("mm").enter(release("1.0.0"), 1, T0, (passed("1.0.0"),))
    state = back(state.enter(release("2.0.0"), 2, T0), T0, keep_gates=True)
    assert state.current
    assert state.current.gate("boot_smoke") == passed("1.0.0")


def test_a_marked_version_and_the_current_one_are_no_way_back() -> None:
    state = after("1.0.0", "2.0.0", "3.0.0").marked(mark("2.0.0"))
    assert state.previous
    assert state.previous.version == "1.0.0"
    assert state.lifted("2.0.0").previous == state.stays[1]
    assert after("1.0.0", "2.0.0", "2.0.0").previous == after("1.0.0", "2.0.0", "2.0.0").stays[0]


def test_below_finds_the_newest_stay_under_the_current_one_and_no_popped_one() -> None:
    state = after("1.0.0", "2.0.0", "1.0.0", "3.0.0")
    assert state.below("1.0.0") == state.stays[2]
    assert state.below("3.0.0") is None
    assert back(back(state, T0.plus(1)), T0.plus(2)).below("1.0.0") == state.stays[0]


def test_a_promotion_that_arrives_ends_what_was_half_and_what_was_tried() -> None:
    state = TierState("b", half=Half("2.0.0", 5), tried=(passed("2.0.0"),)).enter(release("2.0.0"), 6, T0)
    assert state.half is None
    assert state.tried == ()
    assert state.current
    assert state.current.operation == 6


def test_a_node_is_kept_by_its_name() -> None:
    state = (
        TierState("b")
        .with_node(NodeState("n1", "1"))
        .with_node(NodeState("n2"))
        .with_node(NodeState("n1", "2"))
    )
    assert {n.name: n.version for n in state.nodes.values()} == {"n1": "2", "n2": None}


def reset(n: int, seconds: float, tier: str = "b", operation: int = 9) -> BurnReset:
    return BurnReset(tier, n, T0.plus(seconds), operation)


def test_a_reset_restarts_the_clock_of_its_stay_once() -> None:
    state = after("1.0.0").with_resets((reset(1, 300),))
    assert state.current
    assert state.current.burnt(T0.plus(360)) == 60.0
    assert state.with_resets((reset(1, 300),)) == state
    later = state.with_resets((reset(1, 300), reset(1, 350, operation=10)))
    assert later.current
    assert later.current.burnt(T0.plus(360)) == 10.0
    assert later.with_resets((reset(1, 300), reset(1, 350, operation=10))) == later


def test_a_reset_holds_also_when_the_wall_has_jumped_back_since_the_stay_began() -> None:
    at = Instant(NOON - timedelta(days=1), "one", T0.up + 300)
    state = after("1.0.0").with_resets((BurnReset("b", 1, at, 9),))
    assert state.current
    assert state.current.burnt(at.plus(60)) == 60.0
    assert state.with_resets((BurnReset("b", 1, at, 9),)) == state


def test_a_reading_of_the_clock_forgets_no_reset() -> None:
    state = after("1.0.0").with_resets((reset(1, 300),))
    assert state.current
    assert state.current.burn
    read = replace(state.current, burn=state.current.burn.advance(T0.plus(330)))
    state = state.update(read)
    assert state.with_resets((reset(1, 300),)) == state


def test_a_reset_of_another_tier_of_no_stay_or_of_a_stay_that_has_left_does_nothing() -> None:
    state = after("1.0.0", "2.0.0")
    assert state.with_resets((reset(2, 300, "c"), reset(9, 300), reset(1, 300))) == state


def current(state: TierState) -> Stay:
    assert state.current
    return state.current


class History(RuleBasedStateMachine):
    """The real state beside a plain model: a list of (stay number, version) and dicts by stay number."""

    def __init__(self) -> None:
        super().__init__()
        self.state = self.slim = TierState("b")
        self.now = T0
        self.stack: list[tuple[int, str]] = []
        self.marks: set[str] = set()
        self.gates: dict[int, dict[str, Outcome]] = {}
        self.words: dict[int, dict[str, bool]] = {}
        self.burnt: dict[int, float] = {}
        self.left: dict[int, Stay] = {}
        self.gone: set[int] = set()
        self.count = self.operation = 0

    def change(self, how: Callable[[TierState], TierState]) -> None:
        """The same on the state as it is, and on the one that is condensed after every step."""
        self.state = how(self.state)
        self.slim = how(self.slim).condensed()

    def _leave(self) -> None:
        if self.stack:
            stay = self.state.current
            assert stay
            self.left[stay.n] = stay.leave(self.now)

    def _arrive(self, version: str) -> None:
        self.count += 1
        self.stack.append((self.count, version))
        self.gates[self.count], self.words[self.count], self.burnt[self.count] = {}, {}, 0.0

    @rule(version=st.sampled_from(VERSIONS))
    def enter(self, version: str) -> None:
        self._leave()
        self.change(lambda s: s.enter(release(version), 7, self.now))
        self._arrive(version)

    @precondition(lambda self: self.state.previous)
    @rule(data=st.data(), marks=st.booleans())
    def pop_to(self, data: st.DataObject, marks: bool) -> None:
        below = [s for s in self.state.stack[:-1] if s.version not in self.marks]
        target = data.draw(st.sampled_from(below)) if below else self.state.previous
        assert target
        self._leave()
        left = self.stack[-1][1]
        self.change(lambda s: s.pop_to(target, mark(left) if marks else None, self.now))
        while self.stack and self.stack[-1][0] >= target.n:
            self.gone.add(self.stack.pop()[0])
        if marks:
            self.marks.add(left)
        self._arrive(target.version)

    @rule(version=st.sampled_from(VERSIONS))
    def mark(self, version: str) -> None:
        self.change(lambda s: s.marked(mark(version)))
        self.marks.add(version)

    @rule(version=st.sampled_from(VERSIONS))
    def lift(self, version: str) -> None:
        self.change(lambda s: s.lifted(version))
        self.marks.discard(version)

    @precondition(lambda self: self.stack)
    @rule(gate=st.sampled_from(["test", "smoke"]), outcome=st.sampled_from(list(Outcome)))
    def record(self, gate: str, outcome: Outcome) -> None:
        n, version = self.stack[-1]
        self.change(lambda s: s.update(current(s).record(passed(version, gate, outcome))))
        self.gates[n][gate] = outcome

    @precondition(lambda self: self.stack)
    @rule(actor=st.sampled_from(["max", "eva"]), yes=st.booleans())
    def approve(self, actor: str, yes: bool) -> None:
        self.change(lambda s: s.update(current(s).approve(Approval("ok", actor, "", NOON, yes=yes))))
        words = self.words[self.stack[-1][0]]
        kept = {a: y for a, y in words.items() if y} if yes else {}
        self.words[self.stack[-1][0]] = {**kept, actor: yes}

    @precondition(lambda self: self.stack)
    @rule(data=st.data())
    def reset(self, data: st.DataObject) -> None:
        n = data.draw(st.integers(1, self.count))
        self.wait(1.0)
        self.operation += 1
        self.change(lambda s: s.with_resets((BurnReset("b", n, self.now, self.operation),)))
        if n == self.stack[-1][0]:
            self.burnt[n] = 0.0

    @rule()
    def settle(self) -> None:
        self.change(lambda s: s.settle(self.now))
        assert self.state.settled

    @rule(seconds=st.floats(0, 1000), jump=st.sampled_from([0.0, 0.0, 0.0, 1e6]))
    def wait(self, seconds: float, jump: float = 0.0) -> None:
        """Time passes; the wall may jump forward, which burns nothing. Then the clock is read."""
        now = self.now.plus(seconds)
        self.now = Instant(now.at + timedelta(seconds=jump), now.boot, now.up)
        stay = self.state.current
        if stay and stay.burn:
            self.burnt[stay.n] += seconds
            clock = stay.burn.advance(self.now)
            self.change(lambda s: s.update(replace(current(s), burn=clock)))

    @invariant()
    def the_history_is_the_list(self) -> None:
        assert [(s.n, s.version) for s in self.state.stack] == self.stack
        assert self.state.current_version == (self.stack[-1][1] if self.stack else None)
        below = [n for n, v in self.stack[:-1] if v not in self.marks and v != self.stack[-1][1]]
        assert (self.state.previous.n if self.state.previous else None) == (below[-1] if below else None)
        assert set(self.state.marks) == self.marks
        numbers = [s.n for s in self.state.stays]
        assert numbers == sorted(set(numbers))

    @invariant()
    def a_condensed_state_says_the_same_and_is_no_larger_than_its_history_and_its_versions(self) -> None:
        for ask in (
            lambda s: (s.stack, s.current, s.previous, s.marks, arrivals(s), kept_of(s, 3)),
            lambda s: arrivals(replace(s, migrated_by=())),
            *(lambda s, v=v: (s.judged(v), s.below(v)) for v in VERSIONS),
        ):
            assert ask(self.slim) == ask(self.state)
        assert self.slim == self.state.condensed()
        assert len(self.slim.stays) <= len(self.stack) + 2 * len(VERSIONS)

    @invariant()
    def what_was_popped_never_comes_back(self) -> None:
        assert {s.n for s in self.state.stays if s.popped} == self.gone

    @invariant()
    def each_stay_has_its_own_outcomes_words_and_clock(self) -> None:
        for stay in self.state.stays:
            assert {g.gate: g.outcome for g in stay.gates} == self.gates[stay.n]
            assert {a.actor: a.yes for a in stay.approvals} == self.words[stay.n]
            assert 0.0 <= stay.burnt(self.now) <= self.burnt[stay.n] + 0.01
            assert self.burnt[stay.n] - stay.burnt(self.now) < 0.01

    @invariant()
    def a_version_is_judged_by_its_last_stay_frozen_as_it_left(self) -> None:
        for version in VERSIONS:
            judged = self.state.judged(version)
            of_it = [s for s in self.state.stays if s.version == version]
            assert judged == (of_it[-1] if of_it else None)
        for n, as_left in self.left.items():
            stay = self.state.stays[n - 1]
            assert (stay.gates, stay.approvals, stay.burn, stay.left_at) == (
                as_left.gates,
                as_left.approvals,
                as_left.burn,
                as_left.left_at,
            )


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
