"""A hand-taken lock: a value, and whether it holds at a time."""

from datetime import datetime

from msgspec import Struct


class Lock(Struct, frozen=True):
    """A hand-taken lock of one tier; it blocks promotions into it until lifted or over."""

    tier: str
    actor: str
    reason: str
    at: datetime
    expires: datetime | None = None

    def holds(self, at: datetime) -> bool:
        return self.expires is None or at < self.expires
