"""A request that came with an Idempotency-Key, and what it was answered: the same request again is not done again. Pure."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from sando.model.answers import Accepted, Told

KEPT = timedelta(days=1)
MOST = 5_000
"""Of each actor; who sends more within a day finds the oldest forgotten."""


class Claim(Struct, frozen=True):
    """`key` and `request` are digests: of the actor with the key, and of what was asked for.

    An answer is an operation, which is told as it stands when it is asked for again, or `told`, which stays as it was.
    """

    key: str
    request: str
    actor: str
    at: datetime
    status: int = 0
    operation: int | None = None
    code: str | None = None
    told: dict[str, Any] | None = None

    def answered(self, answer: Accepted | Told) -> "Claim":
        match answer:
            case Accepted(operation, status, code):
                return replace(self, status=status, operation=operation.id, code=code)
            case Told(body, status):
                return replace(self, status=status, told=msgspec.to_builtins(body))

    def holds(self, now: datetime) -> bool:
        return now - self.at < KEPT
