"""Requests of the API that sandod's sentences name, as what a person types for them: commands, or keys of the screen. Pure."""

import re
from collections.abc import Callable
from typing import TypeAlias

Rules: TypeAlias = tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]

_READS = {"releases": "releases", "state": "status", "events": "events"}
_REBUILD: Rules = (
    (r"POST /rebuild with its sha, and `force`", "sando rebuild SHA --force"),
    (r"POST /rebuild with its sha", "sando rebuild SHA"),
)
_COMMANDS: Rules = (
    *_REBUILD,
    (r"POST /(promote|rollback|confirm|reject|lock)/([a-z][a-z0-9-]*)", r"sando \1 \2"),
    (r"POST /gates/([a-z][a-z0-9-]*)/([a-z][a-z0-9_-]*)/run", r"sando gate run \1 \2"),
    (r"POST /operations/(\d+)/abort", r"sando abort \1"),
    (r"GET /operations/(\d+)/log", r"sando log \1"),
    (r"DELETE /lock/([a-z][a-z0-9-]*)", r"sando unlock \1"),
    (r"POST /backup/fetch", "sando backup"),
    (r"POST /(rebuild|reload)\b", r"sando \1"),
    (r"(?:GET )?/operations/(\d+)\b", r"operation \1"),
    (r"GET /operations\b", "sando history"),
    (r"GET /(releases|state|events)\b", lambda found: f"sando {_READS[found[1]]}"),
    (r"(?<![\w./])/state\b", "sando status"),
    (r"(?<![\w./])/operations\b", "sando history"),
    (r"`(force|hotfix|abort_running|override_freeze|reset_burn_in)`(?:: true)?", lambda found: f"--{_flag(found[1])}"),
    (r"(?:a )?`reason`", "--reason"),
    (r"\bor hotfix\b", "or --hotfix"),
    (r"\b(abort_running|override_freeze|reset_burn_in)\b", lambda found: f"--{_flag(found[1])}"),
)  # fmt: skip
_ACTS = {"promote": "p (promote)", "rollback": "R (roll back)", "confirm": "c (confirm)"}
_OPTIONS = {"force": "f (force)", "hotfix": "h (hotfix)", "override_freeze": "o (override freeze)", "abort_running": "a (abort running)"}  # fmt: skip
_KEYS: Rules = (
    *_REBUILD,
    (r"POST /(promote|rollback|confirm)/([a-z][a-z0-9-]*)", lambda found: f"{_ACTS[found[1]]} on tier {found[2]}"),
    (r"DELETE /lock/(?!all\b)([a-z][a-z0-9-]*)", r"L (unlock) on tier \1"),
    (r"POST /operations/\d+/abort", "x (abort)"),
    (r"POST /backup/fetch", "b (fetch the backup)"),
    (r"`(force|hotfix|abort_running|override_freeze)`(?:: true)?", lambda found: _OPTIONS[found[1]]),
    (r"\b(abort_running|override_freeze)\b", lambda found: _OPTIONS[found[1]]),
    (r"\bor hotfix\b", "or h (hotfix)"),
    (r"a `reason`", "a reason (i)"),
)  # fmt: skip


def _flag(name: str) -> str:
    return name.replace("_", "-")


def in_commands(text: str) -> str:
    """As commands and their options, for who has a shell."""
    return _put(_COMMANDS, text)


def in_keys(text: str) -> str:
    """As keys, for who has the screen; what has none there is told as a command."""
    return in_commands(_put(_KEYS, text))


def _put(rules: Rules, text: str) -> str:
    for pattern, put in rules:
        text = re.sub(pattern, put, text)
    return text
