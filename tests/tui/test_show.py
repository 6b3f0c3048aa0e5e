"""One turn after the other: keys are shown at once, news at most ten times a second, and nothing is painted for nothing."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from tests.tui.samples import NOON, PLAN, STATE, event
from tui.app import show as module
from tui.app.pace import CALM_S
from tui.app.show import FRAME_S, Show
from tui.model.effects import AskPlan, Refresh, Send
from tui.model.messages import Arrived, Feed, Heard, Key, Planned


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self):
        return self

    def astimezone(self):
        return NOON + timedelta(seconds=self.seconds - 1000.0)


class Window:
    """A terminal that does what the test says, while its clock goes by what is waited for."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.keys: list[list] = []
        self.painted: list[tuple[float, bool]] = []
        self.size: tuple[int, int] | None = None
        self.unfinished = False
        self.waited: list[float] = []
        self.waits_at_most: float | None = None

    def wait(self, seconds: float) -> None:
        """Keys that are there end it at once, or after `waits_at_most`."""
        self.waited.append(seconds)
        limit = self.waits_at_most if self.waits_at_most is not None else seconds
        self.clock.seconds += min(max(0.0, seconds), limit)

    def strokes(self) -> list:
        return self.keys.pop(0) if self.keys else []

    def resized(self):
        size, self.size = self.size, None
        return size

    def paint(self, picture, *, whole: bool) -> None:
        self.painted.append((self.clock.seconds, whole))


class Stage:
    def __init__(self, monkeypatch) -> None:
        self.clock = Clock()
        monkeypatch.setattr(module, "time", self.clock)
        monkeypatch.setattr(module, "datetime", self.clock)
        self.window, self.rung, self.wanted = Window(self.clock), [], []
        self.show = Show("http://x", self.window, lambda: self.rung.append(1), unicode=True)
        self.show.begin((80, 24), self.wanted.append)

    def turns(self, count: int) -> None:
        for _ in range(count):
            self.show.paint()
            self.show.turn()
        self.show.paint()


@pytest.fixture
def stage(monkeypatch):
    made = Stage(monkeypatch)
    made.show.post(Arrived(STATE))
    made.show.post(Feed(up=True))
    made.turns(2)
    made.window.painted.clear()
    return made


def test_the_first_picture_is_painted_whole_and_at_once(monkeypatch):
    stage = Stage(monkeypatch)
    stage.show.paint()
    assert stage.window.painted == [(1000.0, True)]


def test_what_is_posted_rings_and_is_heard_in_the_next_turn(stage):
    rung = len(stage.rung)
    stage.show.post(Heard((event(50),)))
    assert len(stage.rung) == rung + 1
    stage.show.turn()
    assert stage.show.screen.stream.seq == 50


def test_a_key_is_shown_at_once(stage):
    stage.show.post(Heard((event(50),)))
    stage.turns(1)
    stage.window.painted.clear()
    stage.window.keys = [[Key("j")]]
    stage.turns(1)
    assert stage.show.screen.selected == "a"
    assert len(stage.window.painted) == 1


@pytest.mark.campaign
def test_much_news_is_painted_a_few_times_a_second_only(stage):
    begun = stage.clock.seconds
    for n in range(50, 550):
        stage.show.post(Heard((event(n),)))
        stage.clock.seconds += 0.002
        stage.show.turn()
        stage.show.paint()
    took = stage.clock.seconds - begun
    assert len(stage.window.painted) <= took / FRAME_S + 2
    assert stage.show.screen.stream.seq == 549


def test_without_news_it_is_painted_once_a_second_for_the_clock(stage):
    begun = stage.clock.seconds
    stage.turns(20)
    assert len(stage.window.painted) == pytest.approx(stage.clock.seconds - begun, abs=1)
    assert min(stage.window.waited[-10:]) > 0.5


def test_a_sequence_that_has_begun_is_waited_for_a_moment_only(stage):
    stage.window.unfinished = True
    stage.show.turn()
    assert stage.window.waited[-1] == module.ESCAPE_S


def test_what_is_wanted_is_done_and_what_is_the_terminals_own_is_not_asked_for(stage):
    stage.window.keys = [[Key("r"), Key("j"), Key("p")]]
    stage.turns(1)
    assert stage.wanted[-2:] == [Refresh(), AskPlan(1, "promote", "a")]
    stage.window.painted.clear()
    stage.window.keys = [[Key("ctrl-l")]]
    stage.turns(1)
    assert stage.window.painted[0][1] is True
    stage.window.keys = [[Key("ctrl-c")]]
    stage.turns(1)
    assert stage.show.leaving
    assert stage.wanted[-1] == AskPlan(1, "promote", "a")


# -- what answers a question ----------------------------------------------------------------------------------


@pytest.fixture
def question(stage):
    """A lock of tier a, with its reason, that is on the screen and waits for a `y`."""
    for keys in ("j", "L", "audit", ["enter"]):
        stage.window.keys = [[Key(key)] for key in keys]
        stage.turns(len(keys))
        stage.clock.seconds += 1
    stage.turns(1)
    assert stage.show.screen.overlay.seen
    stage.wanted.clear()
    return stage


def sent(stage) -> list:
    return [wanted for wanted in stage.wanted if isinstance(wanted, Send)]


def note(stage) -> str:
    return stage.show.screen.note.text if stage.show.screen.note else ""


def test_one_lone_y_answers_a_question(question):
    question.window.keys = [[Key("y")]]
    question.turns(3)
    assert [one.path for one in sent(question)] == ["/lock/a"]


@pytest.mark.campaign
@pytest.mark.parametrize("text", ["yes", "say", "yy", "ny", "y\t", "sorry, not today"])
def test_what_comes_in_one_read_answers_nothing(question, text):
    question.window.keys = [[Key(char) for char in text if char not in "n\t"] + [Key("tab")]]
    question.turns(40)
    assert not sent(question)
    assert "strike it alone" in note(question)


@pytest.mark.campaign
@pytest.mark.parametrize("gap", [0.0, 0.001, 0.01, 0.02])
@pytest.mark.parametrize("text", ["yes", "say", "yy", "sorry, not today"])
def test_what_comes_key_by_key_faster_than_a_hand_answers_nothing(question, text, gap):
    for char in text:
        question.window.keys = [[Key(char)] if char != "n" else [Key("tab")]]
        question.window.waits_at_most = gap
        question.turns(1)
    question.window.waits_at_most = None
    question.turns(40)
    assert not sent(question)
    assert "strike it alone" in note(question)


def test_a_y_after_a_moment_answers_although_a_rush_came_before(question):
    question.window.keys = [[Key("y"), Key("y")]]
    question.turns(1)
    question.clock.seconds += CALM_S
    question.window.keys = [[Key("y")]]
    question.turns(3)
    assert len(sent(question)) == 1


def test_a_y_counts_for_the_question_that_it_was_struck_at(stage):
    """While it is known to be alone, the plan may come anew and be painted: that one nobody has read."""
    stage.window.keys = [[Key("j")], [Key("p")]]
    stage.turns(2)
    stage.clock.seconds += 1
    stage.show.post(Planned(1, plan=PLAN))
    stage.turns(2)
    assert stage.show.screen.overlay.seen
    stage.window.keys = [[Key("y")]]
    stage.show.turn()
    stage.show.post(Planned(1, plan=replace(PLAN, migrations=("0043_worse.sql",))))
    stage.window.waits_at_most = 0.001
    stage.turns(2)
    assert stage.show.screen.overlay.plan.migrations == ("0043_worse.sql",)
    stage.turns(100)
    assert not sent(stage)
    assert "stood as it does now" in note(stage)


def test_a_y_that_is_typed_is_text_however_fast_it_comes(question):
    question.window.keys = [
        [Key("i")],
        [Key("ctrl-u")],
        [Key("y")],
        [Key("y"), Key("e")],
        [Key("y")],
        [],
        [Key("s")],
    ]
    question.turns(12)
    assert question.show.screen.typing.text == "yyeys"
    assert not sent(question)


def test_a_new_size_is_painted_whole(stage):
    stage.window.size = (100, 30)
    stage.turns(1)
    assert (stage.show.screen.size.width, stage.window.painted[-1][1]) == (100, True)


def test_news_cannot_keep_keys_waiting(stage):
    for n in range(5000):
        stage.show.post(Heard((event(50 + n),)))
    stage.window.keys = [[Key("j")]]
    stage.show.turn()
    assert stage.show.screen.selected == "a"
    assert stage.show.screen.stream.seq < 5000
