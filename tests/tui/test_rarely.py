"""What is seen rarely, in words: nodes that are wrong, logs and histories that cannot be had, questions with little to say."""

import pytest
from msgspec.structs import replace

from sando.client.shapes import Check, Gate, Node, Operations, PlannedNode
from tests.tui.samples import BACK, MM, PLAN, RUNNING, STATE, A, B, after, asked, on, opened, text_of
from tui.model.messages import Arrived, Feed, HistoryPage, LogMore, Planned
from tui.panels.picture import draw
from tui.panels.planned import LABEL
from tui.rows import Segment


def tier_with(**more):
    return on("a", width=120, height=40, state=replace(STATE, tiers=(MM, replace(A, **more), B)))


def history(page: HistoryPage):
    return after(on("a", width=120, height=40), "h", page)


def log(more: LogMore, *keys: str):
    return after(on("a", width=120, height=40), "l", more, *keys)


ENDED = replace(RUNNING, status="succeeded", recovered=True, details={"subject": "totals are rounded"})
GONE = replace(
    RUNNING, id=43, kind="build", status="superseded", superseded_by=44, version=None, sha="1a2b3c4d"
)


@pytest.mark.parametrize(
    ("screen", "words"),
    [
        (tier_with(nodes=(Node("a-1", "0.8.3", "0.8.1", status="ok"),)), ["drifted"]),
        (tier_with(nodes=(Node("a-1", "0.8.3", status="out"),)), ["a-1", " out "]),
        (tier_with(nodes=(Node("a-1", "0.8.3", reachable=False, detail="ssh: timed out"),)), ["○", "not reached", "ssh: timed out"]),
        (tier_with(gates=()), ["no gates"]),
        (tier_with(current_version=None), [" ·manual_confirm", "· manual_confirm pending nothing runs here"]),
        (tier_with(operation=77), ["operation 77 runs"]),
        (tier_with(detail="parked: it failed 5 times in 60s", status="degraded"), ["parked: it failed 5 times"]),
        (tier_with(marked_bad=("0.8.1", "0.8.0")), ["marked bad here: 0.8.1, 0.8.0"]),
        (tier_with(rollback_safe={"0.8.2": "no", "0.8.1": "unknown"}),
         ["0.8.2 does not run on the newer schema", "it was not tried whether 0.8.1 runs on the newer schema"]),
        (tier_with(gates=(Gate("burn_in", outcome="passed", required_s=3600),)), ["✓ 1h"]),
        (tier_with(gates=(Gate("burn_in", required_s=3600),)), [" 1h "]),
        (tier_with(gates=(Gate("boot_smoke", outcome="failed", version="0.8.4", message="died"),)), ["0.8.4: died"]),
        (history(HistoryPage(1, trouble="sandod is starting")), ["sandod is starting"]),
        (history(HistoryPage(1, Operations(()))), ["nothing was ever done on this tier"]),
        (history(HistoryPage(1, Operations((ENDED, GONE)))),
         ["totals are rounded; recovered", "superseded by 44", "1a2b3c4"]),
        (log(LogMore(1, trouble="there is no operation 9")), ["there is no operation 9"]),
        (log(LogMore(1, RUNNING, complete=True)), ["it has written nothing"]),
        (log(LogMore(1, RUNNING, "x" * 400 + "\nshort\n"), *["right"] * 3), ["from column 49", "…xx"]),
        (asked(on("a"), "R", replace(BACK, kind="pointer")), ["no node is touched"]),
        (asked(on("a"), "R", replace(BACK, whole=True)), ["this makes the tier whole"]),
        (asked(on("a"), "p", replace(PLAN, kind="repair")), ["only the nodes that lack it"]),
        (asked(on("a"), "p", replace(PLAN, on_failure="halt", confirm_within_s=60.0)),
         ["it stops, and the tier stays mixed; unconfirmed nodes", "after 60s"]),
        (asked(on("a"), "p", replace(PLAN, nodes=(PlannedNode("a-1", out=True), PlannedNode("a-2", does="nothing", reachable=False,
         observed="0.7.0")))), ["a-1: left out", "a-2: nothing (found on 0.7.0), could not be reached, stays"]),
        (after(opened(), Feed(up=False, detail="no WebSocket there")), ["no events"]),
        (after(on("a", state=replace(STATE, daemon=replace(STATE.daemon, draining=True)))), ["stopping"]),
    ],
)  # fmt: skip
def test_what_is_seen_rarely_is_said(screen, words):
    text = " ".join(text_of(screen).split())
    assert [w for w in words if " ".join(w.split()) not in text] == []


STOPS = replace(BACK, whole=True, marks_bad=None, to="0.8.3", operation=44)
TOO_LATE = "if promote 44 succeeds before it is stopped, this steps back from {} and marks that bad"


@pytest.mark.parametrize(
    ("plan", "options", "operations", "told"),
    [
        (STOPS, ["a"], (RUNNING,), TOO_LATE.format("0.8.4")),
        (STOPS, ["a"], (), TOO_LATE.format("the new version")),
        (STOPS, [], (RUNNING,), None),
        (replace(STOPS, whole=False), ["a"], (RUNNING,), None),
        (replace(STOPS, operation=None), ["a"], (RUNNING,), None),
    ],
    ids=["it stops a promotion", "whose version is not known", "it stops none", "it steps back anyhow", "none runs any more"],
)  # fmt: skip
def test_a_rollback_that_stops_a_promotion_says_what_it_does_where_that_ends_first(
    plan, options, operations, told
):
    busy = replace(STATE, tiers=(MM, replace(A, operation=44), B))
    stops = Check("busy", "blocked", "promote 44 runs", clears="`abort_running`, or its end")
    question = asked(
        on("a", state=busy, width=100, height=40), "R", replace(plan, ready=False, checks=(stops,))
    )
    chosen = ("abort_running",) if options else ()
    screen = after(question, Arrived(busy, operations), *options, Planned(question.serial, chosen, plan))
    text = " ".join(text_of(screen).replace("│", " ").split())
    assert (told in text) if told else ("if promote" not in text)
    assert ("this makes the tier whole; it does not step back yet" in text) is plan.whole


def test_an_operation_that_has_ended_before_its_abort_is_told_and_cannot_be_aborted():
    busy = on("a", state=replace(STATE, tiers=(MM, replace(A, operation=44), B)))
    question = after(busy, "x", Planned(1, operation=ENDED))
    assert "has ended: succeeded" in text_of(question)


def test_what_was_searched_for_is_lit_wherever_it_stands_in_a_line():
    screen = log(LogMore(1, RUNNING, "one Two one\nthree\n"), "/", *"ONE", "enter")
    lit = [s.text for row in draw(screen).rows for s in row if s.style == "found"]
    assert lit == ["one", "one"]


def test_a_label_has_a_place_of_its_own():
    row = next(r for r in draw(asked(on("a"), "p", PLAN)).rows if any("on failure" in s.text for s in r))
    assert Segment(f"{'on failure':{LABEL}}", "dim") in row


def test_a_lock_that_was_lifted_meanwhile_is_told_in_its_question():
    locked = on("b")
    question = after(locked, "L", Arrived(replace(STATE, tiers=(MM, A, replace(B, lock=None)))))
    assert "it is not locked any more" in text_of(question)
