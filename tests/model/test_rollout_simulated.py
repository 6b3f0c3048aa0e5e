"""The rollout machine against simulated nodes: random orders, failures, aborts and crashes, and what always holds."""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from msgspec import json

from sando.model.rollout import (
    Mode,
    NodePlan,
    Result,
    Rollout,
    abort,
    due,
    ended,
    failed,
    interrupt,
    result,
    start,
    vouched,
)
from sando.model.task import NodeFacts, Step

pytestmark = pytest.mark.campaign
NEW = "2.0.0"
OLD = ("1.0.0", "1.0.1", None)
CRASHES = 3


@dataclass
class Tape:
    """Choices of one run; past its end every choice is 0, which always is the way that goes on well."""

    values: list[int]
    at: int = 0

    def pick(self, count: int) -> int:
        value = self.values[self.at] if self.at < len(self.values) else 0
        self.at += 1
        return value % count

    def chance(self, percent: int) -> bool:
        return self.pick(100) >= 100 - percent


@dataclass
class World:
    """Nodes with a real `current`, the jobs in motion, and notes for the invariants."""

    rollout: Rollout
    tape: Tape
    links: dict[str, str | None]
    runs: dict[str, str | None] = field(default_factory=dict)
    jobs: list[tuple[str, Step]] = field(default_factory=list)
    begun: set[str] = field(default_factory=set)
    handled: dict[str, list[Step]] = field(default_factory=dict)
    revert_failed: set[str] = field(default_factory=set)
    steps: int = 0
    once: int = 0
    crashes: int = 0
    vouches: int = 0
    whole_at_crash: bool = False
    trouble: bool = False
    refused: bool = False
    fault: bool = False
    armed: dict[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.first = dict(self.links)
        self.resumed = self.rollout.once_ran
        self.runs = dict(self.links)

    # -- what may happen -----------------------------------------------------------------------------------

    def live(self) -> Result:
        while (end := result(self.rollout)) is None:
            self.steps += 1
            assert self.steps <= self.bound(), f"no end in sight: {self.rollout}"
            self.happen()
        return end

    def bound(self) -> int:
        return (1 + CRASHES) * (16 * len(self.links) + 12)

    def happen(self) -> None:
        what = self.tape.pick(100)
        if what >= 94 and self.crashes < CRASHES:
            self.crash()
        elif 88 <= what < 94 and self.rollout.mode != "rollback" and not self.rollout.aborted:
            self.rollout = abort(self.rollout, "stopped by max")
        elif self.rollout.phase == "vouch":
            self.refused = self.tape.chance(10)
            self.vouches += 1
            self.rollout = vouched(self.rollout, "the source is red" if self.refused else None)
        else:
            self.go_on()

    def go_on(self) -> None:
        steps = due(self.rollout)
        self.check_due(steps)
        choices = len(self.jobs) + len(steps)
        assert choices, f"stuck: nothing due and nothing in motion in {self.rollout}"
        chosen = self.tape.pick(choices)
        if chosen < len(self.jobs):
            self.end(*self.jobs.pop(chosen))
        else:
            self.begin(*steps[chosen - len(self.jobs)])

    def begin(self, name: str, step: Step) -> None:
        self.check_begin(name, step)
        self.handled.setdefault(name, []).append(step)
        if step is Step.SWITCH:
            self.begun.add(name)
            self.armed[name] = self.rollout.armed_for(self.rollout.node(name))
        self.once += step is Step.ONCE
        self.rollout = start(self.rollout, name, step)
        self.jobs.append((name, step))

    def end(self, name: str, step: Step) -> None:
        if self.tape.chance(12):
            self.trouble = True
            self.fault |= step in {Step.SWITCH, Step.START, Step.HOLD}
            if self.tape.chance(50):
                self.effect(name, step)
            if step is Step.REVERT:
                self.revert_failed.add(name)
            self.rollout = failed(self.rollout, name, step, "no", errored=self.tape.chance(50))
            return
        self.effect(name, step)
        if step is Step.REVERT:
            self.revert_failed.discard(name)
        self.rollout = ended(self.rollout, name, step, self.facts(step, name))

    def facts(self, step: Step, name: str) -> NodeFacts:
        green = None
        if step is Step.PROBE:
            green = (True, None, False)[self.tape.pick(3)]
            self.trouble |= green is False
        elif step is Step.SWITCH and self.tape.chance(30):
            green = True  # nothing had to be restarted, and the first look was green
            self.effect(name, Step.START)
        return NodeFacts(self.links[name], has_release=self.tape.chance(40), green=green)

    def effect(self, name: str, step: Step) -> None:
        plan = self.rollout.node(name)
        match step:
            case Step.SWITCH:
                self.links[name] = self.rollout.version
            case Step.START:
                self.runs[name] = self.links[name]
            case Step.REVERT:
                assert name in self.begun, f"{name} was never switched and is reverted"
                assert plan.former == self.first[name]
                self.links[name] = self.runs[name] = plan.former

    def crash(self) -> None:
        """The daemon dies: what was in motion has taken effect or not, and only the stored row is left."""
        for name, step in self.jobs:
            if self.tape.chance(50):
                if step is Step.REVERT and self.tape.chance(50):
                    self.links[name] = self.rollout.node(
                        name
                    ).former  # the link is back, the restart did not run
                else:
                    self.effect(name, step)
        self.jobs = []
        self.crashes += 1
        self.trouble = self.refused = False
        self.whole_at_crash = all(link == self.rollout.version for link in self.links.values()) and not any(
            n.at_fault for n in self.rollout.nodes
        )
        stored = json.decode(json.encode(self.rollout), type=Rollout)
        assert stored == self.rollout
        self.rollout = interrupt(stored, "sandod died")

    def stranded(self, name: str) -> bool:
        """Its former release does not run any more: `once` has migrated the database."""
        return (bool(self.once) or self.resumed) and self.first[name] in self.rollout.unsafe

    # -- what holds on the way -----------------------------------------------------------------------------

    def check_due(self, steps: tuple[tuple[str, Step], ...]) -> None:
        names = [name for name, _ in steps]
        assert len(set(names)) == len(names)
        assert not set(names) & {name for name, _ in self.jobs}, "due while it runs already"

    def check_begin(self, name: str, step: Step) -> None:
        rollout = self.rollout
        if step in {Step.ONCE, Step.SWITCH}:
            assert not self.crashes or rollout.going_back, "a promotion goes no further after a crash"
            if rollout.mode == "promote":
                assert self.vouches, "switched without the source's second word"
            ready = {"uploaded", "switched", "started", "ok"}
            if rollout.going_back or self.begun:
                ready |= {"failed", "unknown"}
            assert all(n.status in ready for n in rollout.nodes), "switched before all were uploaded"
        if step is Step.ONCE:
            assert not self.begun
            assert not self.once
        if step is Step.SWITCH and not rollout.going_back:
            assert not rollout.aborted
            assert not self.fault
            between = [n for n in rollout.nodes if n.doing or n.status in {"switched", "started"}]
            if rollout.canary == "sequential":
                assert not between
            if rollout.canary == "first-then-rest" and name != rollout.nodes[0].name:
                assert rollout.nodes[0].status == "ok"
        if step is Step.REVERT:
            assert not rollout.going_back, "a rollback never reverts"
            if rollout.on_failure == "halt" or self.stranded(name):
                assert rollout.node(name).at_fault
        if step is Step.START:
            assert name in self.begun, "an untouched node is restarted"
        if step is not Step.SWITCH and name in self.begun:
            armed = rollout.armed_for(rollout.node(name))
            assert armed == self.armed[name], (
                "armed at its switch is armed to the end, and so is what was not"
            )


@st.composite
def worlds(draw: st.DrawFn, *, migrates: bool = False) -> World:
    """`migrates`: a promotion with `once`, from which nobody may be able to go back, and with trouble all along."""
    names = [f"n{i}" for i in range(draw(st.integers(1, 5)))]
    mode: Mode = "promote" if migrates else draw(st.sampled_from(["promote", "repair", "rollback"]))
    again = draw(
        st.booleans()
    )  # a forced deploy of what runs already, or a repair of what is there after all
    before = (*OLD, NEW) if again else OLD
    once = mode == "promote" and (migrates or draw(st.booleans()))
    ran = once and draw(st.booleans())  # by the promotion that this one resumes
    rollout = Rollout(
        operation=7,
        tier="b",
        mode=mode,
        version=NEW,
        previous="1.0.0",
        nodes=tuple(NodePlan(n) for n in names),
        canary=draw(st.sampled_from(["sequential", "parallel", "first-then-rest"])),
        hold_s=draw(st.sampled_from([0.0, 5.0])),
        on_failure=draw(st.sampled_from(["rollback", "halt"])),
        once=once and not ran,
        once_ran=ran,
        confirm_within_s=draw(st.sampled_from([None, 60.0])),
        unsafe=tuple(sorted(draw(st.sets(st.sampled_from(["1.0.0", "1.0.1"]))))),
    )
    tape = Tape(draw(st.lists(st.integers(0, 99), min_size=60 if migrates else 0, max_size=150)))
    return World(rollout, tape, {n: draw(st.sampled_from(before)) for n in names})


many = settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _say(world: World, end: Result) -> None:
    event(f"{world.rollout.mode}: {end.status}{', recovered' if end.recovered else ''}")


@many
@given(worlds())
def test_every_rollout_ends_and_says_what_the_nodes_say(world: World) -> None:
    end = world.live()
    _say(world, end)
    for node in world.rollout.nodes:
        known = world.crashes or world.handled.get(node.name)
        if known and node.status not in {"unknown", "failed"}:
            assert node.now == world.links[node.name]
        if node.status == "ok":
            assert world.links[node.name] == NEW
            assert node.name not in world.begun or world.runs[node.name] == NEW, "ok, but the old one runs"
        if node.status == "reverted":
            assert world.links[node.name] == world.runs[node.name] == world.first[node.name]
    if end.status == "succeeded":
        assert all(link == NEW for link in world.links.values())
        assert all(n.status == "ok" for n in world.rollout.nodes)
        assert not end.rolled_back
        assert end.error is None
    else:
        assert end.error


@many
@given(worlds())
def test_what_was_not_switched_is_not_touched(world: World) -> None:
    world.live()
    for name in set(world.links) - world.begun:
        assert world.links[name] == world.first[name]
        assert not set(world.handled.get(name, ())) & {Step.SWITCH, Step.START, Step.HOLD, Step.REVERT}


@many
@given(worlds())
def test_a_failed_deploy_leaves_each_switched_node_on_its_own_former_release(world: World) -> None:
    end = world.live()
    if world.rollout.going_back or world.rollout.on_failure == "halt" or end.status == "succeeded":
        return
    for name in world.begun - world.revert_failed:
        if world.rollout.node(name).status != "unknown" and not world.stranded(name):
            assert world.links[name] == world.first[name], name
            assert world.runs[name] == world.first[name], name
    if any(n.status == "reverted" for n in world.rollout.nodes):
        assert end.rolled_back or any(world.stranded(n) for n in world.begun)


@many
@given(worlds())
def test_halt_takes_back_only_the_node_at_fault(world: World) -> None:
    world.live()
    if world.rollout.going_back or world.rollout.on_failure == "rollback":
        return
    for node in world.rollout.nodes:
        reverted = Step.REVERT in world.handled.get(node.name, ())
        assert node.at_fault or not reverted
        if node.status == "ok":
            assert world.links[node.name] == NEW
        if node.at_fault and node.name in world.begun - world.revert_failed and node.status != "unknown":
            assert world.links[node.name] == world.first[node.name]


@many
@given(worlds(migrates=True))
def test_after_once_a_node_whose_former_release_would_not_run_is_left_where_it_is(world: World) -> None:
    """`on_failure` acts as `halt` for it, no dead-man switch is armed on it, and the operation tells of it (SPEC 6)."""
    world.live()
    for node in world.rollout.nodes:
        if node.name in world.begun:
            armed = None if world.stranded(node.name) else world.rollout.confirm_within_s
            assert world.armed[node.name] == armed
        if not world.stranded(node.name):
            assert node not in world.rollout.kept()
        elif node.at_fault:
            event("stranded, and at fault")
        else:
            assert Step.REVERT not in world.handled.get(node.name, ())
            if node.name in world.begun and node.status == "ok" and not world.rollout.all_well:
                event("stranded, and left where it is")
                assert world.links[node.name] == NEW
                assert (node in world.rollout.kept()) == (world.rollout.on_failure == "rollback")


@many
@given(worlds())
def test_a_rollback_goes_to_its_target_on_every_node_that_lets_it(world: World) -> None:
    end = world.live()
    if not world.rollout.going_back:
        return
    assert {n.status for n in world.rollout.nodes} <= {"ok", "failed", "unknown"}
    assert world.trouble or all(n.status != "unknown" for n in world.rollout.nodes)
    assert not end.rolled_back
    good = all(n.status == "ok" for n in world.rollout.nodes)
    assert end.status == ("succeeded" if good else "failed")
    if not world.trouble:
        assert good
    assert end.recovered == bool(world.crashes)


@many
@given(worlds())
def test_an_abort_ends_aborted_unless_it_came_too_late(world: World) -> None:
    end = world.live()
    in_time = world.rollout.aborted and not world.rollout.aborted_late
    if in_time:
        assert end.status in {"aborted", "succeeded"}
    else:
        assert end.status != "aborted"
    if world.crashes and not world.rollout.going_back and not in_time:
        assert end.status in {"succeeded", "interrupted"}
    if end.status == "succeeded" and not world.rollout.going_back:
        assert end.recovered == bool(world.crashes)


@many
@given(worlds())
def test_a_promotion_that_was_complete_when_the_daemon_died_is_finished(world: World) -> None:
    end = world.live()
    if world.rollout.going_back or not world.crashes:
        return
    if world.whole_at_crash and not world.trouble:
        assert end == Result("succeeded", None, rolled_back=False, recovered=True)
    if not world.whole_at_crash:
        assert end.status != "succeeded"
