"""A migration as psql is given it: the server gets the statements that sqlx would send, and says where one is wrong."""

import re
from typing import NamedTuple

from sando.work.scratch.judge import Fate, Unreadable
from sando.work.scratch.lexer import Lexer
from sando.work.scratch.sieve import check_settings


class Statement(NamedTuple):
    text: bytes
    first: int
    last: int
    """Its lines in the file, from 1."""


class Script:
    """Keeps its statements on their lines. Unreadable, where psql would do with the file what sqlx does not."""

    def __init__(self, text: bytes) -> None:
        self.statements: list[Statement] = []
        lexer = Lexer(self)
        for piece in re.split(rb"(?<=\n)(?=\n)", text):
            # psql drops an empty line of a statement, and would count it out when it says where an error is.
            lexer.feed(b" " + piece if piece.startswith(b"\n") and lexer.in_statement else piece)
        lexer.end()

    def one_by_one(self) -> bytes:
        out, line = b"", 1
        for statement in self.statements:
            out += b"\n" * (statement.first - line) + b" " + statement.text
            line = statement.last
        return out + b"\n"

    def at_once(self) -> bytes:
        """All of it in one message to the server, as sqlx sends a file that asks for no transaction."""
        out, line = b"", self.statements[0].first if self.statements else 1
        out += b"\n" * (line - 1)
        for statement in self.statements:
            out += b" \n" * (statement.first - line) + b" " + statement.text.removesuffix(b";") + b"\\;"
            line = statement.last
        return out.removesuffix(b"\\;") + b";\n"

    def place(self, line: int, inner: int, *, at_once: bool) -> int:
        """The line of the file, from where psql was and from the line within what it sent; 0 when unknown."""
        if at_once:
            return self.statements[0].first + inner - 1 if inner and self.statements else 0
        sent = next((s for s in self.statements if s.first <= line <= s.last), None)
        return (sent.first + inner - 1 if inner else sent.first) if sent else line

    # -- the judge ---------------------------------------------------------------------------------------------------

    def wants(self, _word: bytes) -> bool:
        return True

    def comment(self, _text: bytes) -> None:
        """Is not sent."""

    def command(self, text: bytes, line: int) -> None:
        said = text[:60].decode("utf-8", "backslashreplace")
        raise Unreadable(line, f"`{said}` is a command to psql, which the server does not understand")

    def statement(self, text: bytes, line: int) -> Fate:
        check_settings(text, line)
        if text[:4].lower() == b"copy" and b"stdin" in text.lower():
            raise Unreadable(line, "COPY FROM stdin brings rows with it, which only psql can send")
        self.statements.append(Statement(text, line, line + text.count(b"\n")))
        return Fate.KEEP
