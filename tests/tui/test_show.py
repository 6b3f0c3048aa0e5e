"""One turn after the other: keys are shown at once, news at most ten times a second, and nothing is painted for nothing."""

from datetime import timedelta

import pytest

from tests.tui.samples import NOON, STATE, event
from tui.app import show as module
from tui.app.show import FRAME_S, Show
from tui.model.effects import AskPlan, Refresh
from tui.model.messages import Arrived, Feed, Heard, Key


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

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.clock.seconds += max(0.0, seconds)

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
