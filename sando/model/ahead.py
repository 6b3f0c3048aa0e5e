"""What a gate is told beside its own keys: of the tiers further on, and of the backup that lies there."""

from msgspec import Struct

from sando.model.backup import LastGood


class Ahead(Struct, frozen=True):
    """`running` are the other versions that run further on now; `first_release` is true while none ever has."""

    running: tuple[str, ...] = ()
    first_release: bool = True
    fetched: LastGood | None = None
    """The last good fetch."""
