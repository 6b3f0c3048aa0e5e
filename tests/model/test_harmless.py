"""JSON as it leaves: harmless on a terminal, and the same to a parser."""

import json
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sando.model.harmless import harmless
from sando.model.names import visible

TEXT = st.text(alphabet=st.characters(exclude_categories=("Cs",)))


@pytest.mark.campaign
def test_every_character_that_is_made_visible_elsewhere_is_escaped_here():
    for block in range(0, sys.maxunicode + 1, 256):
        if not 0xD800 <= block < 0xE000:
            text = "".join(map(chr, range(block, block + 256)))
            sent = harmless(msgspec.json.encode(text)).decode()
            assert json.loads(sent) == text
            assert visible(sent) == sent, hex(block)


def test_what_people_write_with_stays_as_it_is():
    for text in ("ümlaut ✓ 漢字 🚀", "\u0600\u06dd", "❤\ufe0f", "naïve\u0301"):
        plain = msgspec.json.encode(text)
        assert harmless(plain) == plain


@given(st.recursive(TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)))
def test_a_parser_reads_the_same_and_a_terminal_nothing_that_it_acts_upon(value):
    sent = harmless(msgspec.json.encode(value))
    assert json.loads(sent) == value
    assert visible(sent.decode()) == sent.decode()


def test_what_is_harmless_is_not_copied():
    plain = msgspec.json.encode({"a": ["x" * 1000]})
    assert harmless(plain) is plain
