"""`sando` with a person before it, on a real pseudo-terminal: questions, colours, bars, and Ctrl-C."""

import re

import pytest

from tests.system.cli import SANDO
from tests.system.terminal import Terminal
from tests.system.workspace import Workspace, tier

COMMAND = " ".join(SANDO)


HOSTILE = r"printf '\033]0;evil\007\033[2J\033[31mred\033[0m 1%%\rdone\n\303\244 \342\200\256\n'"


def opened(sandod: Workspace, words: str, **more) -> Terminal:
    return Terminal(sandod.url, columns=100, lines=40, command=f"{COMMAND} {words}", **more)


@pytest.fixture
def on_terminal(sandod):
    """`on_terminal("promote a")`: that command, before somebody who can answer."""
    every = []

    def begun(words: str, **more) -> Terminal:
        every.append(opened(sandod, words, **more))
        return every[-1]

    yield begun
    for terminal in every:
        terminal.__exit__()


def code(terminal: Terminal) -> int:
    """Where the shell says how it ended; the terminal is as it was before."""
    return terminal.end()


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """1.0 is green, and nothing happens."""
    root = tmp_path_factory.mktemp("cli") / "ws"
    root.mkdir()
    made = Workspace(root).configure(tier("a", 2)).start()
    made.green("1.0", build=HOSTILE)
    yield made
    assert not made.finish()


@pytest.mark.parametrize(("keys", "expected"), [("n\r", 1), ("\r", 1), ("\x04", 1), ("\x03", 130)])
def test_all_but_a_yes_does_nothing(quiet, keys, expected):
    with opened(quiet, "promote a --wait") as terminal:
        _answer(quiet, terminal, keys, expected)


def _answer(quiet, terminal, keys, expected):
    terminal.see(r"nothing → 1\.0 +from tier mm", "nothing stands in the way", r"nodes +a-1: nothing, switches", r"commits +\w{7} Max: version 1\.0",
                 r"Promote 1\.0 into tier a\? \[y/N\]")  # fmt: skip
    terminal.press(keys)
    assert code(terminal) == expected
    assert quiet.operations("kind=promote") == []
    assert b"Traceback" not in terminal.raw


def test_the_version_that_was_shown_is_the_one_that_goes(sandod, on_terminal):
    sandod.configure(tier("a")).start()
    sandod.green("1.0")
    terminal = on_terminal("promote a --wait")
    terminal.see(r"Promote 1\.0 into tier a\?")
    sandod.green("1.1")
    terminal.press("y\r").see(r"promote 3 of 1\.0 to a: succeeded")
    assert code(terminal) == 0
    assert sandod.link("a-1") == "1.0"
    terminal = on_terminal("rollback a")
    terminal.see("tier a has no earlier version")
    assert code(terminal) == 3


def test_a_rollback_asks_with_what_it_leaves(sandod, on_terminal):
    sandod.configure(tier("a")).start()
    sandod.bring("1.0", "a")
    sandod.bring("1.1", "a")
    terminal = on_terminal("rollback a --wait --json | cat")
    terminal.see(
        r"1\.1 → 1\.0",
        r"1\.1 is marked bad here",
        r"taken back +\w{7} Max: version 1\.1",
        r"Roll back tier a to 1\.0\? \[y/N\]",
    )
    terminal.press("y\r").see('"status":"succeeded"')
    assert sandod.link("a-1") == "1.0"


def test_ctrl_c_leaves_the_operation_and_says_how_to_go_on_and_how_to_stop_it(sandod, on_terminal):
    sandod.configure(tier("a", 1, sandod.waiting("before_switch"))).start()
    sandod.green("1.0")
    terminal = on_terminal("promote a --yes --wait")
    sandod.reached("before_switch")
    terminal.see(r"promote 2 of 1\.0 to a runs", r"switch, \d+\.\ds .* 0 of 1 node")
    terminal.press("ctrl-c").see("not watched any more", r"sando wait\s+2", r"sando abort\s+2")
    assert code(terminal) == 130
    assert sandod.operation(2)["status"] == "running"
    sandod.go("before_switch")
    assert sandod.ended(2)["status"] == "succeeded"


def test_an_abort_asks_with_what_it_would_stop(sandod, on_terminal):
    sandod.configure(tier("a", 2, sandod.waiting("before_switch"))).start()
    sandod.green("1.0")
    sandod.post("/promote/a")
    sandod.reached("before_switch")
    terminal = on_terminal("abort 2")
    terminal.see(r"promote 2 of 1\.0 to a by anonymous is running", r"Abort promote 2 of 1\.0 to a\? \[y/N\]")
    terminal.press("\r")
    assert code(terminal) == 1
    terminal = on_terminal("abort 2 --wait")
    terminal.see("Abort promote 2")
    terminal.press("y\r").see(r"0 of 2 nodes")  # it waits: the abort was taken
    sandod.go("before_switch")
    terminal.see(r"promote 2 of 1\.0 to a: aborted")
    assert code(terminal) == 0


def test_without_a_terminal_to_answer_on_nothing_is_asked(sandod, on_terminal):
    sandod.configure(tier("a")).start()
    sandod.green("1.0")
    terminal = on_terminal("promote a --wait </dev/null")
    terminal.see(r"promote 2 of 1\.0 to a: succeeded")
    assert code(terminal) == 0
    assert b"[y/N]" not in terminal.raw


def test_colours_are_for_terminals_that_want_them(sandod, on_terminal):
    sandod.configure(tier("a", 2)).start()
    sandod.bring("1.0", "a")
    coloured = on_terminal("status")
    coloured.see(r"a +1\.0 +— +steady")
    assert code(coloured) == 0
    assert b"\x1b[32msteady" in coloured.raw
    plain = on_terminal("status", NO_COLOR="1")
    plain.see(r"a +1\.0 +— +steady")
    assert code(plain) == 0
    assert b"\x1b[" not in plain.raw
    ascii_only = on_terminal("status", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    ascii_only.see(r"a +1\.0 +- +steady")
    assert ascii_only.raw.isascii()


def test_what_a_build_says_does_nothing_to_the_terminal(quiet):
    with opened(quiet, "log 1") as terminal:
        terminal.see(r"\ndone\n", r"ä \\u202e")
        assert code(terminal) == 0
        assert not re.search(rb"\x1b\](0|52)|\x1b\[2J|\x1b\[31m", terminal.raw)
