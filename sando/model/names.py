"""What a name may look like (SPEC 1). Everything that came from outside passes here before it is used."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

TIER = re.compile(r"[a-z][a-z0-9-]{0,31}")
NODE = TIER
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}")
SHA = re.compile(r"[0-9a-f]{40}")
SHORT_SHA = re.compile(r"[0-9a-f]{4,40}")
GATE = re.compile(r"[a-z][a-z0-9_-]{0,31}")

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
    """The text with control, escape and bidi characters made visible; line feed and tab stay."""
    return "".join(_visible(c) for c in text)


_BIDI = {
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x206A),
    0x061C,
    0xFEFF,
    0x2028,
    0x2029,
}


def _visible(char: str) -> str:
    code = ord(char)
    if char in "\n\t" or (0x20 <= code < 0x7F):
        return char
    if code < 0x20 or 0x7F <= code < 0xA0:
        return f"\\x{code:02x}"
    if code in _BIDI or 0xD800 <= code < 0xE000:
        return f"\\u{code:04x}"
    return char
