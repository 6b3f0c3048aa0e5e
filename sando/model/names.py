"""What a name may look like (SPEC 1). Everything that came from outside passes here before it is used."""

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

TIER = re.compile(r"[a-z][a-z0-9-]{0,31}")
NODE = TIER
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}")
SHA = re.compile(r"[0-9a-f]{40}")
SHORT_SHA = re.compile(r"[0-9a-f]{4,40}")
GATE = re.compile(r"[a-z][a-z0-9_-]{0,31}")

ANONYMOUS = "anonymous"
"""The actor of who has no token."""
EVERY_TIER = "all"  # stands for all tiers in /lock, so no tier may be called that


def is_tier(text: str) -> bool:
    return bool(TIER.fullmatch(text)) and text != EVERY_TIER


def is_node(text: str) -> bool:
    return bool(NODE.fullmatch(text))


def is_version(text: str) -> bool:
    return bool(VERSION.fullmatch(text))


def is_sha(text: str) -> bool:
    return bool(SHA.fullmatch(text))


def nearest(word: str, known: Iterable[str]) -> str:
    """The hint "did you mean ...?" for a mistyped word, or nothing when no known word is near."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else ""


def visible(text: str) -> str:
    """The text with control, escape, bidi and invisible characters made visible; line feed and tab stay."""
    return text if text.isascii() and text.isprintable() else "".join(_visible(c) for c in text)


_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_SEEN = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440)}
"""Signs before and around numbers and hieroglyphs: counted as format characters, and drawn."""


def _visible(char: str) -> str:
    code = ord(char)
    if char in "\n\t" or (0x20 <= code < 0x7F):
        return char
    if unicodedata.category(char) not in _UNSEEN or code in _SEEN:
        return char
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
