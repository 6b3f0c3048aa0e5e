"""The question before a confirmation: what it says of the tier after, and of a version that is not current any more."""

import pytest
from msgspec.structs import replace

from sando.client.shapes import Check
from tests.tui.samples import BLOCKED, MM, STATE, A, B, after, asked, on, played, seen, text_of
from tui.model.effects import Send
from tui.model.messages import Arrived

CURRENT = Check("current", "blocked", "0.8.3 is current on every node of tier b", clears="`force`")
AWAY = Check("node:b-2", "warning", "b-2 could not be reached")
LOCK = Check("lock", "blocked", "tier b is locked by max: audit", clears="DELETE /lock/b")
NEWER = Arrived(replace(STATE, tiers=(MM, replace(A, current_version="0.8.9"), B)))


def confirming(*checks: Check):
    return asked(on("a", width=120, height=40), "c", replace(BLOCKED, checks=(*BLOCKED.checks, *checks)))


def acts(screen) -> list:
    return [e for e in played(screen, "y")[1] if isinstance(e, Send)]


def test_that_the_tier_after_has_the_version_is_said_without_a_key_that_does_nothing():
    question = confirming(CURRENT)
    text = text_of(question)
    assert "tier b has it already" in text
    assert [
        word for word in ("blocked", "current:", "to clear it", "f (force)", "may then go on") if word in text
    ] == []
    assert len(acts(question)) == 1


def test_what_the_tier_after_would_say_is_a_warning_in_its_name():
    question = confirming(LOCK, AWAY)
    text = text_of(question)
    assert "warning      lock: tier b is locked by max: audit" in text
    assert "warning      tier b: b-2 could not be reached" in text
    assert [word for word in ("blocked", "to clear it") if word in text] == []
    assert len(acts(question)) == 1


def test_a_version_that_is_not_current_any_more_cannot_be_confirmed():
    screen = seen(after(confirming(), NEWER))
    text = text_of(screen)
    assert "0.8.9 is current there now: sandod will refuse" in text
    assert "0.8.3 is not current there any more" in text
    assert "y confirm" not in text
    assert acts(screen) == []
    assert len(acts(seen(after(screen, Arrived(STATE))))) == 1


APPROVED = {
    "0 of 2 approvals": "0 of 2 approvals so far: yours is one, and 1 other must follow",
    "1 of 4 approvals": "1 of 4 approvals so far: yours is one, and 2 others must follow",
    "1 of 2 approvals": "1 of 2 approvals so far: the yes of another person is the last one; it may then go on to tier b",
    "1 of 1 approvals": "it may then go on to tier b",
    "": "it may then go on to tier b",
}


@pytest.mark.parametrize(("message", "told"), APPROVED.items())
def test_a_yes_promises_no_more_than_it_gives(message, told):
    gates = (*A.gates[:-1], replace(A.gates[-1], message=message))
    state = replace(STATE, tiers=(MM, replace(A, gates=gates), B))
    text = text_of(asked(on("a", width=120, height=40, state=state), "c", BLOCKED))
    assert told in text
    assert ("may then go on" in text) is ("may then go on" in told)
