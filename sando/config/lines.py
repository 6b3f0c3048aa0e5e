"""Where every key of a TOML text stands: a path of keys and indexes -> its line. It judges nothing; tomlkit has done so."""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import tomlkit
from tomlkit.exceptions import TOMLKitError

Path = tuple[str | int, ...]

_TOKEN = re.compile(
    r"""
    (?P<string> \"\"\"(?:[^\\]|\\.)*?\"\"\"\"{0,2} | '''.*?''''{0,2} | "(?:[^"\\\n]|\\.)*" | '[^'\n]*' )
  | (?P<end> \#[^\n]* | \n )
  | (?P<mark> [\[\]{}=,.] )
  | (?P<bare> [^\s\[\]{}=,."'\#]+ )
    """,
    re.VERBOSE | re.DOTALL,
)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


def locate(text: str) -> dict[Path, int]:
    """The line of each table, key and array item of a valid TOML text."""
    return _Scanner(text).scan()


def first_repeat(text: str) -> int:
    """The line that first declares something again, in a text that was refused for it; 1 when none is seen."""
    scanner = _Scanner(text)
    with suppress(RecursionError):  # what follows the refused line has not been bounded by tomlkit
        scanner.scan()
    return min(scanner.repeats, default=1)


def line_of(lines: dict[Path, int], path: Path) -> int:
    """The line of the path, or of the nearest table around it; 1 when there is none."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return 1


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    done = 0
    for match in _TOKEN.finditer(text):
        line += text.count("\n", done, match.start())
        done = match.start()
        yield _Token(str(match.lastgroup), match.group(), line)


class _Scanner:
    """A recursive descent over the tokens; tomlkit's limit of 100 levels bounds its depth."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._now = next(self._tokens, None)
        self._lines: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}  # [[tables]] seen so far: a later [a.b] means the last of them
        self._declared: set[Path] = set()
        self.repeats: list[int] = []

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        while self._now is not None:
            if self._now.kind == "end":
                self._step()
            elif self._now.text == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    def _step(self) -> _Token | None:
        token, self._now = self._now, next(self._tokens, None)
        return token

    def _at(self, marks: str) -> bool:
        return self._now is not None and self._now.kind == "mark" and self._now.text in marks

    def _header(self) -> Path:
        token = self._step()
        line = token.line if token else 1
        many = self._at("[")
        parts = self._key("]")
        while self._at("]"):
            self._step()
        path: Path = ()
        for part in parts[:-1]:
            path = self._enter((*path, part), line)
        path = (*path, *parts[-1:])
        if not many or path not in self._counts:
            self._declare(path, line)
        if many:
            self._lines.setdefault(path, line)
            self._counts[path] = self._counts.get(path, 0) + 1
            path = (*path, self._counts[path] - 1)
        self._lines[path] = line
        return path

    def _declare(self, path: Path, line: int) -> None:
        if path in self._declared:
            self.repeats.append(line)
        self._declared.add(path)

    def _enter(self, path: Path, line: int) -> Path:
        self._lines.setdefault(path, line)
        return (*path, self._counts[path] - 1) if path in self._counts else path

    def _pair(self, table: Path) -> None:
        line = self._now.line if self._now else 1
        parts = self._key("=")
        self._step()
        for part in parts[:-1]:
            table = (*table, part)
            self._lines.setdefault(table, line)
        path = (*table, *parts[-1:])
        self._declare(path, line)
        self._lines[path] = line
        self._value(path)

    def _key(self, until: str) -> list[str]:
        parts = []
        while self._now is not None and not self._at(until):
            token = self._step()
            if token and token.kind in {"bare", "string"}:
                parts.append(_plain(token))
        return parts

    def _value(self, path: Path) -> None:
        if self._at("["):
            self._step()
            index = 0
            while self._inside():
                self._lines[(*path, index)] = self._now.line if self._now else 1
                self._value((*path, index))
                index += 1
        elif self._at("{"):
            self._step()
            while self._inside():
                self._pair(path)
        else:
            while self._now is not None and self._now.kind != "end" and not self._at(",]}"):
                self._step()

    def _inside(self) -> bool:
        """Whether another item follows in this array or table; what separates items is passed, and so is its end."""
        while self._now is not None and (self._now.kind == "end" or self._at(",")):
            self._step()
        if self._now is None or self._at("]}"):
            self._step()
            return False
        return True


def _plain(token: _Token) -> str:
    if token.kind == "bare":
        return token.text
    try:
        return str(tomlkit.value(token.text))
    except (TOMLKitError, ValueError):
        return token.text[1:-1]
