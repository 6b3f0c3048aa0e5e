"""The screen on a real terminal: it starts, quits whole in every way, takes any size, any colours, any rubbish for a key."""

import re
import signal
from pathlib import Path

import pytest

from tests.system.sandod import until
from tests.system.terminal import COMMAND, Terminal
from tests.system.workspace import Workspace, tier

GATES = 'gates = [ { kind = "burn_in", duration = "24h" }, { kind = "manual_confirm" } ]\n'


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    """One that nothing happens to: 1.0 and then 1.1 run on a, the build tier has 1.2."""
    root = tmp_path_factory.mktemp("tui") / "ws"
    root.mkdir()
    made = Workspace(root).configure(tier("a", 2, GATES), tier("b", 1)).start()
    made.bring("1.0", "a")
    made.bring("1.1", "a")
    made.green("1.2")
    yield made
    assert not made.finish()


@pytest.fixture
def opened(flow):
    with Terminal(flow.url) as terminal:
        terminal.see("live", r"a +1\.1 +1\.0 ", r"BuildOk +#\d+ 1\.2")
        yield terminal


def untouched(flow) -> list:
    """What would be another list if anything had been done."""
    return [(o["id"], o["kind"]) for o in flow.operations()] + [t["lock"] for t in flow.state()["tiers"]]


# -- the beginning and the end ----------------------------------------------------------------------------------------


def test_the_first_screen_has_everything(opened, flow):
    text = opened.see(
        re.escape(flow.url) + r".*● live +state \ds ago +\d\d:\d\d:\d\d",
        r"mm +1\.2 +1\.1 +steady +✓cargo_test",
        r"a +1\.1 +1\.0 +steady +\?manual_confirm +░+ (1d|23h \d\dm)",  # as the minute turns
        r"\? help  q quit$",
    )
    assert flow.url in text.splitlines()[0]
    assert text.splitlines()[-1].endswith("? help  q quit")
    opened.press("j").see(r"▌ a", r"● a-1 +1\.1 +1\.1 +ok", "2 of 2 nodes reached")


@pytest.mark.parametrize("key", ["q", "escape", "ctrl-c"])
def test_each_key_that_quits_leaves_the_terminal_as_it_was(opened, key):
    assert opened.press(key).end() == 0
    assert opened.raw.count(b"\x1b[?2004h") == opened.raw.count(b"\x1b[?2004l") == 1
    assert b"\x1b[?25h" in opened.raw[-300:], "the cursor is shown again"


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131), (signal.SIGINT, 0)],
)
def test_each_signal_that_ends_it_leaves_the_terminal_as_it_was(opened, number, code):
    opened.signal(number)
    assert opened.end() == code
    assert b"Traceback" not in opened.raw


@pytest.mark.parametrize("keys", [["j", "p"], ["l"], ["j", "L"]])
def test_it_quits_whole_whatever_is_open(opened, keys):
    opened.press(*keys).press("ctrl-c")
    assert opened.end() == 0


def test_the_alternate_screen_is_left(flow):
    with Terminal(flow.url, TERM="xterm-256color") as terminal:
        terminal.hear(b"mm")
        terminal.press("q")
        assert terminal.end() == 0
        assert b"\x1b[?1049h" in terminal.raw
        assert terminal.raw.rindex(b"\x1b[?1049l") > terminal.raw.rindex(b"\x1b[?1049h")
        assert b"\x1b[?1000h" not in terminal.raw.split(b"\x1b[?1000l")[-1], "the mouse is the terminal's own"


def test_a_bug_leaves_the_terminal_whole_and_is_told_below_it(flow):
    broken = f"""{COMMAND.replace("sando", "python")} -c '
import sys
from tui.panels import picture
def fail(*a, **k): raise KeyError("a bug")
picture.header.row = fail
from tui.app.main import main
sys.exit(main())'"""
    with Terminal(flow.url, command=broken) as terminal:
        assert terminal.end() == 1
        assert b"KeyError: 'a bug'" in terminal.raw
        assert terminal.raw.rindex(b"\x1b[?2004l") < terminal.raw.rindex(b"KeyError")


def test_a_terminal_that_is_gone_ends_it(opened):
    pid = opened.pid
    opened._child.close(force=False)
    until(lambda: not Path(f"/proc/{pid}").exists(), what="for sando to end")


def test_ctrl_z_gives_the_shell_its_terminal_and_fg_the_screen(flow):
    with Terminal(flow.url, command="bash --norc --noprofile -i", PS1="ready> ") as shell:
        shell.see("ready>")
        shell.press(f"stty -g; {COMMAND}\r").see("live", r"a +1\.1")
        shell.press("\x1a").see("Stopped")
        shell.press("stty -g; echo $((6 * 7))\r").see("42")
        modes = re.findall(rb"[0-9a-f]+(?::[0-9a-f]+){10,}", shell.raw)[1:]
        assert modes[0] == modes[1]
        shell.press("fg\r").see("live", r"a +1\.1", "q quit")
        shell.press("j").see("▌ a")
        shell.paste("Ry").press("/", "x").see("filter: x")
        shell.press("ctrl-c", "echo $((6 * 8))\r").see("48")
        shell.press("exit\r")
        assert shell.end() == 0


@pytest.mark.parametrize(
    ("command", "environ", "said"),
    [
        (
            COMMAND,
            {"TERM": "no-such-terminal"},
            "nothing is known about the terminal TERM='no-such-terminal'",
        ),
        (COMMAND, {"TERM": ""}, "nothing is known about the terminal TERM=''"),
        (COMMAND, {"TERM": "dumb"}, "the terminal TERM='dumb' cannot place text"),
        (f"{COMMAND} </dev/null", {}, "the screen needs a terminal"),
        (f"{COMMAND} | cat", {}, "the screen needs a terminal"),
        (
            COMMAND,
            {"SANDO_DAEMON": "ftp://x"},
            "SANDO_DAEMON: 'ftp://x' is no address; write http://HOST:PORT",
        ),
        (COMMAND, {"SANDO_TOKEN": "two words"}, "SANDO_TOKEN: has characters that no token has"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence_before_anything_is_drawn(flow, command, environ, said):
    with Terminal(flow.url, columns=160, command=command, **environ) as terminal:
        code = terminal.end()
        assert f"sando: {said}" in terminal.raw.decode()
        assert code == (0 if "|" in command else 2)
        assert b"\x1b[" not in terminal.raw


def test_an_error_stream_that_is_closed_or_a_file_changes_nothing(flow):
    for command in (f"{COMMAND} 2>&-", f"{COMMAND} 2>/dev/null"):
        with Terminal(flow.url, command=command) as terminal:
            terminal.see("live", r"a +1\.1")
            assert terminal.press("q").end() == 0


# -- sizes ------------------------------------------------------------------------------------------------------------


def test_it_takes_every_size_and_says_when_one_is_too_small(opened):
    for columns, lines in [
        (120, 40),
        (61, 11),
        (200, 60),
        (2, 1),
        (80, 24),
        (79, 24),
        (80, 23),
        (300, 25),
        (80, 24),
    ]:
        opened.resize(columns, lines)
        if columns >= 80 and lines >= 24:
            shown = opened.see("sando  http://", r"▌ mm", "q quit").splitlines()
            assert len(shown[1]) == columns, "the frame reaches to the edge"
        elif columns > 20:
            opened.see(f"too small: {columns}x{lines}, needs 80x24", "mm 1.2")
    assert opened.press("q").end() == 0


def test_what_the_environment_says_of_the_size_is_not_believed(flow):
    for wrong in ("10", "500"):
        with Terminal(flow.url, columns=100, lines=30, COLUMNS=wrong, LINES=wrong) as terminal:
            shown = terminal.see("live", "▌ mm", "q quit").splitlines()
            assert {len(line) for line in shown[1:4]} == {100}
            assert len(terminal.resize(120, 40).see("live", "q quit", "▌ mm").splitlines()[1]) == 120
            assert terminal.press("q").end() == 0


def test_a_storm_of_sizes_ends_in_the_last_one(opened):
    for n in range(60):
        opened.resize(60 + (n * 37) % 140, 10 + (n * 13) % 50).press("j" if n % 2 else "k")
    opened.resize(100, 30)
    shown = opened.see("live", "▌ mm|▌ a", "q quit").splitlines()
    assert {len(line) for line in shown[1:4]} == {100}
    assert opened.press("q").end() == 0


def test_a_question_that_is_not_seen_cannot_be_agreed_to(opened, flow):
    before = untouched(flow)
    opened.press("j", "R").see(r"Roll back tier a\?", "y roll back to 1.0")
    opened.resize(60, 15).see("too small")
    opened.press("y", "y", "enter").resize(80, 24).see("y roll back to 1.0")
    opened.press("escape").miss("Roll back tier")
    assert untouched(flow) == before


# -- colours and characters -------------------------------------------------------------------------------------------


def colours(raw: bytes) -> set[bytes]:
    """The parameters of SGR that are a colour."""
    found = re.findall(rb"\x1b\[([0-9;]+)m", raw)
    return {
        p
        for p in found
        if re.search(rb"(^|;)(3[0-8]|4[0-8]|9\d|10\d)(;|$)", p) and p not in {b"39", b"49", b"39;49"}
    }


@pytest.mark.parametrize(
    ("term", "most"),
    [
        ("xterm-256color", 256),
        ("screen", 8),
        ("vt100", 0),
    ],
)
def test_it_uses_the_colours_that_the_terminal_has(flow, term, most):
    with Terminal(flow.url, TERM=term) as terminal:
        terminal.hear(b"steady")
        terminal.press("q")
        assert terminal.end() == 0
        used = colours(terminal.raw)
        assert bool(used) == bool(most)
        assert any(b"38;5" in c for c in used) == (most == 256)


@pytest.mark.parametrize("term", ["xterm-256color", "linux"])
def test_no_color_is_heeded_to_the_last_code(flow, term):
    with Terminal(flow.url, TERM=term, NO_COLOR="1") as terminal:
        terminal.hear(b"steady")
        terminal.press("j", "R").hear(b"marked")
        terminal.press("ctrl-c")
        assert terminal.end() == 0
        assert colours(terminal.raw) == set()
        assert b"\x1b[7m" in terminal.raw or b";7m" in terminal.raw, "what is selected is seen all the same"


def test_a_terminal_without_unicode_gets_ascii(flow):
    with Terminal(flow.url, LC_ALL="C") as terminal:
        terminal.see(r"\* live", r"> mm", r"\+cargo_test", r"^\+- Tiers -+\+$".replace("^", "(?m)^"))
        terminal.press("j", "p").see("Promote into tier a", "1.1 > 1.2")
        terminal.press("ctrl-c")
        assert terminal.end() == 0
        assert max(terminal.raw) < 128


def test_the_screen_is_never_cleared_once_it_is_drawn(opened):
    """What flickers is a clear; Ctrl-L is the one way to ask for it."""
    drawn = len(opened.raw)
    opened.press("j").see("▌ a")
    opened.press("?").see("Help")
    opened.press("escape").miss("Help")
    assert b"\x1b[J" not in opened.raw[drawn:]
    assert b"\x1b[2J" not in opened.raw[drawn:]
    opened.press("ctrl-l")
    opened._read_until(
        lambda: b"\x1b[J" in opened.raw[drawn:] or b"\x1b[2J" in opened.raw[drawn:], "for a new drawing"
    )
    opened.see("live", "▌ a")


# -- the keys that change nothing --------------------------------------------------------------------------------------


def test_the_keys_that_move_and_show_do_so_and_change_nothing(opened, flow):
    before = untouched(flow)
    opened.press("down").see("▌ a")
    opened.press("j", "k", "k").see("▌ mm")
    opened.press("G").see("▌ b")
    opened.press("home").see("▌ mm")
    opened.press("end", "up").see("▌ a")
    opened.press("page-up").see(r"standing still, \d+ below")
    opened.press("f").see("─ following ─")
    opened.press("f").see("standing still, 0 below")
    opened.press("page-down").see("─ following ─")
    opened.press("tab", "down").see(r"╭─ Tier a ─.*reached")  # the keys are the nodes' now: the tier stays
    opened.press("tab", "k").see("standing still, 1 below", "▌ a")
    opened.press("g").see(r"Events ─.*standing still, \d\d below", "DaemonStarted")
    opened.press("G").see("─ following ─")
    opened.press("shift-tab", "shift-tab", "k").see("▌ mm")
    opened.press("r").see(r"sandod answered at \d\d:\d\d:\d\d")
    opened.miss("asking sandod")
    opened.press("/", "PromoteC", "enter").see("only 'PromoteC'", r"PromoteComplete +#\d+ 1\.0")
    opened.miss("BuildOk", "filter: ")
    opened.press("escape").see("BuildOk")
    opened.press("/", "zzz", "enter").see(
        "no tier has that text; Esc lifts the filter", "0 of 3", "only 'zzz'"
    )
    opened.press("R").see("no tier is shown")
    opened.press("escape").see("▌ mm +1.2", "b +— ")
    opened.press("?").see("Help", "promote into the selected tier")
    opened.press("page-down", "page-down").see("In a log")
    opened.press("q").miss("Help")
    opened.press("j", "h").see("History of tier a", "1 of 2", r"▌ .*promote +1\.1")
    opened.press("j").see("2 of 2", r"▌ .*promote +1\.0")
    opened.press("enter").see("Log of promote", "a-1: switched current -> releases/1.0", "the end")
    opened.press("right").see("from column 17")
    opened.press("left", "/", "SWITCHED", "enter").see("search 'SWITCHED'")
    opened.press("n", "N", "g", "f", "?").see("Help")
    opened.press("escape").see("search 'SWITCHED'")
    opened.press("escape").miss("search '")
    opened.press("escape").see("History of tier a", "2 of 2")
    opened.press("q").see("╭─ Tiers")
    for key, title in [
        ("p", "Promote into tier a"),
        ("R", "Roll back tier a"),
        ("c", "Confirm on tier a"),
        ("b", "Fetch the backup"),
    ]:
        opened.press(key).see(rf"{title}.*\?|{title}\?", "n Esc no")
        opened.press("n").miss(title)
    opened.press("L").see(r"Lock tier a\?")
    opened.press("escape").miss("Lock tier")
    opened.press("x").see("nothing runs on tier a")
    assert untouched(flow) == before


# -- what is no key ---------------------------------------------------------------------------------------------------


RUBBISH = [
    "\x1b[6~", "\x1b[5~", "\x1b[A", "\x1b[B", "\x1bp", "\x1bR", "\x1bx", "\x1bL", "\x1by", "\x1b[1;5p", "\x1b[112;5u", "\x1b[27;5;82~",
    "\x1b[I", "\x1b[O", "\x1bOR", "\x1bOP", "\x1b[<0;10;10M", "\x1b[<0;10;10m", "\x1b[M !!", "\x1b]11;rgb:00/RR/yy\x07",
    "\x1bP1$rRy\x1b\\", "\x1b[24;80R", "\x1b[?1;2c", "\x12", "\x10", "\x18", "\x19", "\x00", "\xff", "é", "日", "\x1b[3~", "\x1b[2~", "\x1b[[A",
    "\x1b[15~", "\x1b[1;2A", "\x1b[1;5C",
]  # fmt: skip
RAW = {"\x1b[M !!", "\xff"}
"""Bytes, not characters."""


def test_what_is_no_key_here_opens_nothing(opened, flow):
    before = untouched(flow)
    opened.press("j").see("▌ a")
    for n, rubbish in enumerate(RUBBISH):
        opened._child.send(rubbish.encode("latin-1") if rubbish in RAW else rubbish)
        shown = opened.press("/", f"mark{n}").see(f"filter: mark{n}▏")  # in a question these would be no keys
        assert "╭─ Tiers" in shown, rubbish
        assert "Help" not in shown, rubbish
        opened.press("ctrl-u", "enter").miss("filter:")
    assert untouched(flow) == before


def test_pasted_text_does_nothing_and_is_text_where_a_line_is_typed(opened, flow):
    before = untouched(flow)
    opened.press("j").see("▌ a")
    opened.paste("Ry").paste("p\ry\r").paste("xyq\x1b").press("/").see("filter: ▏")
    opened.paste("R y\nz").see(r"filter: R y z▏")
    assert untouched(flow) == before


def test_keys_that_came_before_their_question_was_seen_agree_to_nothing(opened, flow):
    """As a paste of a terminal that does not mark it, or a hand that is faster than the eye."""
    before = untouched(flow)
    opened.press("j").see("▌ a")
    opened.press("Ryyy").see(r"Roll back tier a\?", "y roll back to 1.0")
    opened.press("escape").miss("Roll back tier")
    opened.press("R" + "y" * 200).see("y roll back to 1.0")
    assert "sending" not in opened.text
    opened.press("n").miss("Roll back tier")
    assert untouched(flow) == before


def test_pasted_text_that_no_terminal_marks_does_not_answer_a_question_that_was_read(opened, flow):
    before = untouched(flow)
    opened.press("j", "R").see("y roll back to 1.0")
    for text in ("yes", "say", "my key:\ty", "y" * 50):
        opened.press("\x0c" + text).see("strike it alone", "y roll back to 1.0")
        opened.press("i", "ctrl-u", "enter").see("reason +none")
    opened.press("escape").miss("Roll back tier")
    assert untouched(flow) == before


def test_enter_and_the_other_keys_leave_a_question_open_and_undone(opened, flow):
    before = untouched(flow)
    opened.press("j", "R").see("y roll back to 1.0")
    opened.press("enter", " ", "Y", "p", "R", "tab", "up", "page-down", "l").press("i").see("Enter done")
    opened.press("escape").see("y roll back to 1.0")
    opened.press("n").miss("Roll back tier")
    assert untouched(flow) == before


def test_escape_is_quick_although_sequences_begin_with_it(opened):
    opened.press("?").see("Help")
    opened.press("escape").miss("Help")
    opened.press("/", "abc").see("filter: abc")
    opened.press("escape").miss("filter:")


def test_ctrl_s_stops_nothing(opened):
    opened.press("\x13", "j").see("▌ a")
