"""Names in paths: refused with 404 before anything else sees them."""

import re

from api.errors import Problem, problem
from sando.model import names

_OPERATION = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


def tier(text: str, *, or_all: bool = False) -> str:
    if names.is_tier(text) or (or_all and text == names.EVERY_TIER):
        return text
    raise problem(404, "unknown_tier", f"no tier is called {ascii(text)[:80]}", "GET /state lists the tiers")


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
