"""Query parameters, checked before anything uses them; a bad one is 422 `bad_field` and names the parameter."""

import re
from collections.abc import Callable, Collection

import falcon

from api.errors import Problem, problem
from sando.model import names

WAIT_MOST = 60.0
LIMIT_MOST = 500
_INTEGER = re.compile(r"[0-9]{1,19}")
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
_FLAGS = {"1": True, "true": True, "0": False, "false": False}


def bad_field(name: str, detail: str) -> Problem:
    return problem(422, "bad_field", f"{name}: {detail}")


def text(req: falcon.Request, name: str) -> str | None:
    values = req.get_param_as_list(name)
    if values is None:
        return None
    if len(values) != 1:
        raise bad_field(name, "is given more than once")
    return values[0]


def whole(req: falcon.Request, name: str, least: int = 0, most: int = 2**62) -> int | None:
    given = text(req, name)
    if given is None:
        return None
    if not _INTEGER.fullmatch(given) or not least <= int(given) <= most:
        raise bad_field(name, f"must be a whole number from {least} to {most}")
    return int(given)


def limit(req: falcon.Request, default: int = 50) -> int:
    given = whole(req, "limit", 1, LIMIT_MOST)
    return default if given is None else given


def wait(req: falcon.Request) -> float:
    """Seconds to hold the answer back; 0 for HEAD, which has nothing to wait for."""
    given = text(req, "wait")
    if given is None:
        return 0.0
    if not _SECONDS.fullmatch(given) or float(given) > WAIT_MOST:
        raise bad_field("wait", f"must be seconds, {WAIT_MOST:.0f} at most")
    return 0.0 if req.method == "HEAD" else float(given)


def flag(req: falcon.Request, name: str) -> bool:
    given = text(req, name)
    if given is None:
        return False
    if given not in _FLAGS:
        raise bad_field(name, "must be 1 or 0")
    return _FLAGS[given]


def one_of(req: falcon.Request, name: str, known: Collection[str]) -> str | None:
    given = text(req, name)
    if given is not None and given not in known:
        raise bad_field(name, f"must be one of {', '.join(known)}")
    return given


def only(req: falcon.Request, *known: str) -> None:
    """A mistyped `hotfx` must not be answered as if it had not been said."""
    for name in req.params:
        if name not in known:
            raise bad_field(ascii(name)[1:-1][:80], f"unknown; there are {', '.join(known)}")


def version(req: falcon.Request) -> str | None:
    """A space is a `+` that a shell forgot to escape."""
    given = text(req, "version")
    if given is None:
        return None
    given = given.replace(" ", "+")
    if not names.is_version(given):
        raise bad_field("version", f"{ascii(given)[:80]} is no version")
    return given


def named(req: falcon.Request, name: str, is_name: Callable[[str], bool]) -> str | None:
    given = text(req, name)
    if given is not None and not is_name(given):
        raise bad_field(name, f"{ascii(given)[:80]} is no {name}")
    return given
