"""What each key and each answer makes of the screen: moving, asking, reading, typing, and being told."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from sando.client.shapes import Check, Event, Freeze, Operations, Problem, State
from tests.tui.samples import (
    BACK,
    BLOCKED,
    BUILDING,
    DONE,
    FAILED,
    MM,
    NOON,
    PLAN,
    RUNNING,
    STATE,
    URL,
    A,
    B,
    C,
    after,
    asked,
    event,
    on,
    opened,
    played,
    seen,
    text_of,
)  # fmt: skip
from tui.model.effects import (
    AskHistory,
    AskOperation,
    AskPlan,
    FollowLog,
    Leave,
    Refresh,
    Repaint,
    Send,
    StopLog,
)  # fmt: skip
from tui.model.keys import TABLE
from tui.model.messages import (
    Answered,
    Arrived,
    Asked,
    Broken,
    Feed,
    Heard,
    HistoryPage,
    Key,
    LogMore,
    Lost,
    Pasted,
    Planned,
    Resized,
    Tick,
)  # fmt: skip
from tui.model.screen import Help, History, LogView, Question, Screen, Trouble


def typed(text: str) -> list[str]:
    return list(text)


# -- moving ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "tier"),
    [
        ([], "mm"), (["j"], "a"), (["down", "down"], "b"), (["j", "k"], "mm"), (["up"], "mm"), (["j"] * 9, "c"),
        (["end"], "c"), (["G", "g"], "mm"), (["G", "home"], "mm"),
    ],
)  # fmt: skip
def test_arrows_and_letters_select_a_tier_and_stop_at_the_ends(keys, tier):
    assert after(opened(), *keys).selected == tier


def test_the_selection_stays_with_its_tier_when_tiers_come_and_go():
    screen = on("b")
    more = replace(STATE, tiers=(MM, replace(A, name="a0"), A, B))
    assert after(screen, Arrived(more)).selected == "b"
    assert after(screen, Arrived(replace(STATE, tiers=(MM, A)))).selected == "mm"
    assert after(screen, Arrived(replace(STATE, tiers=()))).tier is None


def test_tab_gives_the_keys_to_the_next_panel_and_round():
    assert [after(opened(), *["tab"] * n).focus for n in range(4)] == ["tiers", "nodes", "events", "tiers"]
    assert after(opened(), "shift-tab").focus == "events"


def test_the_events_stand_still_where_somebody_reads_and_follow_again_at_the_end():
    screen = seen(after(opened(), Heard(tuple(event(n) for n in range(41, 100)))))
    still = seen(after(screen, "page-up"))
    top = still.stream.top
    assert not still.stream.following
    later = after(still, Heard(tuple(event(n) for n in range(100, 140))))
    assert later.stream.top == top
    assert after(later, *["page-down"] * 20).stream.following
    assert after(later, "tab", "tab", "end").stream.following
    assert after(later, "f").stream.following
    assert not after(later, "f", "f").stream.following


def test_keys_move_in_the_nodes_where_they_have_the_focus_and_no_further_than_there_is():
    many = replace(B, nodes=tuple(replace(B.nodes[0], name=f"b-{n}") for n in range(50)))
    screen = seen(on("b", state=replace(STATE, tiers=(MM, A, many))))
    down = seen(after(screen, "tab", "j", "j"))
    assert (down.selected, down.nodes_top) == ("b", 2)
    end = seen(after(down, "end"))
    assert end.nodes_top == end.extents.nodes_bottom > 40
    assert after(end, "home").nodes_top == 0
    assert after(end, "page-up").nodes_top == end.nodes_top - 5
    assert after(end, "shift-tab", "k").nodes_top == 0, "another tier begins at its beginning"


# -- the filter -----------------------------------------------------------------------------------------------------


def test_a_filter_narrows_with_each_key_and_keeps_a_tier_selected():
    screen = after(opened(), "/", *typed("b"))
    assert [t.name for t in screen.tiers] == ["b"]
    assert screen.selected == "b"
    assert after(screen, "enter").filter == "b"


FROZEN = replace(STATE, tiers=(MM, replace(A, freeze=Freeze()), replace(B, lock=None, status="mixed"), C))
SHOWN = [
    (STATE, "0.8.2", ["a", "b"]), (STATE, "b-2", ["b"]), (STATE, "steady", ["mm", "a"]), (STATE, "NOT IN", ["c"]),
    (STATE, "empty", []), (STATE, "zzz", []), (FROZEN, "frozen", ["a"]), (FROZEN, "mixed", ["b"]), (FROZEN, "steady", ["mm"]),
    (BUILDING, "building", ["mm"]), (STATE, "", ["mm", "a", "b", "c"]),
]  # fmt: skip


@pytest.mark.parametrize(("state", "text", "names"), SHOWN, ids=[text for _, text, _ in SHOWN])
def test_a_filter_leaves_the_tiers_with_that_name_version_node_or_status_as_it_is_shown(state, text, names):
    assert [t.name for t in after(opened(state=state), "/", *typed(text)).tiers] == names


def test_a_filter_that_no_tier_has_says_so_and_leaves_the_events_that_have_it():
    screen = after(on("a", width=120, height=40), "/", *typed("DeployFailed"), "enter")
    text = text_of(screen)
    assert "no tier has that text; Esc lifts the filter" in text
    assert "0 of 4" in text.splitlines()[1]
    assert "│ ● a-1" not in text
    shown, _ = screen.stream.shown(screen.needle, 10)
    assert [line.kind for line in shown] == ["DeployFailed"]


@pytest.mark.parametrize("key", ["p", "R", "c", "x", "L", "l", "h", "b"])
def test_what_is_done_to_a_tier_is_done_to_none_that_is_not_shown(key):
    screen, wanted = played(on("a"), "/", *typed("zzz"), "enter", key)
    assert (screen.overlay, screen.tier, wanted) == (None, None, [])
    assert screen.note
    assert screen.note.text == "no tier is shown: Esc lifts the filter"


def test_escape_brings_the_tiers_back_with_the_one_that_was_selected():
    """On its way to nothing a filter may have fitted another one."""
    screen = after(on("a"), "/", *typed("b"))
    assert screen.selected == "b"
    none = after(screen, *typed("ackup"))
    assert none.tiers == ()
    for back in (after(none, "escape"), after(none, "enter", "j", "G", "escape")):
        assert len(back.tiers) == 4
        assert back.tier
        assert back.tier.name == "a"
    assert after(screen, "escape").selected == "a"
    assert after(screen, "enter").selected == "b"


def test_a_filter_is_no_matter_of_a_screen_that_is_too_small_to_lift_it():
    assert "mm 0.8.4" in text_of(after(opened(), "/", *typed("zzz"), "enter", Resized(60, 12)))


def test_a_tier_that_a_filter_leaves_out_while_it_is_asked_about_is_asked_about_still():
    screen = after(on("b"), "/", *typed("max"), "escape", "/", *typed("degraded"), "enter", "L")
    assert "locked by max since" in text_of(screen)
    well = replace(STATE, tiers=(MM, A, replace(B, status="steady"), C))
    assert "locked by max since" in text_of(after(screen, Arrived(well)))


def test_escape_takes_back_one_thing_at_a_time_and_leaves_only_then():
    screen = after(opened(), "/", *typed("b"))
    assert after(screen, "escape").filter == ""
    screen, wanted = played(screen, "enter", "escape")
    assert (screen.filter, wanted) == ("", [])
    assert played(screen, "escape")[1] == [Leave()]


def test_a_typed_line_is_text_whatever_its_keys_mean_elsewhere():
    screen, wanted = played(opened(), "/", *typed("qRpyxL?"), " ", "日")
    assert (screen.filter, wanted) == ("qRpyxL? 日", [])
    assert after(screen, "backspace").filter == "qRpyxL? "
    assert after(screen, "ctrl-w").filter == "qRpyxL?"
    assert after(screen, "ctrl-u").filter == ""
    assert after(screen, *typed("z" * 200)).filter[-3:] == "zzz"
    assert len(after(screen, *typed("z" * 200)).filter) == 80


@pytest.mark.parametrize("key", ["up", "page-down", "tab", "home", "left", "ctrl-x"])
def test_a_key_that_is_no_text_does_nothing_to_a_typed_line(key):
    screen = after(opened(), "/", *typed("ab"))
    assert after(screen, key) == screen


def test_what_is_pasted_goes_into_a_typed_line_or_nowhere():
    screen, wanted = played(opened(), Pasted("Ry\n"))
    assert (screen, wanted) == (opened(), [])
    assert after(opened(), "/", Pasted("two\nlines\x1b")).filter == "two lines "
    question = asked(on("a"), "R", BACK)
    assert played(question, Pasted("y")) == (question, [])


# -- asking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tier", "key", "wanted"),
    [
        ("a", "p", AskPlan(1, "promote", "a")),
        ("a", "R", AskPlan(1, "rollback", "a")),
        ("a", "c", AskPlan(1, "promote", "b", "0.8.3")),
    ],
)
def test_a_question_asks_the_daemon_what_would_happen_and_nothing_else(tier, key, wanted):
    screen, effects = played(on(tier), key)
    assert effects == [wanted]
    assert isinstance(screen.overlay, Question)
    assert screen.overlay.phase == "asking"


@pytest.mark.parametrize(
    ("screen", "sent"),
    [
        (asked(on("a"), "p", PLAN), Send(1, "POST", "/promote/a", {"version": "0.8.4"})),
        (asked(on("a"), "R", BACK), Send(1, "POST", "/rollback/a", {"version": "0.8.2"})),
        (asked(on("a"), "c", BLOCKED), Send(1, "POST", "/confirm/a", {"version": "0.8.3"})),
        (asked(on("a"), "b"), Send(1, "POST", "/backup/fetch", {})),
        (asked(on("b"), "L"), Send(1, "DELETE", "/lock/b")),
        (
            asked(
                on("a", state=replace(STATE, tiers=(MM, replace(A, operation=44)))), "x", operation=RUNNING
            ),
            Send(1, "POST", "/operations/44/abort", {}),
        ),
    ],
)
def test_a_y_sends_what_was_asked_once_with_the_version_that_was_shown(screen, sent):
    screen, wanted = played(screen, "y")
    assert wanted == [sent]
    assert isinstance(screen.overlay, Question)
    assert screen.overlay.phase == "sending"
    assert played(seen(screen), "y", "y")[1] == []


def test_the_version_of_a_confirmation_is_the_one_that_was_there_when_it_was_asked():
    screen = asked(on("a"), "c", BLOCKED)
    newer = replace(STATE, tiers=(MM, replace(A, current_version="0.8.9"), B))
    assert isinstance(changed := after(screen, Arrived(newer)).overlay, Question)
    assert changed.version == "0.8.3"
    assert played(seen(screen), "y")[1][-1].body == {"version": "0.8.3"}


@pytest.mark.parametrize("key", ["n", "escape", "q"])
def test_no_closes_the_question(key):
    screen, wanted = played(asked(on("a"), "R", BACK), key)
    assert (screen.overlay, wanted) == (None, [])


@pytest.mark.parametrize("key", ["enter", " ", "Y", "p", "R", "tab", "page-down", "l", "?", "ü", "ctrl-u"])
def test_every_other_key_leaves_a_question_as_it_is(key):
    screen = asked(on("a"), "R", BACK)
    assert played(screen, key) == (screen, [])


def test_a_blocked_question_cannot_be_agreed_to_and_says_so():
    screen, wanted = played(asked(on("b"), "p", BLOCKED), "y")
    assert wanted == []
    assert screen.note
    assert screen.note.text == "it is blocked"


READY = replace(BLOCKED, ready=True, status=202, code=None, detail="")
LOCKABLE = after(on("a"), "L", "enter")


@pytest.mark.parametrize(
    ("screen", "told", "after_it"),
    [
        (asked(on("b"), "p", BLOCKED), "y", ["n"]),
        (asked(on("b"), "p", BLOCKED), "y", ["n", "L"]),
        (asked(on("b"), "p", BLOCKED), "y", [Planned(1, (), READY)]),
        (asked(on("b"), "p", BLOCKED), "y", ["h"]),
        (asked(on("b"), "p", BLOCKED), "f", ["escape"]),
        (asked(on("a"), "R", BACK), Key("y", rushed=True), ["q"]),
        (after(on("a"), "R"), "y", [Planned(1, (), BACK)]),
        (after(asked(on("a"), "R", BACK), "y"), "y", [Answered(1, problem=Problem(409, "tier_busy"))]),
        (after(asked(on("a"), "p", PLAN), Lost(Trouble("gone"), 2.0)), "y", ["n"]),
        (seen(LOCKABLE), "y", ["i", *typed("audit"), "enter"]),
        (seen(LOCKABLE), "y", ["i", "escape"]),
    ],
)  # fmt: skip
def test_what_was_said_in_a_question_goes_with_it_or_when_it_is_so_no_more(screen, told, after_it):
    """However soon that is after it was said."""
    noted = after(screen, told)
    assert noted.note
    assert after(noted, *after_it).note is None


@pytest.mark.parametrize("told", ["i", "down", Planned(1, (), BLOCKED), Tick(NOON + timedelta(seconds=1))])
def test_what_was_said_in_a_question_stays_as_long_as_it_is_so(told):
    noted = after(asked(on("b"), "p", BLOCKED), "y")
    assert after(noted, told).note == noted.note


def test_what_was_said_before_a_question_is_none_of_its_business():
    said = after(on("mm"), "p")
    assert said.note
    assert after(said, "L", "escape").note == said.note
    closed = after(
        asked(on("a"), "R", BACK), "escape", "L", Answered(1, problem=Problem(409, "tier_busy", "busy"))
    )
    assert closed.note
    assert after(closed, "escape").note == closed.note, "it is of the act before"


def test_a_question_that_was_answered_by_an_error_says_it_in_the_daemons_words():
    problem = Problem(409, "tier_busy", "promote 44 runs", "wait for it")
    screen = after(on("a"), "p", Planned(1, problem=problem))
    assert isinstance(screen.overlay, Question)
    assert (screen.overlay.phase, screen.overlay.problem) == ("refused", problem)
    assert played(seen(screen), "y")[1] == []


def test_a_late_answer_to_an_earlier_question_is_dropped():
    screen = after(on("a"), "p", "escape", "R")
    assert after(screen, Planned(1, (), PLAN)) == screen
    assert after(screen, Planned(2, ("force",), BACK)) == screen, "asked for otherwise meanwhile"


def test_an_option_is_planned_anew_and_sent_with_the_act():
    screen, wanted = played(asked(on("b"), "p", BLOCKED), "h")
    assert wanted == [AskPlan(1, "promote", "b", "0.8.3", ("hotfix",))]
    assert played(seen(screen), "y")[1] == []
    free = replace(BLOCKED, ready=True, status=202, code=None, detail="")
    screen = after(screen, Planned(1, ("hotfix",), free))
    assert played(screen, "y")[1] == [], "it has not been seen yet"
    sent = played(seen(screen), "y")[1]
    assert sent == [Send(1, "POST", "/promote/b", {"version": "0.8.3", "hotfix": True})]
    assert played(seen(screen), "h")[1] == [AskPlan(1, "promote", "b", "0.8.3", ())]


@pytest.mark.parametrize(
    ("screen", "key"), [(asked(on("b"), "p", BLOCKED), "f"), (asked(on("a"), "p", PLAN), "h")]
)
def test_an_option_that_would_not_help_is_not_taken(screen, key):
    after_it, wanted = played(screen, key)
    assert (after_it.overlay, wanted) == (screen.overlay, [])
    assert after_it.note
    assert "would not help" in after_it.note.text


def test_a_promotion_may_be_stopped_for_a_rollback_and_a_rollback_that_waits_may_not():
    promotes = Check("busy", "blocked", "promote 44 runs", clears="`abort_running`, or its end")
    busy = replace(BACK, ready=False, status=409, code="tier_busy", detail="it is busy", checks=(promotes,))
    wanted = played(asked(on("a"), "R", busy), "a")[1]
    assert wanted == [AskPlan(1, "rollback", "a", "0.8.2", ("abort_running",))]
    waits = Check("busy", "blocked", "rollback 45 waits", clears="its end")
    assert played(asked(on("a"), "R", replace(busy, checks=(waits,))), "a")[1] == []


def test_a_reason_is_typed_shown_and_sent():
    screen = after(asked(on("a"), "p", PLAN), "i", *typed("yes, fix y"), "enter")
    assert played(screen, "y")[1] == [], "what will be sent has not been seen"
    assert played(seen(screen), "y")[1] == [
        Send(1, "POST", "/promote/a", {"version": "0.8.4", "reason": "yes, fix y"})
    ]
    again = after(seen(screen), "i", *typed(" more"), "escape")
    assert isinstance(again.overlay, Question)
    assert again.overlay.reason == "yes, fix y"


def test_a_lock_asks_for_its_reason_first_and_takes_none_without():
    screen = after(on("a"), "L")
    assert screen.typing
    empty = seen(after(screen, "enter"))
    noted, wanted = played(empty, "y")
    assert wanted == []
    assert noted.note
    assert "needs a reason" in noted.note.text
    assert after(screen, "escape").overlay is None
    full = seen(after(screen, *typed("audit"), "enter"))
    assert played(full, "y")[1] == [Send(1, "POST", "/lock/a", {"reason": "audit"})]


def test_an_answer_closes_the_question_and_is_noted():
    screen, wanted = played(
        after(asked(on("a"), "p", PLAN), "y"), Answered(1, "promote 44 of 0.8.4: running")
    )
    assert screen.overlay is None
    assert screen.note
    assert (screen.note.text, screen.note.style) == ("promote 44 of 0.8.4: running", "ok")
    assert wanted == [Refresh()]


def test_a_refusal_of_the_act_stays_in_its_question_and_is_noted_where_that_is_closed():
    problem = Problem(423, "locked", "tier a is locked by max", "DELETE /lock/a lifts it")
    sent = after(asked(on("a"), "p", PLAN), "y")
    open_still = after(sent, Answered(1, problem=problem))
    assert isinstance(open_still.overlay, Question)
    assert (open_still.overlay.phase, open_still.overlay.problem) == ("refused", problem)
    closed = after(sent, "escape", Answered(1, problem=problem))
    assert closed.note
    assert closed.note.text == "tier a is locked by max — L (unlock) on tier a lifts it"


@pytest.mark.parametrize(
    ("told", "again"),
    [
        (event(41, "GateDone", tier="a"), True),
        (event(41, "PromoteComplete", tier="b"), True),
        (Event("ConfigReloaded", 41), True),
        (event(41, "GateDone", tier="mm"), False),
        (event(41, "Pruned", tier="a"), False),
    ],
)
def test_what_happens_meanwhile_is_planned_again_for_the_same_version(told, again):
    screen, wanted = played(asked(on("b"), "p", BLOCKED), Heard((told,)))
    assert wanted == ([AskPlan(1, "promote", "b", "0.8.3")] if again else [])
    if again:
        assert played(screen, Heard((event(42, tier="a"),)))[1] == [], "one question at a time"
        same = after(screen, Planned(1, (), BLOCKED))
        assert isinstance(same.overlay, Question)
        assert same.overlay.seen
        worse = after(screen, Planned(1, (), replace(BLOCKED, to="0.9.0")))
        assert isinstance(worse.overlay, Question)
        assert (worse.overlay.version, worse.overlay.seen) == ("0.8.3", False)


@pytest.mark.parametrize(
    ("screen", "key", "why"),
    [
        (on("mm"), "p", "mm is built by a push"),
        (on("c"), "p", "tier c is not provisioned"),
        (on("c"), "R", "nothing has ever run on tier c"),
        (on("b"), "c", "tier b has no manual_confirm gate"),
        (on("a"), "x", "nothing runs on tier a"),
        (after(on("a"), Lost(Trouble("gone"), 2.0)), "R", "sandod does not answer"),
        (Screen(URL), "p", "nothing is known of the daemon yet"),
        (after(Screen(URL), Arrived(State(1, NOON, ()))), "h", "there is no tier"),
    ],
)
def test_a_key_that_does_nothing_now_says_why(screen, key, why):
    screen, wanted = played(screen, key)
    assert wanted == []
    assert screen.overlay is None
    assert screen.note
    assert why in screen.note.text


def test_nothing_is_sent_to_a_daemon_that_does_not_answer():
    screen, wanted = played(after(asked(on("a"), "R", BACK), Lost(Trouble("gone"), 2.0)), "y")
    assert wanted == []
    assert screen.note
    assert "nothing was sent" in screen.note.text


@pytest.mark.parametrize(
    ("state", "operation"),
    [(BUILDING, 42), (replace(BUILDING, build=None, tiers=(replace(MM, gates=(replace(
        MM.gates[0], outcome="running", operation=7),)),)), 7)],
)  # fmt: skip
def test_an_abort_is_of_what_runs_on_the_tier(state, operation):
    assert played(opened(state=state), "x")[1] == [AskOperation(1, operation)]


def test_what_has_ended_meanwhile_is_said_before_it_is_aborted():
    screen = after(
        opened(state=BUILDING), "x", Planned(1, problem=Problem(404, "not_found", "there is no operation 42"))
    )
    assert isinstance(screen.overlay, Question)
    assert screen.overlay.phase == "refused"


# -- reading --------------------------------------------------------------------------------------------------------


def test_another_state_of_what_runs_has_to_be_seen_before_it_is_aborted():
    busy = on("a", state=replace(STATE, tiers=(MM, replace(A, operation=44))))
    question = asked(busy, "x", operation=RUNNING)
    again = after(question, Planned(1, operation=replace(RUNNING, step="switch")))
    assert played(question, Planned(1, operation=RUNNING), "y")[1]
    assert played(again, "y")[1] == []
    assert len(played(seen(again), "y")[1]) == 1


def test_what_was_asked_for_an_abort_changes_no_other_question():
    question = asked(on("a"), "R", BACK)
    assert after(question, Planned(1, operation=RUNNING)) == question


def log(lines: int = 100, **more) -> Screen:
    screen = seen(after(on("a"), "l"))
    return seen(
        after(screen, LogMore(screen.serial, RUNNING, "".join(f"line {n}\n" for n in range(lines)), **more))
    )


def test_the_log_is_of_what_runs_and_ends_when_it_is_closed():
    assert played(on("a"), "l")[1] == [FollowLog(1, "a")]
    busy = replace(STATE, tiers=(MM, replace(A, operation=44)))
    assert played(on("a", state=busy), "l")[1] == [FollowLog(1, "a", 44)]
    screen, wanted = played(log(), "escape")
    assert (screen.overlay, wanted) == (None, [StopLog()])
    assert played(log(), "q")[1] == [StopLog()]


def test_a_log_follows_its_end_until_somebody_scrolls():
    screen = log()
    assert isinstance(screen.overlay, LogView)
    assert screen.overlay.top is None
    height = screen.extents.log
    still = after(screen, "k")
    assert isinstance(still.overlay, LogView)
    assert still.overlay.top == 99 - height
    more = after(still, LogMore(still.serial, None, "more\nand more\n"))
    assert isinstance(more.overlay, LogView)
    assert more.overlay.top == still.overlay.top
    assert after(more, "G").overlay.top is None  # type: ignore[union-attr]
    assert after(more, "g").overlay.top == 0  # type: ignore[union-attr]
    assert after(more, "f").overlay.top is None  # type: ignore[union-attr]
    assert after(more, "page-up").overlay.top == more.overlay.top - height + 1  # type: ignore[union-attr]
    assert after(more, *["page-down"] * 9).overlay.top is None  # type: ignore[union-attr]
    assert after(more, "right", "right", "left").overlay.left == 16  # type: ignore[union-attr]


def test_a_line_that_came_in_two_pieces_is_one():
    screen = after(on("a"), "l")
    for text in ("he", "llo\nwor", "ld\n"):
        screen = after(screen, LogMore(screen.serial, None, text))
    assert isinstance(screen.overlay, LogView)
    assert screen.overlay.lines == ("hello", "world")


def test_more_lines_than_are_kept_fall_off_the_beginning_and_are_counted():
    screen = after(log(0), LogMore(1, RUNNING, "x\n" * 49_990), "g", LogMore(1, None, "y\n" * 20))
    assert isinstance(screen.overlay, LogView)
    assert (len(screen.overlay.lines), screen.overlay.dropped, screen.overlay.top) == (50_000, 10, 0)


def test_a_search_goes_to_the_next_line_and_round_and_back():
    screen = after(log(), "g", "/", *typed("LINE 4"), "enter")
    found = []
    for key in ["n", "n", "N", "N", "N"]:
        found.append(screen.overlay.top)  # type: ignore[union-attr]
        screen = after(screen, key)
    assert found == [4, 40, 41, 40, 4]
    assert screen.overlay.top == 49  # type: ignore[union-attr]
    gone = after(screen, "/", *typed("nowhere"), "enter")
    assert gone.note
    assert "'nowhere' is not in this log" in gone.note.text
    assert after(screen, "escape").overlay.search == ""  # type: ignore[union-attr]
    assert after(screen, "/", "escape").overlay.search == ""  # type: ignore[union-attr]


def test_a_search_goes_to_every_line_of_the_last_page_and_not_past_its_end():
    screen = after(log(), "g", "/", *typed("line 9"), "enter")
    went, last = [], 100 - screen.extents.log
    for _ in range(12):
        assert isinstance(screen.overlay, LogView)
        went.append((screen.overlay.found, screen.overlay.top))
        screen = after(screen, "n")
    assert went == [(at, min(at, last)) for at in (9, *range(90, 100), 9)]
    ends = after(screen, "N", "N")
    assert "│ line 99" in text_of(ends).splitlines()[-3], "the end of the log is the end of the page"
    assert "search 'line 9' in line 100, the end" in text_of(after(ends, LogMore(1, RUNNING, complete=True)))


@pytest.mark.parametrize("key", ["k", "g", "f", "escape"])
def test_who_scrolls_or_lifts_a_search_goes_on_from_what_is_seen(key):
    found = after(log(), "g", "/", *typed("line 9"), "enter", "n", "n")
    assert isinstance(found.overlay, LogView)
    assert found.overlay.found == 91
    assert after(found, key).overlay.found is None  # type: ignore[union-attr]


def test_a_line_that_was_found_is_known_by_its_number_where_lines_fall_off_the_beginning():
    screen = after(log(0), LogMore(1, RUNNING, "x\n" * 49_990 + "here\n"), "/", *typed("here"), "enter")
    later = after(screen, LogMore(1, None, "y\n" * 20))
    assert "search 'here' in line 49991," in text_of(after(later, Resized(120, 40)))
    assert after(later, LogMore(1, None, "y\n" * 50_000)).overlay.found is None  # type: ignore[union-attr]


def test_a_log_that_is_not_the_open_one_changes_nothing():
    screen = log()
    assert after(screen, LogMore(screen.serial - 1, None, "old\n")) == screen
    assert after(on("a"), LogMore(1, None, "old\n")) == on("a")


def history() -> Screen:
    screen = after(on("a"), "h")
    return seen(after(screen, HistoryPage(screen.serial, Operations((DONE, FAILED), None))))


def test_the_history_is_asked_for_and_opens_the_log_of_the_one_that_is_selected():
    assert played(on("a"), "h")[1] == [AskHistory(1, "a")]
    screen, wanted = played(history(), "j", "enter")
    assert wanted == [FollowLog(2, "a", 42)]
    assert isinstance(screen.overlay, LogView)
    back, wanted = played(screen, "escape")
    assert wanted == [StopLog()]
    assert isinstance(back.overlay, History)
    assert back.overlay.at == 1
    assert after(back, "escape").overlay is None
    assert after(back, "h").overlay is None


def test_older_operations_are_asked_for_when_the_end_is_near_and_once():
    many = tuple(replace(DONE, id=n) for n in range(100, 50, -1))
    screen = after(on("a"), "h", HistoryPage(1, Operations(many, 51)))
    screen, wanted = played(screen, "G")
    assert wanted == [AskHistory(1, "a", 51)]
    assert played(screen, "k", "j")[1] == []
    more = after(screen, HistoryPage(1, Operations((many[-1], replace(DONE, id=50)), None)))
    assert isinstance(more.overlay, History)
    assert [o.id for o in more.overlay.operations] == list(range(100, 49, -1))
    assert played(more, "G")[1] == []


def test_what_cannot_be_read_says_why():
    assert after(on("a"), "h", HistoryPage(1, trouble="gone")).overlay.trouble == "gone"  # type: ignore[union-attr]
    assert after(on("a"), "l", LogMore(1, trouble="gone")).overlay.trouble == "gone"  # type: ignore[union-attr]


def test_the_help_lies_over_what_is_read_and_gives_it_back():
    for screen in (opened(), log(), history()):
        helped = after(screen, "?")
        assert isinstance(helped.overlay, Help)
        assert after(helped, "escape").overlay == screen.overlay
        assert after(helped, "q").overlay == screen.overlay
        assert after(helped, "?").overlay == screen.overlay
    helped = after(log(), "?", LogMore(1, None, "more\n"))
    assert isinstance(helped.overlay, Help)
    assert isinstance(helped.overlay.back, LogView)
    assert helped.overlay.back.lines[-1] == "more"


# -- being told -----------------------------------------------------------------------------------------------------


def test_a_daemon_that_is_away_leaves_what_was_known_and_says_how_old_it_is():
    screen = after(opened(), Lost(Trouble("nothing listens there"), 4.0), Tick(NOON + timedelta(seconds=3)))
    assert screen.state == STATE
    assert screen.stale
    assert screen.age_s == 3
    assert screen.link.retry_at == NOON + timedelta(seconds=4)
    back = after(screen, Arrived(None))
    assert (back.stale, back.link.trouble) == (False, None)


@pytest.mark.parametrize("away", [after(Screen(URL), "p"), after(on("a"), Lost(Trouble("gone"), 2.0), "R")])
def test_that_a_daemon_does_not_answer_is_said_no_longer_than_it_is_so(away):
    assert away.note
    assert after(away, Lost(Trouble("gone"), 4.0)).note == away.note
    assert after(away, Arrived(STATE)).note is None


REVOKED = Lost(Trouble("a token is required (401)", "set SANDO_TOKEN", refused=True, answered=True), 10.0)


@pytest.mark.parametrize("key", ["p", "R", "c", "x", "L", "b"])
def test_who_is_refused_is_told_what_sandod_answered_and_not_that_it_is_silent(key):
    screen = after(on("a"), REVOKED, key)
    assert screen.note.text == "sandod says no: a token is required (401)"
    assert after(screen, Arrived(STATE)).note is None


def test_a_yes_that_sandod_would_refuse_says_why_and_sends_nothing():
    screen, wanted = played(asked(on("a"), "p", PLAN), REVOKED, "y")
    assert screen.note.text == "sandod says no: a token is required (401): nothing was sent"
    assert wanted == []


def test_a_daemon_that_is_slow_makes_what_is_shown_stale_without_any_error():
    screen = after(opened(), Asked(), Tick(NOON + timedelta(seconds=5)))
    assert not screen.stale
    assert after(screen, Tick(NOON + timedelta(seconds=7))).stale


def test_the_daemons_clock_counts_for_its_times():
    ahead = replace(STATE, now=NOON + timedelta(minutes=5))
    assert after(opened(), Arrived(ahead)).daemon_now == NOON + timedelta(minutes=5)


def test_events_that_come_again_are_shown_once():
    screen = after(opened(), Heard((event(40), event(41))), Heard((event(41), event(42))))
    assert [x.hay.count("gatedone") for x in screen.stream.lines[-2:]] == [1, 1]
    assert len(screen.stream.lines) == 7
    assert screen.stream.seq == 42


def test_a_reset_brings_the_state_and_goes_on_from_there():
    state = replace(STATE, seq=7, tiers=(MM,))
    screen = after(on("a"), Heard((Event("Reset", state=state), event(8))))
    assert screen.state == state
    assert screen.selected == "mm"
    assert screen.stream.seq == 8
    assert "not known any more" in screen.stream.lines[-2].text


def test_no_events_are_no_loss_of_the_daemon():
    screen = after(opened(), Feed(up=False, detail="cut"))
    assert not screen.stale
    assert screen.reached


def test_a_good_note_goes_by_itself_and_a_bad_one_with_the_next_key():
    good = after(opened(), Answered(1, "unlocked: a"))
    assert after(good, Tick(NOON + timedelta(seconds=8))).note
    assert after(good, Tick(NOON + timedelta(seconds=9))).note is None
    bad = after(on("mm"), "p", Tick(NOON + timedelta(seconds=60)))
    assert bad.note
    assert after(bad, "j").note is None
    assert after(after(on("mm"), "p"), "j").note, "nobody has read it yet"


def test_who_asks_for_the_state_is_told_so_until_the_answer_to_that_has_come():
    """One to an older question, which was under way, is not it."""
    under_way = after(opened(), Asked(), Tick(NOON + timedelta(seconds=1)), "r", Arrived(STATE))
    for screen in (under_way, after(under_way, Asked(), Tick(NOON + timedelta(seconds=11)))):
        assert screen.note
        assert screen.note.text == "asking sandod ..."
    came = after(under_way, Asked(), Tick(NOON + timedelta(seconds=2)), Arrived(None))
    assert came.note
    assert came.note.text == "sandod answered at 12:00:02"
    assert after(came, Tick(NOON + timedelta(seconds=11))).note is None
    assert after(under_way, Asked(), Lost(Trouble("gone"), 2.0)).note is None, (
        "what is wrong is said beside it"
    )


def test_an_answer_to_who_has_not_asked_takes_no_other_message_away():
    screen = after(on("mm"), "p", Asked(), Arrived(STATE))
    assert screen.note
    assert "mm is built by a push" in screen.note.text


def test_a_part_that_fails_is_told_and_the_rest_goes_on():
    screen = after(opened(), Broken("Hearer: KeyError"))
    assert screen.note
    assert "Hearer" in screen.note.text


@pytest.mark.parametrize(
    ("key", "wanted"), [("r", Refresh()), ("ctrl-l", Repaint()), ("q", Leave()), ("ctrl-c", Leave())]
)
def test_keys_that_only_want_something_done(key, wanted):
    assert played(opened(), key)[1] == [wanted]


@pytest.mark.parametrize("screen", [opened(), log(), history(), asked(on("a"), "R", BACK), after(opened(), "/", "a"),
                                    after(opened(), "?"), after(opened(), Resized(10, 3))])  # fmt: skip
def test_ctrl_c_quits_wherever_one_is(screen):
    assert played(screen, "ctrl-c")[1] == [Leave()]


def test_a_screen_that_is_too_small_takes_no_key_but_those_that_quit():
    question = after(asked(on("a"), "R", BACK), Resized(79, 24))
    assert played(question, "y", "n", "enter")[1] == []
    assert played(question, "q")[1] == [Leave()]
    large = after(question, Resized(80, 24))
    assert isinstance(large.overlay, Question)
    assert played(large, "y")[1] == [], "the key may have been struck before it was seen again"
    assert len(played(seen(large), "y")[1]) == 1


def test_every_key_of_the_table_has_a_help_and_none_is_there_twice():
    for table in TABLE.values():
        keys = [key for binding in table for key in binding.keys]
        assert len(keys) == len(set(keys))
        assert all(b.help and b.help[0].islower() for b in table)
