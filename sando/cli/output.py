"""What is written where: answers to stdout, what is said beside them to stderr. Colours are for terminals alone."""

import os
import re
import shutil
import sys
from collections.abc import Iterable
from typing import TextIO, TypeAlias

import msgspec

from sando.cli.outlets import taken
from tui.glyphs import in_ascii
from tui.rows import Row, Segment
from tui.text import clean

Line: TypeAlias = Iterable[Segment]

_SGR = {"ok": "32", "bad": "31", "warn": "33", "busy": "36", "accent": "36", "strong": "1", "dim": "2"}
"""Of the sixteen colours that everybody chooses in the terminal."""
_UNSEEN = re.compile(r"[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def colourful(stream: TextIO) -> bool:
    """NO_COLOR wins; FORCE_COLOR and CLICOLOR_FORCE colour a pipe too; CLICOLOR=0 is one more no."""
    environ = os.environ
    if environ.get("NO_COLOR"):
        return False
    if any(environ.get(name, "0") not in {"", "0"} for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return stream.isatty() and environ.get("TERM") != "dumb" and environ.get("CLICOLOR") != "0"


def width(stream: TextIO) -> int | None:
    """The columns that there are; None where nobody counts them, as in a pipe."""
    return max(20, shutil.get_terminal_size().columns) if stream.isatty() else None


def painted(line: Line, *, colour: bool) -> str:
    """The pieces as one text; what came from outside in them does nothing to a terminal."""
    return "".join(_piece(s, colour=colour) for s in line)


def _piece(segment: Segment, *, colour: bool) -> str:
    text, code = clean(segment.text), _SGR.get(segment.style)
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code and text.strip() else text


def say(*line: Segment | str) -> None:
    """A line of the answer."""
    _write(sys.stdout, line)


def aside(*line: Segment | str, end: str = "\n") -> None:
    """A line beside the answer: why not, how far, what next."""
    sys.stdout.flush()
    _write(sys.stderr, line, end)


def rows(lines: Iterable[Row], *, beside: bool = False) -> None:
    for line in lines:
        _write(sys.stderr if beside else sys.stdout, line)


def _write(stream: TextIO, line: Iterable[Segment | str], end: str = "\n") -> None:
    pieces = [s if isinstance(s, Segment) else Segment(s) for s in line]
    text = painted(pieces, colour=colourful(stream))
    raw((text.rstrip() if end == "\n" else text) + end, stream)


def raw(text: str, stream: TextIO | None = None) -> None:
    """A text that is harmless already; signs that the encoding lacks have others that stand for them."""
    stream = stream or sys.stdout
    encoding = (stream.encoding or "ascii").lower()
    if not encoding.startswith("utf"):
        text = "".join(in_ascii(part) for part in re.split("([\x1b\n])", text))
    whole, out = text.encode("utf-8", "replace").decode(), stream
    taken(out, lambda: (out.write(whole), out.flush()))


def document(body: bytes) -> None:
    """The JSON that sandod answered, as one line. Only what no terminal shows is escaped, which JSON allows anywhere."""
    text = body.decode("utf-8", "replace")
    raw(_UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text).rstrip("\n") + "\n")


def made(value: object) -> None:
    """A document that is made here."""
    document(msgspec.json.encode(value))
