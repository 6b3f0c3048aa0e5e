"""Names in paths: refused with 404 before anything else sees them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from api.errors import Problem, problem
from sando.model import names

MOST_OPERATION = 10**18 - 1
_OPERATION = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Name:
    """How a parameter of a path is read, the code where it cannot be read, and what it looks like to others."""

    read: Callable[[str], str | int]
    code: str
    schema: dict[str, Any]


def tier(text: str) -> str:
    if names.is_tier(text):
        return text
    raise problem(404, "unknown_tier", f"no tier is called {ascii(text)[:80]}", "GET /state lists the tiers")


def tier_or_all(text: str) -> str:
    return text if text == names.EVERY_TIER else tier(text)


def gate(text: str) -> str:
    if names.GATE.fullmatch(text):
        return text
    raise problem(
        404, "not_found", f"no gate is called {ascii(text)[:80]}", "GET /state lists the gates of each tier"
    )


def version(text: str) -> str:
    if names.is_version(text):
        return text
    raise problem(404, "not_found", f"no release is called {ascii(text)[:80]}", "GET /releases lists them")


def operation(text: str) -> int:
    if _OPERATION.fullmatch(text):
        return int(text)
    raise no_operation(text)


def no_operation(text: str | int) -> Problem:
    return problem(
        404, "not_found", f"there is no operation {ascii(text)[:80]}", "GET /operations lists them"
    )


def _text(pattern: re.Pattern[str]) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{pattern.pattern}$"}


PATH = {
    "tier": Name(tier, "unknown_tier", _text(names.TIER)),
    "gate": Name(gate, "not_found", _text(names.GATE)),
    "version": Name(version, "not_found", _text(names.VERSION)),
    "operation": Name(operation, "not_found", {"type": "integer", "minimum": 1, "maximum": MOST_OPERATION}),
}
"""By the parameter's name; a route may read one in another way."""

TIER_OR_ALL = Name(tier_or_all, "unknown_tier", _text(names.TIER))
