"""What sandod says stands in the way, in the words of the one who reads it: keys on the screen, commands in a shell."""

import pytest
from msgspec.structs import replace

from sando.client.shapes import Check, Problem
from tests.tui.samples import BLOCKED, after, asked, on, text_of
from tui.model.commands import in_commands, in_keys
from tui.model.messages import Answered, Planned

KEYS = [
    ("POST /confirm/a", "c (confirm) on tier a"),
    ("a promotion of 1.5.0, which resumes it, or POST /rollback/b-2", "a promotion of 1.5.0, which resumes it, or R (roll back) on tier b-2"),
    ("DELETE /lock/b lifts it", "L (unlock) on tier b lifts it"),
    ("its end, or POST /operations/44/abort", "its end, or x (abort)"),
    ("POST /backup/fetch", "b (fetch the backup)"),
    ("2026-11-23T15:00:00.000Z or hotfix", "2026-11-23T15:00:00.000Z or h (hotfix)"),
    ("`force`, or another version", "f (force), or another version"),
    ("`abort_running`: true stops it at its next node", "a (abort running) stops it at its next node"),
    ("16:00 or override_freeze with a reason", "16:00 or o (override freeze) with a reason"),
    ("wait, or pass `override_freeze` with a `reason`", "wait, or pass o (override freeze) with a reason (i)"),
]  # fmt: skip
NO_KEYS = [
    "POST /gates/a/boot_smoke/run", "POST /rebuild with its sha", "DELETE /lock/all lifts it", "POST /reload",
    "wait for /operations/7", "GET /releases lists them", "POST /reject/a", "the release /srv/state is missing",
]  # fmt: skip


@pytest.mark.parametrize(("said", "shown"), KEYS)
def test_what_has_a_key_is_told_by_its_key(said, shown):
    assert in_keys(said) == shown


@pytest.mark.parametrize("said", NO_KEYS)
def test_what_has_no_key_is_told_as_a_command(said):
    assert in_keys(said) == in_commands(said)


def test_a_question_says_by_which_keys_its_blockers_are_cleared():
    text = text_of(asked(on("b", width=120, height=40), "p", BLOCKED))
    assert "burn_in: 21h of 24h; to clear it: 15:00:00 or h (hotfix)" in text
    assert "manual_confirm: pending on tier a; to clear it: c (confirm) on tier a" in text
    assert "POST" not in text


def test_a_refusal_and_a_note_say_it_by_keys_too():
    refusal = Problem(423, "locked", "tier b is locked by eva", "DELETE /lock/b lifts it",
                      blocking=(Check("lock", "blocked", "by eva", clears="DELETE /lock/b"),))  # fmt: skip
    screen = after(on("b"), "p")
    shown = text_of(after(screen, Planned(screen.serial, problem=refusal)))
    assert "L (unlock) on tier b lifts it" in shown
    assert "to clear it: L (unlock) on tier b" in shown
    noted = after(on("b"), Answered(99, problem=refusal))
    assert "tier b is locked by eva — L (unlock) on tier b lifts it" in text_of(noted)


def test_force_is_offered_only_where_it_clears_something():
    """A release that is damaged is built again with force: a promotion with force would be refused like one without."""
    damaged = Check(
        "release", "blocked", "it is not what was built", clears="POST /rebuild with its sha, and `force`"
    )
    plan = replace(
        BLOCKED,
        code="release_corrupt",
        hint="build it again: POST /rebuild with its sha, and `force`",
        checks=(damaged,),
    )
    shown = text_of(asked(on("b"), "p", plan))
    assert "f force" not in shown
    assert "to clear it: sando rebuild" in shown
    assert "SHA --force" in shown
    marked = replace(damaged, check="marks", clears="`force`")
    assert "f force" in text_of(asked(on("b"), "p", replace(plan, checks=(marked,))))
