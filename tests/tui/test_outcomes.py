"""The message line after an act: what was begun is followed to its end, and told as it ended."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from sando.client.shapes import Problem
from tests.tui.samples import (
    BACK,
    DONE,
    FAILED,
    MM,
    NOON,
    PLAN,
    RUNNING,
    STATE,
    A,
    after,
    asked,
    on,
    played,
    text_of,
)
from tui.model.effects import AskOutcome, Refresh
from tui.model.messages import Answered, Arrived, Asked, Outcome, Tick
from tui.model.outcome import line, style
from tui.panels.picture import draw

BUSY = replace(STATE, tiers=(MM, replace(A, operation=44, status="deploying")))
LATER = Tick(NOON + timedelta(minutes=5))
WAITS = replace(
    RUNNING, id=45, kind="rollback", status="queued", version="0.8.3", step="waiting", details={"after": 44}
)
ENDS = {
    "succeeded": ({}, "succeeded", "ok"),
    "failed": ({"error": "a-1: the probe stayed red\nlast lines"}, "failed: a-1: the probe stayed red", "bad"),
    "failed and went back": ({"status": "failed", "error": "a-1: no", "rolled_back": True}, "failed, rolled back: a-1: no", "bad"),
    "errored": ({"error": "a-1: ssh: timed out"}, "errored: a-1: ssh: timed out", "bad"),
    "aborted": ({"error": "aborted by max", "rolled_back": True}, "aborted, rolled back: aborted by max", "warn"),
    "interrupted": ({}, "interrupted", "warn"),
    "superseded": ({}, "superseded", "dim"),
}  # fmt: skip


def started(screen=None, operation=RUNNING, text="promote 44 of 0.8.4: started"):
    """It was agreed to, and sandod has answered."""
    return after(screen or after(asked(on("a"), "p", PLAN), "y"), Answered(1, text, operation))


def ended(status: str, **more):
    return replace(RUNNING, **({"status": status} | more))


def said(screen) -> str:
    return screen.note.text if screen.note else ""


def test_what_was_begun_stands_there_while_it_runs_and_is_looked_at_with_each_state():
    screen, wanted = played(
        started(), Arrived(BUSY, (RUNNING,)), Arrived(None, (replace(RUNNING, step="switch"),)), LATER
    )
    assert (said(screen), wanted) == ("promote 44 of 0.8.4: started", [])
    assert screen.note.style == "busy"


def test_the_end_is_asked_for_once_when_it_runs_no_more():
    screen, wanted = played(started(), Arrived(BUSY, (RUNNING,)), Arrived(STATE), Arrived(None))
    assert wanted == [AskOutcome(44)]
    assert played(screen, Outcome(44, ended("running")), Arrived(None))[1] == [AskOutcome(44)], (
        "it was too early"
    )
    assert played(screen, Outcome(44, ended("succeeded")), Arrived(None))[1] == []


@pytest.mark.parametrize(("case", "more", "words", "ink"), [(k, *v) for k, v in ENDS.items()], ids=ENDS)
def test_how_it_ended_is_told_in_its_colour_in_place_of_that_it_was_begun(case, more, words, ink):
    end = ended(**({"status": case} | more))
    screen = after(started(), LATER, Arrived(STATE), Outcome(44, end))
    assert (said(screen), screen.note.style) == (f"promote 44 of 0.8.4: {words}", ink)
    assert after(started(), Arrived(STATE, (end,))).note == replace(screen.note, at=NOON), (
        "where it came with the state"
    )


def test_a_good_end_goes_by_itself_and_a_bad_one_with_the_next_key():
    for status, stays in (("succeeded", False), ("failed", True)):
        screen = after(started(), LATER, Arrived(STATE), Outcome(44, ended(status)))
        later = after(screen, Tick(LATER.now + timedelta(seconds=9)))
        assert bool(later.note) is stays
        assert after(later, "j").note is None


def test_an_end_takes_one_row_and_is_cut_to_its_width():
    failed = ended("failed", version="0.8.2+g1a2b3c4", error="a-1: " + "the probe stayed red, " * 9)
    rows = draw(after(started(), Arrived(STATE), Outcome(44, failed))).rows
    told = [
        "".join(s.text for s in row)
        for row in rows
        if any(s.style == "bad" and "promote 44" in s.text for s in row)
    ]
    assert len(told) == 1
    assert told[0].startswith(" promote 44 of 0.8.2+g1a2b3c4: failed: a-1: the probe stayed red, the probe")
    assert told[0].rstrip().endswith("…")
    assert "the probe" not in "".join(s.text for s in rows[-1])


def test_a_version_however_long_leaves_room_for_how_it_ended():
    assert line(ended("failed", version="0.8.2+" + "x" * 58)).endswith("x…: failed")


def test_an_end_is_told_by_keys_and_commands():
    error = "nothing was built; POST /rebuild tries it once more\nlast lines"
    assert (
        line(ended("failed", error=error))
        == "promote 44 of 0.8.4: failed: nothing was built; sando rebuild tries it once more"
    )


def test_an_end_waits_until_a_newer_message_has_been_read():
    screen = after(started(), "c", "escape", "x", Arrived(STATE), Outcome(44, ended("failed")), Arrived(None))
    assert said(screen) == "nothing runs on tier a"
    screen, wanted = played(screen, Tick(NOON + timedelta(seconds=2)), "j", Arrived(None), Arrived(None))
    assert (said(screen), wanted) == ("promote 44 of 0.8.4: failed", [])


def test_an_end_is_told_also_where_that_it_was_begun_was_read_and_is_gone():
    read = after(started(), Tick(NOON + timedelta(seconds=2)), "j")
    assert read.note is None
    assert said(after(read, Arrived(STATE), Outcome(44, ended("failed")))) == "promote 44 of 0.8.4: failed"
    asked_for = after(read, "r", Asked(), Arrived(STATE))
    assert said(asked_for).startswith("sandod answered")
    assert said(after(asked_for, Outcome(44, ended("failed")))) == "promote 44 of 0.8.4: failed"


def test_that_what_waited_runs_is_no_news_to_who_has_read_that_it_will():
    read = after(started(operation=WAITS), Tick(NOON + timedelta(seconds=2)), "j")
    assert after(read, Arrived(BUSY, (replace(WAITS, status="running"),))).note is None


def test_of_two_acts_the_later_one_is_followed():
    backup = replace(RUNNING, id=46, kind="backup", version=None, sha=None)
    screen = started(after(started(), "R"), backup, "backup 46: started")
    assert after(screen, Arrived(STATE, (ended("failed"),))).note == screen.note
    assert said(after(screen, Outcome(44, ended("failed")))) == "backup 46: started"
    assert said(after(screen, Outcome(46, replace(backup, status="succeeded")))) == "backup 46: succeeded"


def test_a_rollback_that_waits_says_for_what_then_that_it_is_begun_and_then_how_it_ended():
    screen = after(asked(on("a", state=BUSY), "R", BACK), "y")
    screen = started(screen, WAITS, line(WAITS))
    assert said(screen) == "rollback 45 of 0.8.3: waits for promote 44 to stop"
    screen, wanted = played(screen, Arrived(None, (RUNNING,)))
    assert wanted == [AskOutcome(45)]
    screen = after(screen, Outcome(45, WAITS))
    assert said(screen) == "rollback 45 of 0.8.3: waits for promote 44 to stop"
    screen = after(screen, Arrived(None, (replace(WAITS, status="running"),)))
    assert said(screen) == "rollback 45 of 0.8.3: started"
    screen = after(screen, Arrived(STATE), Outcome(45, replace(WAITS, status="succeeded")))
    assert said(screen) == "rollback 45 of 0.8.3: succeeded"


def test_what_was_told_to_stop_says_so_until_it_has_ended():
    screen = started(text="promote 44 of 0.8.4: told to stop")
    assert said(after(screen, Arrived(BUSY, (RUNNING,)))) == "promote 44 of 0.8.4: told to stop"
    assert (
        said(after(screen, Arrived(STATE), Outcome(44, ended("aborted")))) == "promote 44 of 0.8.4: aborted"
    )


def test_what_had_ended_with_the_answer_is_told_at_once_and_not_asked_for():
    screen, wanted = played(
        after(asked(on("mm"), "R", BACK), "y"), Answered(1, line(DONE), DONE), Arrived(None)
    )
    assert (said(screen), screen.note.style, wanted) == ("promote 43 of 0.8.3: succeeded", "ok", [Refresh()])


@pytest.mark.parametrize(("status", "again"), [(0, True), (503, True), (404, False)])
def test_an_end_that_cannot_be_had_is_asked_for_again_unless_nobody_knows_it(status, again):
    screen, wanted = played(
        started(), Arrived(STATE), Outcome(44, problem=Problem(status, "x")), Arrived(None)
    )
    assert wanted == [AskOutcome(44)] * (2 if again else 1)
    assert bool(screen.note) is again


def test_how_it_ended_is_seen_over_a_log_too():
    screen = after(started(), "l", Arrived(STATE), Outcome(44, ended("succeeded")))
    assert "promote 44 of 0.8.4: succeeded" in text_of(screen)


def test_every_status_has_a_colour():
    assert style(FAILED) == "bad"
    assert style(ended("something new")) == "warn"
