"""What terminals send: keys, sequences that are none, pasted text, in one piece or character by character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.app.keyboard import MOST_PASTED, Keyboard
from tui.model.messages import Key, Pasted


def struck(chars: str) -> list:
    keyboard = Keyboard()
    return [*keyboard.feed(chars), *keyboard.rest()]


def keys(*names: str) -> list[Key]:
    return [Key(name) for name in names]


@pytest.mark.parametrize(
    ("chars", "made"),
    [
        ("pR?", keys("p", "R", "?")),
        ("日é", keys("日", "é")),
        ("\r\n", keys("enter", "enter")),
        ("\t\x7f\x08", keys("tab", "backspace", "backspace")),
        ("\x03\x0c\x15\x17", keys("ctrl-c", "ctrl-l", "ctrl-u", "ctrl-w")),
        ("\x00\x01\x12\x1c\x9b\u202e", []),
        ("\x1b", keys("escape")),
        ("\x1b\x1b", keys("escape", "escape")),
        ("\x1b\x1b[A", keys("escape", "up")),
        ("\x1b[A\x1bOB", keys("up", "down")),
        ("\x1b[H\x1b[4~\x1b[5~\x1b[6~\x1b[Z", keys("home", "end", "page-up", "page-down", "shift-tab")),
    ],
)
def test_keys_have_names(chars, made):
    assert struck(chars) == made


@pytest.mark.parametrize(
    "sequence",
    [
        "\x1bp", "\x1bR", "\x1by", "\x1b[1;5p", "\x1b[1;5A", "\x1b[27;5;112~", "\x1b[112;3u", "\x1b[I", "\x1b[O", "\x1bOp", "\x1bOR",
        "\x1b[<0;10;10M", "\x1b[?62;c", "\x1b[24;80R", "\x1b]11;rgb:00/00/00\x07", "\x1b]11;rgb:ffff/y/R\x1b\\", "\x1bP1$rq\x1b\\",
        "\x1b_Ga=q\x1b\\", "\x1b[[A", "\x1b[3~", "\x1b[15~", "\x1b[3;2~", "\x1b[1;2P", "\x1bOP", "\x1b[200;5R",
    ],
)  # fmt: skip
def test_a_sequence_that_is_no_key_here_is_nothing_at_all(sequence):
    assert struck(sequence) == []
    assert struck(sequence + "j") == keys("j")
    assert struck("j" + sequence) == keys("j")


def test_a_sequence_that_is_cut_off_is_nothing_and_what_comes_after_the_pause_is_typed():
    keyboard = Keyboard()
    assert keyboard.feed("\x1b[1;5") == []
    assert keyboard.waiting
    assert keyboard.rest() == []
    assert keyboard.feed("j") == keys("j")


def test_escape_is_one_when_nothing_follows():
    keyboard = Keyboard()
    assert keyboard.feed("\x1b") == []
    assert keyboard.rest() == keys("escape")
    assert keyboard.rest() == []


@pytest.mark.parametrize("text", ["Ry", "p\ny\n", "\x1b", "\x1b[A", "\x1b[2", "日本", "", "y" * 100])
def test_what_is_pasted_is_one_thing_and_no_key(text):
    pasted = f"\x1b[200~{text}\x1b[201~"
    assert struck(f"j{pasted}k") == [Key("j"), Pasted(text), Key("k")]
    keyboard = Keyboard()
    assert [stroke for char in pasted for stroke in keyboard.feed(char)] == [Pasted(text)]


def test_a_key_that_curses_finds_in_the_midst_of_pasted_text_is_none():
    keyboard = Keyboard()
    assert keyboard.feed("\x1b[200~R") == []
    assert keyboard.named("up") == []
    assert keyboard.rest() == []
    assert keyboard.feed("y\x1b[201~j") == [Pasted("Ry"), Key("j")]
    assert keyboard.named("up") == keys("up")


def test_of_a_large_paste_a_part_is_kept_and_its_end_is_still_found():
    assert struck("\x1b[200~" + "y" * 100_000 + "\x1b[201~" + "j") == [Pasted("y" * MOST_PASTED), Key("j")]


@given(st.text(alphabet=st.sampled_from("\x1b[O]P_\\~;0125ARpy\x07j"), max_size=40))
def test_it_makes_no_difference_in_how_many_pieces_something_comes(chars):
    whole, parts = Keyboard(), Keyboard()
    assert whole.feed(chars) == [stroke for char in chars for stroke in parts.feed(char)]
    assert whole.rest() == parts.rest()
