"""The question before an abort, while what it is about goes on, ends, or cannot be asked for."""

import pytest
from msgspec.structs import replace

from sando.client.shapes import Operations, Problem
from tests.tui.samples import MM, RUNNING, STATE, A, B, after, asked, on, played, seen, text_of
from tui.model.effects import AskOperation, Send
from tui.model.messages import Answered, Arrived, HistoryPage, Planned
from tui.model.outcome import stopping

BUSY = replace(STATE, tiers=(MM, replace(A, operation=44, status="deploying"), B))
ENDED = replace(RUNNING, status="succeeded", step="")


@pytest.fixture
def question():
    return asked(on("a", state=BUSY), "x", operation=RUNNING)


def acts(screen) -> list:
    return [e for e in played(screen, "y")[1] if isinstance(e, Send)]


def test_what_is_aborted_is_shown_as_it_goes_on(question):
    further, wanted = played(question, Arrived(None, (replace(RUNNING, step="switch"),)))
    assert "by max: switch, for" in text_of(further)
    assert wanted == []
    assert acts(further) == []
    assert len(acts(seen(further))) == 1


def test_what_the_state_does_not_name_any_more_is_asked_for_once_and_not_aborted_meanwhile(question):
    gone, wanted = played(question, Arrived(STATE), Arrived(None))
    assert wanted == [AskOperation(1, 44)]
    assert acts(seen(gone)) == []
    assert "y abort it" not in text_of(gone)


def test_what_has_ended_while_it_was_asked_about_says_how_and_offers_no_abort(question):
    ended = seen(after(question, Arrived(STATE), Planned(1, operation=ENDED)))
    text = text_of(ended)
    assert "promote 44 of 0.8.4 by max has ended: succeeded" in text
    assert "nothing runs there any more" in text
    assert "abort it" not in text
    assert acts(ended) == []
    assert played(ended, Arrived(None))[1] == []


def test_what_runs_after_all_can_be_aborted_again(question):
    still = seen(after(question, Arrived(STATE), Planned(1, operation=RUNNING)))
    assert len(acts(still)) == 1
    named = seen(after(question, Arrived(STATE), Arrived(BUSY, (RUNNING,))))
    assert len(acts(named)) == 1


def test_what_cannot_be_had_is_asked_for_with_the_next_state(question):
    unknown, wanted = played(
        question, Arrived(STATE), Planned(1, problem=Problem(0, "unreachable")), Arrived(None)
    )
    assert wanted == [AskOperation(1, 44)] * 2
    assert acts(seen(unknown)) == []


def test_a_refused_abort_says_only_what_the_refusal_says_of_how_it_stands(question):
    ended = Problem(409, "not_running", "operation 44 has ended: succeeded")
    text = text_of(after(question, "y", Answered(1, problem=ended)))
    assert "operation 44 has ended: succeeded" in text
    assert "upload, for" not in text


STOPPING = replace(RUNNING, details={"abort": "eva", "abort_reason": "wrong one"})
TOLD = "told to stop by eva (wrong one): it ends at the next node, once what runs on this one has ended"


def words(screen) -> str:
    return " ".join(text_of(screen).replace("│", " ").split())


def test_what_was_told_to_stop_says_so_and_when_it_ends():
    screen = after(on("a", state=BUSY), Arrived(BUSY, (STOPPING,)))
    assert TOLD in words(screen)
    assert TOLD in words(asked(screen, "x", operation=STOPPING))


@pytest.mark.parametrize(("wide", "told"), [(80, "stopping"), (120, "running, told to stop")])
def test_the_history_says_that_it_was_told_to_stop(wide, told):
    page = HistoryPage(1, Operations((STOPPING,)))
    shown = words(after(on("a", width=wide, height=40), "h", page))
    assert told in shown
    assert TOLD in shown


def test_a_promotion_that_a_rollback_stops_names_it_and_what_has_ended_is_not_told_to_stop():
    by = replace(STOPPING, details={"abort": "eva", "abort_reason": "", "rollback": 45})
    assert stopping(by).startswith("told to stop by eva's rollback 45: ")
    assert stopping(replace(by, status="aborted")) == ""
    assert stopping(replace(STOPPING, kind="build")).endswith("it ends as soon as it can")
