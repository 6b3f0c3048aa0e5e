"""What a command is answered with: an operation, a plain fact, or a refusal that says what would clear it."""

from collections.abc import Iterable
from typing import Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from sando.model.operation import Operation


class Check(Struct, frozen=True):
    """One precondition with its verdict; `clears` says when or by what it would turn, and is empty where it holds.

    It names things (a time, a request, an option, an end), so that it reads after whatever a face puts before it.
    """

    check: str
    verdict: Literal["ok", "blocked", "warning"]
    detail: str
    gate: str | UnsetType = UNSET
    outcome: str | UnsetType = UNSET
    clears: str = ""


class Accepted(Struct, frozen=True):
    """The operation that the command made (202) or found (200, with the `code` that says why nothing was made)."""

    operation: Operation
    status: int = 202
    code: str | None = None


class Told(Struct, frozen=True):
    """A command that needs no operation is done; `body` is what the caller gets, a value of `wire` or a forecast."""

    body: Struct
    status: int = 200


class Refusal(Struct, frozen=True):
    """Why not: a status and a code of the contract, a sentence, and the next step."""

    status: int
    code: str
    detail: str
    hint: str = ""
    operation: Operation | None = None
    blocking: tuple[Check, ...] = ()


class Ruling(Struct, frozen=True):
    """A precondition of an act as it stands, with the answer that the act gives where it does not hold."""

    check: Check
    refusal: Refusal | None = None


def holds(check: str, detail: str) -> Ruling:
    return Ruling(Check(check, "ok", detail))


def warns(check: str, detail: str, clears: str = "") -> Ruling:
    """Worth knowing; the act is not refused for it."""
    return Ruling(Check(check, "warning", detail, clears=clears))


def bars(check: str, refusal: Refusal, clears: str = "") -> Ruling:
    return Ruling(Check(check, "blocked", refusal.detail, clears=clears or refusal.hint), refusal)


def first_refusal(rulings: Iterable[Ruling]) -> Refusal | None:
    """What the act answers: the first that stands in the way, told with all that do."""
    rulings = tuple(rulings)
    first = next((r.refusal for r in rulings if r.refusal), None)
    return first and replace(first, blocking=tuple(r.check for r in rulings if r.check.verdict == "blocked"))


Answer: TypeAlias = Accepted | Told | Refusal


def unavailable() -> Refusal:
    return Refusal(
        503,
        "store_unavailable",
        "the store cannot be written just now (disk full, or locked by another program); nothing was changed",
        "see the log of sandod, make room or end the other program, then try again",
    )


def unseen(version: str, why: str) -> Refusal:
    """Whether a release is as it was built is not known: that is no word against it."""
    return Refusal(
        503,
        "store_unavailable",
        f"the release {version} could not be looked at just now ({why}); nothing was changed",
        "see the log of sandod, then try again",
    )


def restarting(operation: Operation | None = None) -> Refusal:
    return Refusal(
        503,
        "restarting",
        "the part of sandod that had this request stopped and is being restarted",
        "look at /state and try again",
        operation,
    )


def draining() -> Refusal:
    return Refusal(503, "draining", "sandod is stopping and takes no new work", "try again when it is back")
