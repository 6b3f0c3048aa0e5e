"""Single values of the config files: text, numbers, durations, commands, paths. Each function parses one or raises Bad."""

import re
from collections.abc import Callable, Iterable, Sequence
from posixpath import normpath
from typing import TypeVar

from sando.config.lines import Path
from sando.model.names import GATE, is_node, is_tier, nearest, visible
from sando.model.topology import Command

T = TypeVar("T")

INT64 = 2**63
MAX_DURATION = 3660 * 86400  # ten years: beyond it, arithmetic on dates ends
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile("".join(rf"(?:([0-9]{{1,9}}){unit})?" for unit in _UNITS))
_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a decimal number",
    str: "a string",
    list: "a list",
    dict: "a table",
}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Bad(Exception):
    """What is wrong with a value, and the next step; `at` leads from its key to the item meant."""

    def __init__(self, text: str, *at: str | int) -> None:
        super().__init__(text)
        self.found: list[tuple[Path, str]] = [(at, text)]


def kind_of(value: object) -> str:
    return _KINDS.get(type(value), "a date or time")


def shown(value: object) -> str:
    """A value for an error text: short, and harmless to print (a huge hexadecimal integer has no decimal text)."""
    if isinstance(value, str):
        return f"'{visible(value[:60])}{'…' if len(value) > 60 else ''}'"
    if isinstance(value, int) and abs(value) < INT64:
        return str(value).lower()
    return kind_of(value)


def string(value: object) -> str:
    """Any text without NUL and other control characters but line feed and tab; it may be empty."""
    if not isinstance(value, str):
        raise Bad(f"is {kind_of(value)}, must be a string; put it in quotes")
    if any(visible(char) != char for char in value):
        raise Bad(f"has control characters: {shown(value)}; remove them")
    return value


def text(value: object) -> str:
    """One line of text, not empty."""
    line = string(value)
    if not line.strip():
        raise Bad("is empty; give it a value or remove the key")
    if "\n" in line or "\t" in line:
        raise Bad(f"has control characters: {shown(line)}; remove them")
    return line


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Bad(f"is {kind_of(value)}, must be true or false")
    return value


def between(low: int, high: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Bad(f"is {kind_of(value)}, must be an integer from {low} to {high}")
        if not low <= value <= high:
            said = shown(value) if abs(value) < INT64 else "far too large"
            raise Bad(f"is {said}, must be from {low} to {high}")
        return value

    return parse


def one_of(choices: Sequence[T], what: str = "value") -> Callable[[object], T]:
    """One of some words; a mistyped one is answered with the nearest."""

    def parse(value: object) -> T:
        word = text(value)
        for choice in choices:
            if choice == word:
                return choice
        words = [str(choice) for choice in choices]
        raise Bad(f"unknown {what} {shown(word)}; {nearest(word, words) or 'use one of ' + ', '.join(words)}")

    return parse


def items(parse: Callable[[object], T], *, filled: bool = True) -> Callable[[object], tuple[T, ...]]:
    """A list of such values; a bad one is reported at its place."""

    def parse_all(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise Bad(f"is {kind_of(value)}, must be a list; put it in [ ]")
        if filled and not value:
            raise Bad("is an empty list; fill it or remove the key")
        return tuple(_each(parse, enumerate(value)))

    return parse_all


def _each(parse: Callable[[object], T], values: Iterable[tuple[str | int, object]]) -> list[T]:
    """All of them, or one Bad with everything that is wrong, each at its place."""
    done: list[T] = []
    bad = Bad("")
    bad.found = []
    for at, value in values:
        try:
            done.append(parse(value))
        except Bad as one:
            bad.found += [((at, *path), said) for path, said in one.found]
    if bad.found:
        raise bad
    return done


def duration(value: object) -> float:
    """Seconds of `"30m"`, `"1h30m"`, `"500ms"` or a plain integer of seconds."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Bad(f'is {kind_of(value)}, must be a duration; write "30m", "1h30m" or "500ms"')
    if isinstance(value, int):
        return float(_limited(value))
    found = _DURATION.fullmatch(value)
    if not found or not any(found.groups()):
        raise Bad(f'is {shown(value)}, no duration; write "30m", "48h", "1h30m", "2d" or "500ms"')
    return _limited(sum(int(n) * size for n, size in zip(found.groups("0"), _UNITS.values(), strict=True)))


def _limited(seconds: float) -> float:
    if not 0 <= seconds <= MAX_DURATION:
        raise Bad("is negative or longer than ten years; write a duration such as 30m")
    return seconds


def positive(value: object) -> float:
    seconds = duration(value)
    if not seconds:
        raise Bad('must be longer than zero; write "30s" or remove the key')
    return seconds


def argv(value: object) -> tuple[str, ...]:
    """A list that is executed as it stands: a program and its arguments."""
    words = items(string, filled=False)(value)
    if words and not words[0].strip():
        raise Bad("the program's name is empty", 0)
    return words


def command(value: object) -> Command:
    """A string for `sh -c`, or a list to execute; neither may be empty."""
    if not isinstance(value, str | list):
        raise Bad(f'is {kind_of(value)}, must be a command; write "make test" or ["make", "test"]')
    found: Command = string(value) if isinstance(value, str) else argv(value)
    if not found or (isinstance(found, str) and not found.strip()):
        raise Bad('is empty, must be a command; write "make test" or ["make", "test"]')
    return found


def environment(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Bad(f'is {kind_of(value)}, must be a table; write {{ NAME = "value" }}')
    return dict(_each(_variable, ((name, (name, item)) for name, item in value.items())))


def _variable(pair: object) -> tuple[str, str]:
    name, value = pair if isinstance(pair, tuple) else ("", pair)
    if not _VARIABLE.fullmatch(name):
        raise Bad("is no variable's name; use letters, digits and _")
    return name, string(value)


def folder(value: object) -> str:
    """An absolute path in its plain form: no `..`, no doubled or trailing slash; never `/` itself."""
    path = text(value)
    if not path.startswith("/"):
        raise Bad(f"is {shown(path)}, must be an absolute path; start it with /")
    if ".." in path.split("/"):
        raise Bad(f"is {shown(path)}, has '..' in it; write the path that it means")
    plain = normpath("/" + path.lstrip("/"))
    if plain == "/":
        raise Bad("is the root of the file system; name a folder or file in it")
    return plain


def relative(value: object) -> str:
    """A path inside the checkout: not absolute, no `..`, and nothing that a program could take for an option."""
    path = text(value)
    if path.startswith(("/", "-")) or ".." in path.split("/"):
        raise Bad(f"is {shown(path)}, must be a relative path without '..' and without a leading '-'")
    return normpath(path)


def tier_name(value: object) -> str:
    name = text(value)
    if not is_tier(name):
        raise Bad(
            f"is {shown(name)}, no tier's name; use a-z, 0-9 and -, a letter first, 32 at most, not 'all'"
        )
    return name


def node_name(value: object) -> str:
    name = text(value)
    if not is_node(name):
        raise Bad(f"is {shown(name)}, no node's name; use a-z, 0-9 and -, a letter first, 32 at most")
    return name


def gate_name(value: object) -> str:
    name = text(value)
    if not GATE.fullmatch(name):
        raise Bad(f"is {shown(name)}, no gate's name; use a-z, 0-9, - and _, a letter first, 32 at most")
    return name


def branch(value: object) -> str:
    """A branch by the rules of git check-ref-format."""
    name = text(value)
    if not is_branch(name):
        raise Bad(f"is {shown(name)}, no branch's name for git; write main or release/1.0")
    return name


def is_branch(name: str) -> bool:
    if (
        name in {"", "@", "HEAD"}
        or name.startswith("-")
        or name.endswith(".")
        or "@{" in name
        or ".." in name
    ):
        return False
    if any(ord(char) <= ord(" ") or char in "~^:?*[\\\x7f" for char in name):
        return False
    return all(part and not part.startswith(".") and not part.endswith(".lock") for part in name.split("/"))
