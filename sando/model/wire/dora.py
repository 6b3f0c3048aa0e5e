"""GET /dora: the four numbers of DORA, by tier."""

from msgspec import Struct

from sando.model.wire.stamp import Stamp


class Deploys(Struct, frozen=True):
    """The promotions that ended within the window, by how they ended."""

    succeeded: int
    failed: int
    errored: int
    aborted: int
    interrupted: int


class Frequency(Struct, frozen=True):
    """Promotions that succeeded."""

    count: int
    per_day: float


class LeadTime(Struct, frozen=True):
    """From the push of a release to its first successful deploy on the tier; null where there was none."""

    count: int
    median_s: float | None
    p90_s: float | None


class Changes(Struct, frozen=True):
    """Of the promotions that came to a verdict (`of`), those that failed or were rolled back from; null where none did."""

    count: int
    of: int
    rate: float | None


class Restore(Struct, frozen=True):
    """From the start of a promotion that failed to the end of what put the tier right. `open`: not put right yet."""

    count: int
    open: int
    median_s: float | None
    p90_s: float | None


class TierDora(Struct, frozen=True):
    """One tier within the window."""

    name: str
    deploys: Deploys
    rollbacks: int
    lead_time: LeadTime
    deploy_frequency: Frequency
    change_fail_rate: Changes
    time_to_restore: Restore


class Dora(Struct, frozen=True):
    """`since` to `until` is the window."""

    days: int
    since: Stamp
    until: Stamp
    tiers: tuple[TierDora, ...]
