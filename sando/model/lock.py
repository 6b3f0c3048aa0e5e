"""A hand-taken lock: a value, and whether it holds at a time."""

from datetime import datetime

from msgspec import Struct

from sando.model.names import ANONYMOUS


class Lock(Struct, frozen=True):
    """A hand-taken lock of one tier; it blocks promotions into it until lifted or over."""

    tier: str
    actor: str
    reason: str
    at: datetime
    expires: datetime | None = None

    def renewed_by(self, actor: str, reason: str) -> bool:
        """Whoever took it may change it. Two who have no name are told apart by what they say."""
        return self.actor == actor and (actor != ANONYMOUS or self.reason == reason)

    def holds(self, at: datetime) -> bool:
        return self.expires is None or at < self.expires
