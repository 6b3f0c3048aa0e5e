"""Rows that are no values of the domain: a named fact of the daemon's own, and the wish that a row vanish."""

from typing import Any

from msgspec import Struct


class Fact(Struct, frozen=True):
    """One named value, such as the tip that was last accepted."""

    key: str
    value: Any


class Unset(Struct, frozen=True):
    """A fact, the row of a lock or a rollout, or all that was found out about a release, is to vanish in this transaction."""

    of: type
    key: str | int
