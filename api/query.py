"""The queries of the API as typed values, and the one door they come through; a bad one is 422 and names the parameter.

An unknown parameter is refused, and one that is there twice: a mistyped `hotfx` must not pass as if nobody had said it.
"""

import re
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, TypeVar

import falcon
import msgspec
from msgspec import Meta, Struct, inspect

from api.errors import Problem, problem
from sando.model import names
from sando.model.operation import Kind, Status

WAIT_MOST = 60.0
LIMIT_MOST = 500
DAYS_MOST = 3650
FAR = 2**62
_INTEGER = re.compile(r"[0-9]{1,19}")
_SECONDS = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,4})?")
_FLAGS = {"1": True, "true": True, "0": False, "false": False}

TierName = Annotated[str, Meta(pattern=f"^(?!{names.EVERY_TIER}\\Z){names.TIER.pattern}\\Z")]
Version = Annotated[str, Meta(pattern=f"^{names.VERSION.pattern}\\Z")]
Reason = Annotated[str, Meta(max_length=1000)]
Seconds = Annotated[float, Meta(ge=0, le=WAIT_MOST)]
Limit = Annotated[int, Meta(ge=1, le=LIMIT_MOST)]
Place = Annotated[int, Meta(ge=0, le=FAR)]
"""A byte, an event, or a place in a list."""


class Query(Struct, frozen=True):
    """The parameters of one path. Every one of them has a default."""


class NoQuery(Query, frozen=True):
    """The path takes no parameter."""


class Wait(Query, frozen=True):
    """`wait`: hold the answer back until the operation has ended, so many seconds at most."""

    wait: Seconds = 0.0


class PromotePlan(Query, frozen=True):
    """What POST /promote would be given."""

    version: Version | None = None
    hotfix: bool = False
    reset_burn_in: bool = False
    force: bool = False
    override_freeze: bool = False
    reason: Reason = ""


class RollbackPlan(Query, frozen=True):
    """What POST /rollback would be given."""

    version: Version | None = None
    force: bool = False
    abort_running: bool = False
    reason: Reason = ""


class Page(Query, frozen=True):
    """`cursor` is what `next` of the page before said; `before` is its older sister, so only one of them is given."""

    cursor: Place | None = None
    before: Place | None = None
    limit: Limit = 50

    def __post_init__(self) -> None:
        if self.cursor is not None and self.before is not None:
            raise bad_field("cursor", "`before` is another name of it; give one of them")

    @property
    def place(self) -> int | None:
        return self.cursor if self.cursor is not None else self.before


class Operations(Page, frozen=True):
    """Filters of the history."""

    tier: TierName | None = None
    kind: Kind | None = None
    status: Status | None = None


class Log(Query, frozen=True):
    """From which byte on; `follow`: go on until the operation has ended; `visible`: as it is safe on a terminal."""

    offset: Place = 0
    follow: bool = False
    visible: bool = False


class Events(Query, frozen=True):
    """The events after `since`; without a WebSocket `wait` holds the answer back until there is one."""

    since: Place | None = None
    limit: Limit = 50
    wait: Seconds = 0.0


class Days(Query, frozen=True):
    """The window, up to now."""

    days: Annotated[int, Meta(ge=1, le=DAYS_MOST)] = 30


Q = TypeVar("Q", bound=Query)


def read(req: falcon.Request, kind: type[Q]) -> Q:
    """The query as `kind`. Raises Problem 422."""
    readers = _readers(kind)
    if not req.params:
        return kind()
    for name in req.params:
        if name not in readers:
            there = f"there are {', '.join(readers)}" if readers else "the path takes no parameter"
            raise bad_field(ascii(name)[1:-1][:80], f"unknown; {there}")
    given = {
        name: reader(name, value)
        for name, reader in readers.items()
        if (value := _one(req, name)) is not None
    }
    if req.method == "HEAD":
        given.pop("wait", None)  # it has nothing to wait for
    return kind(**given)


def bad_field(name: str, detail: str) -> Problem:
    return problem(422, "bad_field", f"{name}: {detail}")


_FORMS = {
    "version": "1 to 64 letters, digits and any of .+_- with a letter or digit first",
    "sha": "4 to 40 hexadecimal digits in lower case",
    "tier": f"1 to 32 lower-case letters, digits and - with a letter first, and not {names.EVERY_TIER}",
    "reason": "more than blanks",
}
"""What the patterns of these fields say, for people."""


def unfit(name: str, given: str) -> Problem:
    """A text that has not the form of its field: what it is, and what is wanted."""
    shown = ascii(given[:60]) + ("…" if len(given) > 60 else "")
    return bad_field(name, f"{shown} is no {name}; wanted: {_FORMS[name]}")


def _one(req: falcon.Request, name: str) -> str | None:
    values = req.get_param_as_list(name)
    if values is not None and len(values) != 1:
        raise bad_field(name, "is given more than once")
    return values[0] if values else None


# -- from the text of a parameter to its value ---------------------------------------------------------------------

Reader = Callable[[str, str], Any]
_known: dict[type[Query], dict[str, Reader]] = {}


def _readers(kind: type[Query]) -> dict[str, Reader]:
    """How each parameter of the query is read, from the types of its fields; worked out once."""
    if kind not in _known:
        _known[kind] = {f.name: _reader(inspect.type_info(f.type)) for f in msgspec.structs.fields(kind)}
    return _known[kind]


def _reader(told: inspect.Type) -> Reader:
    match told:
        case inspect.UnionType(types):
            return _reader(next(t for t in types if not isinstance(t, inspect.NoneType)))
        case inspect.IntType():
            return lambda name, text: _whole(name, text, told.ge or 0, told.le or FAR)
        case inspect.FloatType():
            return _seconds
        case inspect.BoolType():
            return _flag
        case inspect.LiteralType(values):
            return lambda name, text: _one_of(name, text, {str(v): v for v in values})
        case inspect.EnumType(cls):
            members: dict[str, Enum] = {str(m.value): m for m in cls}
            return lambda name, text: _one_of(name, text, members)
        case inspect.StrType(pattern=str(pattern)):
            return lambda name, text: _matching(name, text, re.compile(pattern))
        case inspect.StrType(max_length=int(most)):
            return lambda name, text: _short(name, text, most)
    raise TypeError(told)


def _whole(name: str, text: str, least: int, most: int) -> int:
    if not _INTEGER.fullmatch(text) or not least <= int(text) <= most:
        raise bad_field(name, f"must be a whole number from {least} to {most}")
    return int(text)


def _seconds(name: str, text: str) -> float:
    if not _SECONDS.fullmatch(text) or not 0 <= float(text) <= WAIT_MOST:
        raise bad_field(name, f"must be seconds, {WAIT_MOST:.0f} at most")
    return float(text)


def _flag(name: str, text: str) -> bool:
    if text not in _FLAGS:
        raise bad_field(name, "must be 1 or 0")
    return _FLAGS[text]


def _one_of(name: str, text: str, known: dict[str, Any]) -> Any:
    if text not in known:
        raise bad_field(name, f"must be one of {', '.join(known)}")
    return known[text]


def _matching(name: str, text: str, pattern: re.Pattern[str]) -> str:
    """A space in a version is a `+` that a shell forgot to escape."""
    text = text.replace(" ", "+") if name == "version" else text
    if not pattern.fullmatch(text):
        raise unfit(name, text)
    return text


def _short(name: str, text: str, most: int) -> str:
    if len(text) > most:
        raise bad_field(name, f"must have at most {most} characters")
    return text


for _kind in (NoQuery, Wait, PromotePlan, RollbackPlan, Page, Operations, Log, Events, Days):
    _readers(_kind)
