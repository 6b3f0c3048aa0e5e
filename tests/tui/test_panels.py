"""How each screen looks, at several sizes: every column and every style, against what was looked at and kept."""

import pytest
from msgspec.structs import replace

from sando.client.shapes import Operations
from tests.tui import golden
from tests.tui.samples import FAILED, MM, STATE, A, B, after, asked, on, opened, text_of
from tui.model.keys import TABLE
from tui.model.messages import Arrived, HistoryPage, Resized
from tui.panels.frame import Column, Flex, cell, table
from tui.panels.picture import draw
from tui.rows import Segment, between, fitted, width
from tui.text import cells


@pytest.mark.parametrize("name", golden.NAMES)
def test_a_screen_looks_as_it_was_looked_at(name):
    kept = (golden.FOLDER / f"{name}.txt").read_text().splitlines()
    assert golden.one(name) == kept, "look at it; python -m tests.tui.golden keeps it"


def test_no_screen_is_kept_that_nobody_draws():
    assert {p.stem for p in golden.FOLDER.glob("*.txt")} == set(golden.NAMES)


@pytest.mark.parametrize("size", [(81, 25), (100, 30), (160, 24), (300, 100)])
@pytest.mark.parametrize("screen", golden.SCREENS.values(), ids=golden.SCREENS)
def test_every_screen_fills_every_size(screen, size):
    picture = draw(after(screen, Resized(*size)))
    assert [width(row) for row in picture.rows] == [size[0]] * size[1]


def footer(screen) -> str:
    return text_of(screen).splitlines()[-1]


def test_the_footer_has_the_keys_that_work_now_and_no_others():
    assert "p promote" not in footer(on("mm", width=200, height=60))
    assert "x abort" not in footer(on("a", width=200, height=60))
    assert "L unlock" in footer(on("b", width=200, height=60))
    assert "L lock" in footer(on("a", width=200, height=60))
    busy = after(
        on("a", width=200, height=60), Arrived(replace(STATE, tiers=(MM, replace(A, operation=44), B)))
    )
    assert "x abort" in footer(busy)


SAID = replace(A, gates=(*A.gates[:2], replace(A.gates[2], outcome="passed", message="confirmed by max")))


@pytest.mark.parametrize(("outcome", "offered"), [("pending", True), ("failed", True), ("passed", False)])
def test_a_word_is_asked_for_only_where_it_was_not_given(outcome, offered):
    tier = replace(SAID, gates=(replace(SAID.gates[2], outcome=outcome),))
    screen = on("a", width=200, height=60, state=replace(STATE, tiers=(MM, tier, B)))
    assert ("c confirm" in footer(screen)) is offered
    struck = after(screen, "c")
    assert (struck.overlay is not None) is offered
    assert offered or text_of(struck).splitlines()[-2].strip() == "0.8.3 is confirmed on tier a already"


@pytest.mark.parametrize("columns", range(80, 200, 7))
def test_help_and_quit_stay_in_the_footer_however_narrow_it_is(columns):
    assert footer(on("a", width=columns)).endswith("? help  q quit")


def test_the_help_names_every_key_of_every_place():
    screen, text = after(opened(200, 100), "?"), ""
    text = text_of(screen)
    for where in ("main", "question", "log", "history", "typing"):
        for binding in TABLE[where]:
            assert binding.every in text
            assert binding.help in text


def test_many_tiers_are_scrolled_so_that_the_selected_one_is_seen():
    many = replace(STATE, tiers=tuple(replace(A, name=f"t{n:02}") for n in range(40)))
    screen = on("t39", state=many)
    assert "t39" in text_of(screen)
    assert "t00" not in text_of(screen)
    assert "more" in text_of(screen).splitlines()[1]


def test_many_nodes_say_how_many_are_not_seen_and_can_be_scrolled_to():
    many = replace(B, nodes=tuple(replace(B.nodes[0], name=f"b-{n:03}") for n in range(200)))
    screen = on("b", state=replace(STATE, tiers=(MM, A, many)))
    assert "200 of 200 nodes reached" in text_of(screen)
    assert "lines more" in text_of(screen)
    assert "b-199" in text_of(after(screen, "/", *"b-199"))


def test_a_question_that_is_longer_than_the_screen_says_so_and_keeps_its_answers_in_sight():
    screen = asked(on("a"), "p", replace(golden.PLAN, migrations=tuple(f"{n:04}_x.sql" for n in range(30)),
                                         nodes=golden.PLAN.nodes * 20, commits=(golden.PLAN.commits or ())[:1] * 30))  # fmt: skip
    shown = text_of(screen)
    assert "lines more" in shown
    assert "y promote 0.8.4" in shown
    end = text_of(after(screen, *["page-down"] * 9))
    assert "lines more" not in end
    assert "reason" in end
    assert "and 22 more" in end


def test_a_long_answer_is_told_whole_and_a_very_long_one_is_cut_with_a_sign():
    screen = on("a")
    note = after(screen, "/", "escape")
    long = replace(note, note=golden.after(on("mm"), "p").note)
    assert "select the tier to promote into" in text_of(long)
    assert long.note
    endless = replace(long, note=replace(long.note, text="word " * 200))
    lines = [line for line in text_of(endless).splitlines() if line.startswith(" word")]
    assert len(lines) == 3
    assert lines[-1].endswith("…")


UNTRIED = {"0.8.2": "unknown"}
TOLD = "it was not tried whether 0.8.2 runs on the newer schema"


@pytest.mark.parametrize(
    ("migrations", "told"),
    [(("0042_drop.sql",), True), (None, True), ((), False)],
    ids=["some", "who knows", "none"],
)
def test_a_way_back_that_nobody_tried_is_told_only_where_there_may_be_migrations(migrations, told):
    there = replace(golden.PLAN, migrations=migrations, rollback_safe=UNTRIED)
    assert (TOLD in text_of(asked(on("a", width=120, height=40), "p", there))) is told
    back = replace(golden.BACK, migrations_back=migrations, rollback_safe=UNTRIED)
    assert (TOLD in text_of(asked(on("a", width=120, height=40), "R", back))) is told
    known = replace(there, rollback_safe={"0.8.2": "no"})
    assert "0.8.2 does not run on the newer schema" in text_of(
        asked(on("a", width=120, height=40), "p", known)
    )


REHEARSAL = MM.gates[1]
FLOWS = {
    "migrations were rehearsed": ((REHEARSAL,), True),
    "a command applied them": ((replace(REHEARSAL, facts={"restore_ok": True}),), True),
    "the rehearsal is red": ((replace(REHEARSAL, outcome="failed", facts={}),), True),
    "the backup has them all": ((replace(REHEARSAL, facts={"migrations": []}),), False),
    "there are none": ((replace(REHEARSAL, facts={}),), False),
    "the first rehearsal runs": ((replace(REHEARSAL, outcome="running", facts={}),), False),
    "nobody rehearses": ((MM.gates[0],), False),
}


@pytest.mark.parametrize(("gates", "told"), FLOWS.values(), ids=FLOWS)
def test_a_tier_tells_of_a_way_back_that_nobody_tried_only_where_migrations_are_rehearsed(gates, told):
    state = replace(STATE, tiers=(replace(MM, gates=gates), replace(A, rollback_safe=UNTRIED), B))
    assert (f"way back: {TOLD}" in text_of(on("a", state=state, width=120, height=40))) is told
    known = replace(state, tiers=(state.tiers[0], A, B))
    assert "way back: 0.8.2 runs on the newer schema" in text_of(on("a", state=known, width=120, height=40))


def test_where_no_node_lacks_it_none_is_said_to_be_brought_to_it():
    told = "only the nodes that lack it are brought to it"
    repair = replace(golden.PLAN, kind="repair", to="0.8.3")
    assert told in text_of(asked(on("a"), "p", repair))
    current = replace(
        repair, ready=False, code="already_current", detail="0.8.3 is current on every node of tier a"
    )
    assert told not in text_of(asked(on("a"), "p", current))


WENT_BACK = replace(FAILED, version="0.8.2+g1a2b3c4", actor="anonymous", kind="promote")


def history_screen(*operations, width: int):
    return after(on("a", width=width), "h", HistoryPage(1, Operations(operations, None)))


def history_of(*operations, width: int) -> str:
    return text_of(history_screen(*operations, width=width))


@pytest.mark.parametrize("status", ["failed", "errored", "aborted", "interrupted"])
def test_the_history_says_how_an_operation_ended_and_that_it_was_rolled_back(status):
    shown = history_of(replace(WENT_BACK, status=status), width=120)
    assert f" {status}, rolled back " in shown
    stayed = history_of(replace(WENT_BACK, status=status, rolled_back=False), width=120)
    assert f" {status}  " in stayed
    assert "rolled back" not in stayed


@pytest.mark.parametrize("status", ["succeeded", "failed", "interrupted"])
def test_the_history_says_of_what_a_restart_has_settled_how_it_ended_and_that_it_was_settled(status):
    shown = history_of(
        replace(WENT_BACK, status=status, rolled_back=False, recovered=True, error="lost"), width=120
    )
    assert f" {status}  " in shown
    assert "rolled back" not in shown
    assert "lost; recovered" in shown


@pytest.mark.parametrize(
    ("status", "short"),
    [
        ("failed", "failed, back"),
        ("errored", "errored, back"),
        ("aborted", "aborted, back"),
        ("interrupted", "interr…, back"),
    ],
)
def test_where_there_is_little_room_it_says_both_shorter(status, short):
    assert f" {short} " in history_of(replace(WENT_BACK, status=status), width=80)


def test_why_is_told_whole_of_the_one_that_is_selected_where_its_row_has_no_room():
    why = replace(WENT_BACK, error="a-1: start: the probe stayed red for 30s: exit status 1\nlast lines")
    shown = history_of(
        why, replace(why, id=41, error="b-1: it is gone and does not come back", reason=""), width=80
    )
    assert "again; a-1: start: the probe stayed red for 30s: exit status 1" in shown
    assert "does not come back" not in shown
    assert shown.count("again") == 2
    assert history_of(why, width=200).count("again") == 1


def test_the_title_of_a_log_says_that_its_operation_was_rolled_back():
    screen = after(history_screen(WENT_BACK, width=120), "enter")
    assert f"Log of promote 42 of {WENT_BACK.version} by anonymous, failed, rolled back" in text_of(screen)


# -- tables and rows --------------------------------------------------------------------------------------------------


def plain(rows) -> list[str]:
    return ["".join(s.text for s in row) for row in rows]


def test_a_table_gives_each_column_what_it_takes_and_cuts_the_widest_first():
    columns = (Column("A", 2), Column("LONG", 5, 30), Column("EMPTY"))
    rows = [[cell("x"), cell("abcdefghijklmnop"), ()], [cell("yy"), cell("short"), ()]]
    assert plain(table(columns, rows, 30)) == [
        "A   LONG                      ", "x   abcdefghijklmnop          ", "yy  short                     ",
    ]  # fmt: skip
    assert plain(table(columns, rows, 12)) == ["A   LONG    ", "x   abcdefg…", "yy  short   "]


def test_a_cell_can_be_made_for_the_room_that_there_is():
    rows = [[Flex(20, lambda room: (Segment("#" * room),))]]
    assert plain(table((Column("BAR", 3, 12),), rows, 40)) == [f"{'BAR':40}", f"{'#' * 12:40}"]
    assert plain(table((Column("BAR", 3, 12),), rows, 6)) == ["BAR   ", "######"]


def test_what_lies_under_a_box_is_cut_between_columns_even_through_a_wide_character():
    row = (Segment("日本", "ok"), Segment("ab"))
    assert plain([between(row, 0, 3), between(row, 1, 5), between(row, 3, 6)]) == ["日 ", " 本a", " ab"]
    assert all(width(between(row, a, b)) == b - a for a in range(6) for b in range(a, 7))


def test_a_row_that_is_cut_says_so_in_the_style_of_what_is_cut():
    row = fitted((Segment("abc"), Segment("defgh", "bad")), 6)
    assert row == (Segment("abc"), Segment("de…", "bad"))
    assert cells("".join(s.text for s in fitted((Segment("日本語"),), 4))) == 4
