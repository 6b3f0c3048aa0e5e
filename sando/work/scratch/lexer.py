"""Reads SQL as psql reads it, in pieces of any size: statements, and what stands between them. It knows no statement.

A backslash outside of quotes, comments and COPY data is a command that psql would run: whoever judges is told of each.
What psql's versions read in different ways is refused rather than guessed.
"""

from collections.abc import Callable
from typing import TypeAlias

from sando.work.scratch import tokens
from sando.work.scratch.judge import Fate, Judge, Unreadable
from sando.work.scratch.routine import Routine
from sando.work.scratch.tokens import skip
from sando.work.scratch.window import Window

_LONGEST = 16 * 2**20  # of a statement that is wanted whole, of a word and of a comment

_SHOWN = 60

Step: TypeAlias = Callable[[bool], bool]
"""Reads on in one state, True when it got further; with False as argument more text may follow."""


class Lexer:
    """What is left out is replaced by its line feeds, so that line numbers stay true; all else goes on byte by byte."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._text = Window()
        self._step: Step = self._between
        self._inside, self._begun = "", 1  # what is open, and the line in which it begins
        self._statement_line = 1
        self._mark = b""  # that ends what is quoted
        self._parens = 0
        self._routine: Routine | None = None  # None: its words do not matter
        self._nesting = 0
        self._after_block: Step = self._between

    @property
    def in_statement(self) -> bool:
        """A statement is open, and what comes next is not in quotes."""
        return self._step == self._code

    def feed(self, data: bytes) -> bytes:
        """The next piece; answers what may go on."""
        self._text.add(data)
        return self._run(final=False)

    def end(self) -> bytes:
        """There is no more; answers the rest. Unreadable where it ends inside of something."""
        rest = self._run(final=True)
        if self._step == self._code:  # psql would send it as it is
            self._finish()
            rest += self._text.take()
        if self._step != self._between:
            raise Unreadable(self._begun, f"it ends inside {self._inside} that begins here")
        return rest

    def _run(self, *, final: bool) -> bytes:
        while self._step(final):
            pass
        if self._text.waiting() > _LONGEST:
            raise Unreadable(
                self._text.line(self._text.at), f"no end within {_LONGEST // 2**20} MiB: this is no SQL"
            )
        return self._text.take()

    def _go(self, step: Step, to: int) -> bool:
        self._text.at = to
        self._step = step
        return True

    def _open(self, step: Step, width: int, what: str) -> bool:
        self._inside, self._begun = what, self._text.line(self._text.at)
        return self._go(step, self._text.at + width)

    # -- between statements ------------------------------------------------------------------------------------------

    def _between(self, final: bool) -> bool:
        text = self._text
        text.at = skip(tokens.BLANK, text.data, text.at)
        head = text.data[text.at : text.at + 2]
        if not head or (len(head) < 2 and not final):
            return False
        if head == b"--":
            return self._comment(final)
        if head == b"/*":
            return self._open_block(self._between)
        if head[:1] == b"\\":
            return self._command(final)
        if head[:1] == b";":
            return self._go(self._between, text.at + 1)
        return self._begin(final)

    def _comment(self, final: bool) -> bool:
        text, found = self._text, tokens.LINE_END.search(self._text.data, self._text.at)
        if not found and not final:
            return False
        end = found.start() if found else len(text.data)
        if self._step == self._between:
            self._judge.comment(text.data[text.at : end])
        return self._go(self._step, end)

    def _command(self, final: bool) -> bool:
        text, end = self._text, self._text.data.find(b"\n", self._text.at)
        if text.before() != b"\n":
            return self._backslash(final)
        if end < 0 and not final:
            return False
        start, text.at = text.at, len(text.data) if end < 0 else end
        self._judge.command(text.data[start : text.at].rstrip(b"\r"), text.line(start))
        text.leave_out(start)
        return True

    def _backslash(self, final: bool) -> bool:
        text = self._text
        said = text.data[text.at : text.at + _SHOWN]
        if not final and len(said) < _SHOWN and b"\n" not in said:
            return False  # the error is to show the same, however the text was cut
        shown = said.splitlines()[0].decode("utf-8", "backslashreplace")
        raise Unreadable(text.line(text.at), f"`{shown}` is a command to psql, not SQL")

    def _begin(self, final: bool) -> bool:
        text = self._text
        found = tokens.WORD.match(text.data, text.at)
        if found and found.end() == len(text.data) and not final:
            return False
        word = found[0].lower() if found else b""
        self._parens = 0
        self._routine = Routine() if word == b"create" else None
        self._statement_line = text.line(text.at)
        if self._judge.wants(word):
            text.hold = text.at
        self._step = self._code
        return True

    # -- in a statement ------------------------------------------------------------------------------------------------

    def _code(self, final: bool) -> bool:
        text = self._text
        text.at = skip(tokens.DULL_BUT_WORDS if self._routine else tokens.DULL, text.data, text.at)
        two = text.data[text.at : text.at + 2]
        if not two or (two in {b"-", b"/"} and not final):
            return False
        match two[:1]:
            case b"'" | b'"' as quote:
                self._mark = quote  # a doubled one is one text beside the next, which reads the same
                return self._open(self._quoted, 1, "a quoted string" if quote == b"'" else "a quoted name")
            case b"$":
                return self._dollar(final)
            case b":":
                return self._colon(final)
            case b";":
                return self._semicolon()
            case b"(":
                self._parens += 1
            case b")":
                self._parens = max(0, self._parens - 1)
            case b"\\":
                return self._backslash(final)
            case b"-" if two == b"--":
                return self._comment(final)
            case b"/" if two == b"/*":
                return self._open_block(self._code)
            case b"-" | b"/":
                pass
            case _:
                return self._word(final)
        return self._go(self._code, text.at + 1)

    def _word(self, final: bool) -> bool:
        data, at = self._text.data, self._text.at
        if data[at : at + 2] in {b"e'", b"E'"}:
            return self._open(self._e_string, 2, "a quoted string")
        found = tokens.WORD.match(data, at)
        end = found.end() if found else skip(tokens.NUMBER, data, at)
        if end == len(data) and not final:
            return False
        if found and self._routine:
            self._routine.word(found[0].lower(), in_parentheses=self._parens > 0)
            self._routine = self._routine if self._routine.matters else None
        elif not found and tokens.JUNK.match(data, at):
            raise Unreadable(
                self._text.line(at), "a number runs into a quote, which psql may read in two ways"
            )
        return self._go(self._code, end)

    def _dollar(self, final: bool) -> bool:
        data, at = self._text.data, self._text.at
        reach = skip(tokens.IN_DOLLAR, data, at)
        if reach == len(data) and not final:
            return False
        if found := tokens.DOLLAR.match(data, at):
            self._mark = found[0]
            return self._open(self._quoted, len(found[0]), "a text in dollar quotes")
        end = skip(tokens.PARAMETER, data, at)
        if at < end < reach:
            raise Unreadable(
                self._text.line(at), "letters behind a $ and a number, which psql may read in two ways"
            )
        return self._go(self._code, max(end, at + 1))

    def _colon(self, final: bool) -> bool:
        """To psql a word behind a single colon is a variable, and what touches it is a new word."""
        data, at = self._text.data, self._text.at
        if data[at : at + 2] == b"::":
            return self._go(self._code, at + 2)
        end = skip(tokens.VARIABLE, data, at)
        if end == len(data) and not final:
            return False
        if end > at + 1 and data[end : end + 1] in {b"'", b"$"}:
            raise Unreadable(
                self._text.line(at), "a colon, a word and a quote, which psql reads in its own way"
            )
        return self._go(self._code, end)

    def _semicolon(self) -> bool:
        self._text.at += 1
        if not self._parens and not (self._routine and self._routine.depth):
            self._finish()
        return True

    def _finish(self) -> None:
        text, fate = self._text, Fate.KEEP
        if text.hold is not None:
            start, text.hold = text.hold, None
            fate = self._judge.statement(text.data[start : text.at], self._statement_line)
            if fate is Fate.LEAVE_OUT:
                text.leave_out(start)
        if fate is Fate.DATA:
            self._open(self._before_rows, 0, "the data of a COPY")
        else:
            self._step = self._between

    # -- in quotes, comments and data ----------------------------------------------------------------------------------

    def _quoted(self, _final: bool) -> bool:
        text, mark = self._text, self._mark
        found = text.data.find(mark, text.at)
        if found >= 0:
            return self._go(self._code, found + len(mark))
        text.at = max(text.at, len(text.data) - len(mark) + 1)
        return False

    def _e_string(self, final: bool) -> bool:
        text = self._text
        text.at = skip(tokens.IN_E_STRING, text.data, text.at)
        here = text.data[text.at : text.at + 2]
        if here[:1] != b"'" or (len(here) < 2 and not final):
            return False
        return self._go(self._after_e_string, text.at + 1)

    def _after_e_string(self, final: bool) -> bool:
        """Behind a line feed a next quote goes on with the string for the server, but not for psql."""
        text = self._text
        if tokens.CONTINUED.match(text.data, text.at):
            raise Unreadable(
                text.line(text.at), "an E'' string goes on in a next line, which psql reads in its own way"
            )
        if skip(tokens.GAP, text.data, text.at) == len(text.data) and not final:
            return False
        return self._go(self._code, text.at)

    def _open_block(self, then: Step) -> bool:
        self._nesting, self._after_block = 1, then
        return self._open(self._block, 2, "a comment")

    def _block(self, _final: bool) -> bool:
        text = self._text
        while found := tokens.NESTED.search(text.data, text.at):
            self._nesting += 1 if found[0] == b"/*" else -1
            text.at = found.end()
            if not self._nesting:
                return self._go(self._after_block, text.at)
        text.at = max(text.at, len(text.data) - 1)
        return False

    def _before_rows(self, final: bool) -> bool:
        text = self._text
        if text.data.find(b"\n", text.at) < 0 and (not final or text.at == len(text.data)):
            return False
        end = skip(tokens.REST, text.data, text.at)
        if end == text.at:
            raise Unreadable(text.line(text.at), "something stands behind a COPY whose data follow")
        return self._go(self._rows, end - 1)  # the line feed before the first row

    def _rows(self, _final: bool) -> bool:
        text = self._text
        if found := tokens.ROWS_END.search(text.data, text.at):
            return self._go(self._between, found.end())
        text.at = max(text.at, len(text.data) - 4)
        return False
