"""What must never happen: an act that nobody has agreed to, a key that breaks the screen, a row that breaks the terminal.

Keys, answers and resizes come in any order, as a careless hand, a pasted text or a hostile daemon would send them.
"""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sando.client.shapes import Event, Lock, Operations, Problem, Tier
from tests.tui.samples import (
    BACK,
    BLOCKED,
    BUILDING,
    DONE,
    FAILED,
    NOON,
    PLAN,
    RUNNING,
    STATE,
    A,
    B,
    event,
    opened,
)
from tui.model.effects import AskHistory, AskOperation, AskPlan, Effect, FollowLog, Send
from tui.model.keys import TABLE
from tui.model.messages import (
    Answered,
    Arrived,
    Broken,
    Feed,
    Heard,
    HistoryPage,
    Key,
    LogMore,
    Lost,
    Outcome,
    Painted,
    Pasted,
    Planned,
    Resized,
    Tick,
)  # fmt: skip
from tui.model.reduce import reduce
from tui.model.screen import Question, Screen, Trouble
from tui.panels.picture import draw
from tui.rows import width

NAMES = sorted({key for table in TABLE.values() for b in table for key in b.keys})
HOSTILE = st.text(
    alphabet=st.one_of(st.characters(), st.sampled_from("\x1b[31m\x00\n\t日🚀\u202e\u0301")), max_size=30
)
KEYS = st.one_of(st.sampled_from(NAMES), st.sampled_from("yYRpcxLb i"), st.characters()).map(Key)
BUSY = replace(STATE, tiers=(STATE.tiers[0], replace(A, operation=44, status="deploying"), B))


def hostile_tier(text: str) -> Tier:
    node = replace(A.nodes[0], name=text, version=text, observed=text, detail=text, reachable=False)
    gates = tuple(replace(g, name=text, message=text) for g in A.gates)
    lock = Lock(text, text, NOON)
    return replace(A, name=text or "a", current_version=text, previous_version=text, status=text, detail=text, lock=lock,
                   gates=gates, nodes=(node,) * 3, marked_bad=(text,), rollback_safe={text: text})  # fmt: skip


def hostile(text: str):
    """Everything that a daemon can say, with this text in every place."""
    operation = replace(
        RUNNING, version=text, actor=text, reason=text, error=text, details={"subject": text}, step=text
    )
    plan = replace(PLAN, from_=text, to=text, detail=text, source=text, migrations=(text,), commits=tuple(
        replace(c, author=text, subject=text) for c in PLAN.commits or ()), checks=tuple(
        replace(c, check=text, detail=text, clears=text) for c in PLAN.checks), rollback_safe={text: text},
        nodes=tuple(replace(n, name=text, detail=text) for n in PLAN.nodes))  # fmt: skip
    problem = Problem(409, text, text, text, blocking=plan.checks)
    events = tuple(Event(kind, n, NOON, 1, text, text, text, text, text, {"reason": text, "error": text, text: text})
                   for n, kind in enumerate(["Locked", "DeployFailed", text or "x", "GateDone"], 50))  # fmt: skip
    return [
        Arrived(replace(STATE, tiers=(STATE.tiers[0], hostile_tier(text))), (operation,)), Heard(events), Broken(text),
        Lost(Trouble(text, text), 3.0), Lost(Trouble(text, text, refused=True), 3.0), Feed(up=False, detail=text),
        lambda n: Planned(n, (), plan), lambda n: Planned(n, problem=problem), lambda n: Planned(n, operation=operation),
        lambda n: Answered(n, text), lambda n: Answered(n, problem=problem), lambda n: HistoryPage(n, trouble=text),
        lambda n: Answered(n, text, operation), Outcome(44, operation), Outcome(44, problem=problem),
        lambda n: LogMore(n, operation, text * 3, trouble=text), lambda n: HistoryPage(n, Operations((operation,), 1)),
    ]  # fmt: skip


NEWS = st.sampled_from([
    Arrived(STATE), Arrived(BUSY, (RUNNING,)), Arrived(BUILDING), Arrived(None), Feed(up=True), Feed(up=False, detail="cut"),
    Lost(Trouble("nothing listens there"), 2.0), Heard((event(41), event(42, "PromoteComplete"))),
    Heard((Event("Reset", state=STATE),)), Tick(NOON + timedelta(seconds=5)),
    lambda n: Planned(n, (), PLAN), lambda n: Planned(n, (), BLOCKED), lambda n: Planned(n, (), BACK),
    lambda n: Planned(n, ("force",), PLAN), lambda n: Planned(n, operation=RUNNING),
    lambda n: Planned(n, problem=Problem(404, "unknown_tier", "no tier is called x")), lambda n: Answered(n, "done"),
    lambda n: Answered(n, "promote 44 of 0.8.4: started", RUNNING), Outcome(44, RUNNING), Outcome(42, FAILED),
    lambda n: Answered(n, problem=Problem(409, "tier_busy", "busy", "wait")), lambda n: LogMore(n, RUNNING, "a\nb\nc" * 30),
    lambda n: HistoryPage(n, Operations((RUNNING, DONE, FAILED), 40)),
])  # fmt: skip
SIZES = st.sampled_from([(80, 24), (120, 40), (200, 60), (79, 24), (40, 10), (1, 1), (80, 25), (300, 24)])
INPUT = st.one_of(
    KEYS, KEYS, KEYS, NEWS, HOSTILE.map(Pasted), SIZES.map(lambda s: Resized(*s)), st.just("paint"),
    HOSTILE.flatmap(lambda text: st.sampled_from(hostile(text))),
)  # fmt: skip


AGREEABLE = {"p": PLAN, "R": BACK, "c": BLOCKED, "b": None}


def courting(key: str, disturbed: list, tier: int) -> list:
    """All that makes a question agreeable, with a disturbance before the last word."""
    plan = AGREEABLE[key]
    calm = [
        Resized(80, 24),
        Arrived(STATE),
        Key("enter"),
        Key("escape"),
        Key("escape"),
        *[Key("k")] * 4,
        *[Key("j")] * tier,
    ]
    answer = [] if plan is None else [lambda n: Planned(n, (), plan)]
    return [*calm, Key(key), *answer, "paint", *disturbed, Key("y")]


COURTING = st.builds(
    courting, st.sampled_from(sorted(AGREEABLE)), st.lists(INPUT, max_size=2), st.integers(1, 2)
)


def series(most: int):
    """Anything, and in the midst of it now and then somebody who means it."""
    parts = st.one_of(INPUT.map(lambda told: [told]), INPUT.map(lambda told: [told]), COURTING)
    return st.lists(parts, max_size=most).map(lambda lists: [told for part in lists for told in part])


def step(screen: Screen, told) -> tuple[Screen, tuple[Effect, ...]]:
    """Answers carry the number of the last question, as the true ones do; `paint` shows the screen as it stands."""
    if told == "paint":
        return reduce(screen, Painted(draw(screen).extents))
    return reduce(screen, told(screen.serial) if callable(told) else told)


def test_who_means_it_is_heard():
    """Otherwise all that follows would say nothing."""
    for key in AGREEABLE:
        screen, wanted = opened(), []
        for told in courting(key, [], 1):
            screen, effects = step(screen, told)
            wanted += [e for e in effects if isinstance(e, Send)]
        assert len(wanted) == 1, key


@pytest.mark.campaign
@given(series(30))
@settings(max_examples=300, deadline=None)
def test_no_input_but_a_y_makes_an_act_and_only_of_what_was_seen(inputs):
    screen, on_the_terminal = opened(), None
    for told in inputs:
        before = screen
        screen, effects = step(screen, told)
        acts = [e for e in effects if isinstance(e, Send)]
        if acts:
            assert told == Key("y")
            assert len(acts) == 1
            assert not before.typing
            assert not before.size.small
            assert what_it_says(before) == on_the_terminal
        if told == "paint":
            on_the_terminal = what_it_says(screen)
        elif isinstance(told, Resized):
            on_the_terminal = None  # a key may be older than the next painting


def what_it_says(screen: Screen) -> object:
    """Of a question all that is sent and all that speaks for or against it."""
    question = screen.overlay
    if not isinstance(question, Question) or screen.typing or screen.size.small:
        return None
    return replace(question, seen=True, top=0, again=False, about=())


@given(series(30))
@settings(max_examples=200, deadline=None)
def test_without_a_y_nothing_is_ever_done(inputs):
    screen = opened()
    for told in inputs:
        if told == Key("y"):
            continue
        screen, effects = step(screen, told)
        assert not [e for e in effects if isinstance(e, Send)]


@given(series(30).map(lambda inputs: [told for told in inputs if told != "paint"]))
@settings(max_examples=100, deadline=None)
def test_what_was_never_painted_cannot_be_agreed_to(inputs):
    """As keys that waited in the terminal, or a paste of a terminal that does not mark it."""
    screen = opened()
    for told in inputs:
        screen, effects = step(screen, told)
        assert not [e for e in effects if isinstance(e, Send)]


@pytest.mark.campaign
@given(series(20), st.booleans())
@settings(max_examples=150, deadline=None)
def test_every_row_is_as_wide_as_the_terminal_and_does_nothing_to_it(inputs, unicode):
    screen = opened()
    for told in inputs:
        screen, _ = step(screen, told)
    picture = draw(screen, unicode=unicode)
    assert len(picture.rows) == screen.size.height
    assert {width(row) for row in picture.rows} == {screen.size.width}
    text = "".join(s.text for row in picture.rows for s in row)
    assert text.isprintable()
    assert unicode or text.isascii()


@given(st.lists(INPUT, max_size=40))
@settings(max_examples=100, deadline=None)
def test_all_that_is_asked_for_is_numbered_upwards_so_that_late_answers_are_known(inputs):
    screen, last = opened(), 0
    for told in inputs:
        screen, effects = step(screen, told)
        for effect in effects:
            if isinstance(effect, AskPlan | AskOperation | FollowLog | AskHistory | Send):
                assert effect.number <= screen.serial
                if not isinstance(effect, AskPlan | AskOperation | AskHistory | Send):
                    assert effect.number > last
                    last = effect.number
