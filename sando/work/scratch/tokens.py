"""What words, numbers, quotes and comments look like to psql, as patterns over bytes; it knows no state.

No text makes one of them look at a byte again and again. Possessive quantifiers would say so more plainly, but those of
Python 3.11.2 (Debian 12) match wrongly: here alternatives exclude each other, and a lookahead, which is never entered
twice, holds what stands between parentheses.
"""

import re

_WORD = rb"[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*"
_NUMBER = rb"[0-9][0-9A-Za-z_.\x80-\xff]*"
_COLON = rb":(?: : | (?=[A-Za-z0-9_\x80-\xff]*[^A-Za-z0-9_\x80-\xff:'$]) )"
_PLAIN = rb"""[^'"$\\;:()\-/0-9A-Za-z_\x80-\xff]+ | -(?=[^-]) | /(?=[^*]) | '[^']*' | "[^"]*" | """ + _COLON
_NUMBERS = _NUMBER + rb"""(?=[^0-9A-Za-z_.\x80-\xff$'"])"""
_WORDS = rb"(?![eE]')" + _WORD + rb"(?=[^A-Za-z0-9_$\x80-\xff])"
_FLAT = _PLAIN + b"|" + _NUMBERS + b"|" + _WORDS

DULL = re.compile(rb"(?:" + _FLAT + rb"|\((?=((?:" + _FLAT + rb")*))\1\))*", re.VERBOSE)
"""What needs no thought, in one step of C: it stops before all else, and before what the next piece could change."""
DULL_BUT_WORDS = re.compile(rb"(?:" + _PLAIN + b"|" + _NUMBERS + b")*", re.VERBOSE)
BLANK = re.compile(rb"[ \t\n\r\f]*")
WORD = re.compile(_WORD)
NUMBER = re.compile(_NUMBER)
VARIABLE = re.compile(rb":[A-Za-z0-9_\x80-\xff]*")
JUNK = re.compile(rb"""[0-9][0-9.]*[A-Za-z_\x80-\xff][0-9A-Za-z_.\x80-\xff]*['"$]""")
DOLLAR = re.compile(rb"\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$")
PARAMETER = re.compile(rb"\$[0-9]+")
IN_DOLLAR = re.compile(rb"\$[A-Za-z0-9_\x80-\xff]*")
IN_E_STRING = re.compile(rb"(?:[^'\\]+|\\.|'')*", re.DOTALL)
CONTINUED = re.compile(rb"(?:[ \t\f\v]|--[^\n\r]*(?=[\n\r]))*[\n\r](?:[ \t\n\r\f\v]|--[^\n\r]*[\n\r])*'")
"""From the end of a string to the quote with which it goes on, a line or more further down."""
GAP = re.compile(rb"(?:[ \t\n\r\f\v]|--[^\n\r]*[\n\r])*(?:--?[^\n\r]*)?")
NESTED = re.compile(rb"/\*|\*/")
LINE_END = re.compile(rb"[\n\r]")
REST = re.compile(rb"[ \t\f\v]*\r?\n")
ROWS_END = re.compile(rb"\n\\\.\r?\n")


def skip(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    """Where a pattern ends that matches from `at`; `at` where it does not."""
    found = pattern.match(data, at)
    return found.end() if found else at
