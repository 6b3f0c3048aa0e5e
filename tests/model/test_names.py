"""Names: what is taken, what is refused, and what foreign text looks like when it is shown."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sando.model.names import GATE, SHORT_SHA, is_node, is_sha, is_tier, is_version, nearest, visible

TIERS = ["a", "mm", "prod-1", "a" * 32, "x-", "a--b"]
NO_TIERS = ["", "A", "1a", "-a", "a_b", "a.b", "a b", "a\n", "\na", "ä", "a/b", "..", "a" * 33, "a\0", "ａ"]


@pytest.mark.parametrize("text", TIERS)
def test_a_tier_and_a_node_may_be_called(text: str) -> None:
    assert is_tier(text)
    assert is_node(text)


@pytest.mark.parametrize("text", NO_TIERS)
def test_neither_tier_nor_node_may_be_called(text: str) -> None:
    assert not is_tier(text)
    assert not is_node(text)


def test_all_is_no_tier_but_a_node_may_be_called_so() -> None:
    assert not is_tier("all")
    assert is_node("all")


@pytest.mark.parametrize("text", ["0", "0.8.2", "0.8.2+g1a2b3c4.2", "v1_2-rc.1", "Z" * 64])
def test_a_version_may_be_called(text: str) -> None:
    assert is_version(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "-rf",
        "+1",
        "_1",
        "1/2",
        "../1",
        "1 2",
        "1\n",
        "1\0",
        "1é",
        "٣",
        "Z" * 65,
        "$(x)",
        "1;2",
    ],
)
def test_a_version_may_not_be_called(text: str) -> None:
    assert not is_version(text)


@given(st.text(max_size=70))
def test_a_version_is_one_harmless_path_part_and_no_option(text: str) -> None:
    if is_version(text):
        assert text.isascii()
        assert text.isprintable()
        assert not set(text) & set("/\\ ~$`'\"*?[]<>|&;()!{}#%=,@:^")
        assert text[0] not in "-.+_"
        assert len(text) <= 64


@pytest.mark.parametrize(
    ("text", "whole", "short"),
    [
        ("0" * 40, True, True),
        ("abcdef0123" * 4, True, True),
        ("1a2b", False, True),
        ("1a2", False, False),
        ("0" * 41, False, False),
        ("A" * 40, False, False),
        ("0" * 39 + "g", False, False),
        ("0" * 40 + "\n", False, False),
        ("HEAD", False, False),
    ],
)
def test_a_sha_is_forty_small_hex_digits_and_a_short_one_four_or_more(
    text: str, whole: bool, short: bool
) -> None:
    assert is_sha(text) is whole
    assert bool(SHORT_SHA.fullmatch(text)) is short


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("boot_smoke", True),
        ("soak-2", True),
        ("1st", False),
        ("Boot", False),
        ("a/b", False),
        ("a" * 33, False),
    ],
)
def test_a_gate_may_be_called(text: str, good: bool) -> None:
    assert bool(GATE.fullmatch(text)) is good


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("relase_root", "did you mean 'release_root'?"),
        ("lisen", "did you mean 'listen'?"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_the_nearest_known_word_is_the_hint(word: str, hint: str) -> None:
    assert nearest(word, ["listen", "release_root", "workdir"]) == hint


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("fix: ümlaut ✓ 漢字 🚀\n\tline", "fix: ümlaut ✓ 漢字 🚀\n\tline"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb\x00\x7f", "a\\x0db\\x00\\x7f"),
        ("\x9b31m\x85", "\\x9b31m\\x85"),
        ("user\u202etxt.exe", "user\\u202etxt.exe"),
        ("\u2066x\u2069\u200b\u200f\u061c\ufeff", "\\u2066x\\u2069\\u200b\\u200f\\u061c\\ufeff"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\udc80", "\\udc80"),
        ("sof\u00adt \u180e\u206a\ufff9", "sof\\xadt \\u180e\\u206a\\ufff9"),
        ("\U000e0041\U0001d173", "\\U000e0041\\U0001d173"),
        ("\u0600 و\u06dd", "\u0600 و\u06dd"),
    ],
)
def test_control_escape_and_bidi_characters_are_made_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_what_is_shown_has_no_control_and_no_bidi_character_and_does_not_change_again(text: str) -> None:
    shown = visible(text)
    assert visible(shown) == shown
    shown.encode()
    for char in shown:
        assert char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cs", "Zl", "Zp"}
        assert unicodedata.bidirectional(char) not in {
            "RLE",
            "LRE",
            "RLO",
            "LRO",
            "PDF",
            "RLI",
            "LRI",
            "FSI",
            "PDI",
        }
