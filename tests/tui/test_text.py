"""Text is made harmless, measured in cells, cut with a sign: the same for ASCII, Chinese, emoji and attacks."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui import text as t
from tui.glyphs import in_ascii

WILD = st.text(
    alphabet=st.one_of(
        st.characters(),
        st.characters(categories=["Zs"]),
        st.sampled_from("\x1b[]31m日🚀\u0301\u200d\ufe0f\u202e\x00\t\r\n👍🏽🇩🇪"),
    )
)


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07after", "\\x1b]0;title\\x07after"),
        ("\x9b31mred", "\\x9b31mred"),
        ("bell\x07", "bell\\x07"),
        ("a\x00b", "a\\x00b"),
        ("lone \x1b", "lone \\x1b"),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("back\rward", "back\\x0dward"),
        ("\u202edlrow", "\\u202edlrow"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("日本語", "日本語"),
        ("no\xa0break, thin\u2009one, wide\u3000one", "no break, thin one, wide  one"),
        ("e\u0301", "é"),
        ("\u0301leading", "leading"),
        ("z" + "\u0300" * 9, "z\u0300\u0300"),
        ("👍🏽", "👍"),
        ("✔\ufe0f", "✔"),
        ("🇩🇪", "DE"),
        ("\ue000", "\\ue000"),
        ("\ud800", "\\ud800"),
    ],
)  # fmt: skip
def test_what_came_from_outside_is_made_harmless(given_text, shown):
    assert t.clean(given_text) == shown


@given(WILD)
def test_nothing_that_is_clean_has_a_character_that_a_terminal_obeys(text):
    clean = t.clean(text)
    assert not [c for c in clean if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    assert clean.isprintable()
    assert t.cells(clean) >= 0
    assert t.clean(clean) == clean
    assert not clean or t.cells(clean[0]) > 0, "a mark would stand on the frame"


@given(WILD, st.integers(0, 60))
def test_what_is_fitted_takes_exactly_its_columns(text, width):
    assert t.cells(t.fit(text, width)) == width


@given(WILD, st.integers(1, 60))
def test_a_cut_is_signed_and_only_a_cut(text, width):
    shown = t.cut(text, width)
    assert t.cells(shown) <= width
    assert (shown == t.clean(text)) == (t.cells(t.clean(text)) <= width)
    if shown != t.clean(text):
        assert shown.endswith("…")


@given(WILD, st.integers(0, 40))
def test_head_and_what_is_behind_it_are_the_whole(text, width):
    clean = t.clean(text)
    missing = (
        t.cells(clean)
        - t.cells(t.head(clean, width))
        - t.cells(t.behind(clean, t.cells(t.head(clean, width))))
    )
    assert missing == 0
    assert t.cells(t.behind(clean, width)) == max(0, t.cells(clean) - width)


@given(WILD, st.integers(1, 40))
def test_no_wrapped_line_is_wider_than_it_may_be_and_no_word_is_lost(text, width):
    lines = t.wrap(text, max(2, width))
    assert all(t.cells(line) <= max(2, width) for line in lines)
    kept = "".join("".join(lines).split())
    assert kept == "".join("".join(t.clean(part).split()) for part in text.split("\n"))


def test_words_are_kept_whole_where_that_is_possible():
    assert t.wrap("a tier is locked by max", 10) == ["a tier is", "locked by", "max"]
    assert t.wrap("one\n\ntwo", 10) == ["one", "", "two"]
    assert t.wrap("日本語日本語", 5) == ["日本", "語日", "本語"]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("  10%\r  50%\r 100%\n", " 100%"),
        ("\x1b[2K\x1b[1mdone\x1b[0m", "done"),
        ("a\tb", "a       b"),
        ("windows\r\n", "windows"),
        ("beep\x07", "beep\\x07"),
    ],
)
def test_a_line_of_a_log_is_what_its_terminal_would_have_kept(line, shown):
    assert t.line_of_log(line) == shown


@given(WILD)
def test_in_ascii_every_column_stays_where_it_is(text):
    clean = t.clean(text)
    assert in_ascii(clean).isascii()
    assert len(in_ascii(clean)) == t.cells(clean)


@pytest.mark.parametrize(("count", "words"), [(0, "0 lines"), (1, "1 line"), (2, "2 lines")])
def test_one_is_not_many(count, words):
    assert t.counted(count, "line") == words
