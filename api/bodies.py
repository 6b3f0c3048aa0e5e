"""The bodies of commands as typed values, and the one door they come through. It never looks at what they mean."""

import json
import re
from datetime import datetime
from typing import Annotated, Any, NoReturn, TypeVar

import falcon
import msgspec
from msgspec import Meta, Struct

from api.errors import Problem, problem
from api.query import Reason, Version, bad_field, unfit
from sando.model import names

MOST_BYTES = 65536

Sha = Annotated[str, Meta(pattern=f"^{names.SHORT_SHA.pattern}\\Z")]


class Body(Struct, frozen=True, forbid_unknown_fields=True):
    """Unknown keys are refused: a mistyped `hotfx` must not pass as a promotion without it."""


class RebuildBody(Body, frozen=True):
    """Without `sha` the tip of the branch; `force` builds also what is green, or being built."""

    sha: Sha | None = None
    force: bool = False
    moved: bool = False
    """What the hook says: the branch moved. A tip that was accepted already is answered with its operation."""
    reason: Reason = ""


class PromoteBody(Body, frozen=True):
    """Without `version` what is current on the tier before. `hotfix` skips that tier's burn-in for this one promotion."""

    version: Version | None = None
    hotfix: bool = False
    reset_burn_in: bool = False
    force: bool = False
    override_freeze: bool = False
    reason: Reason = ""


class RollbackBody(Body, frozen=True):
    """Without `version` the tier is made whole, or steps back.

    `abort_running` stops a promotion that runs there at its next node. The answer is the rollback, `queued` until that has
    ended; then it makes the tier whole on what was current, and `wait` waits for that. Where the promotion came to its end
    all the same, the rollback steps back from it.
    """

    version: Version | None = None
    force: bool = False
    abort_running: bool = False
    reason: Reason = ""


class VerdictBody(Body, frozen=True):
    """A person's yes or no."""

    version: Version | None = None
    reason: Reason = ""


class ReasonBody(Body, frozen=True):
    """Why, for whoever reads the history."""

    reason: Reason = ""


class LockBody(Body, frozen=True):
    """`expires` lies ahead and has a time zone; without it the lock holds until it is lifted."""

    reason: Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"\S")]
    expires: Annotated[datetime, Meta(tz=True)] | None = None


class ReloadBody(Body, frozen=True):
    """`force` also takes away nodes that hold a running version."""

    force: bool = False


class NotifyTestBody(Body, frozen=True):
    """`name` is that of one notifier; all are tried where there is none."""

    name: Annotated[str, Meta(max_length=32)] | None = None


class NoBody(Body, frozen=True):
    """DELETE has nothing to say beyond its path."""


for _kind in Body.__subclasses__():
    msgspec.json.Decoder(_kind)  # before there are threads: two that use a new type at once crash msgspec

B = TypeVar("B", bound=Body)
_FIELD = re.compile(r" - at `\$\.?([^`]*)`")
_UNKNOWN = re.compile(r"unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"missing required field `(.*)`")


def read(req: falcon.Request, kind: type[B]) -> B:
    """The body as `kind`; none at all is an empty object. Raises Problem: 400, 413, 415 or 422."""
    raw = _bytes(req)
    value = _parse(raw) if raw else {}
    try:
        body = msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise _field_error(str(error), value, kind) from None
    except UnicodeEncodeError:  # a key that is no text
        raise bad_field("body", "has half a surrogate pair in an unknown key") from None
    for name, given in msgspec.structs.asdict(body).items():
        if isinstance(given, str) and any("\ud800" <= c <= "\udfff" for c in given):
            raise bad_field(name, "has half a surrogate pair, which is no text")
    return body


def _bytes(req: falcon.Request) -> bytes:
    too_large = problem(413, "too_large", f"the body is larger than {MOST_BYTES} bytes", "send less")
    if (req.content_length or 0) > MOST_BYTES:
        raise too_large
    raw = req.bounded_stream.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise too_large
    if raw:
        _check_type(req)
    return raw


def _check_type(req: falcon.Request) -> None:
    kind, _, parameters = (req.content_type or "").partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    plain = (req.get_header("Content-Encoding") or "identity").lower() == "identity"
    if kind.strip().lower() == "application/json" and charset in {"", "charset=utf-8"} and plain:
        return
    raise problem(
        415,
        "unsupported_media_type",
        "a body must be application/json, in UTF-8 and not compressed",
        "send the header Content-Type: application/json",
    )


def _parse(raw: bytes) -> Any:
    """Parsed strictly; the standard library's parser lets keys be seen before later ones replace earlier ones."""
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise _bad_json("it is not UTF-8") from None
    except RecursionError:
        raise _bad_json("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _bad_json(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except ValueError as error:  # ours from below, and integers of thousands of digits
        raise _bad_json(str(error)) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {ascii(twice)[:80]} is there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _bad_json(why: str) -> Problem:
    return problem(400, "bad_json", f"the body is not usable JSON: {why}")


def _field_error(said: str, value: Any, kind: type[Body]) -> Problem:
    """The sentence of msgspec, with the field in front."""
    if found := _UNKNOWN.search(said):
        keys = ", ".join(kind.__struct_fields__)
        there = f"there are {keys}" if keys else "the body takes none"
        return bad_field(names.visible(found[1])[:80], f"unknown key; {there}")
    if found := _MISSING.search(said):
        return bad_field(found[1], "required")
    at = _FIELD.search(said)
    field = at[1] if at and at[1] else "body"
    if "matching regex" in said:
        return unfit(field, value[field])
    said = _FIELD.sub("", said).replace("`", "")
    return bad_field(field, said[:1].lower() + said[1:])
