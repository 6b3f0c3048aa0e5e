"""`sando dora`: the four numbers of DORA, by tier."""

import click
from msgspec import Struct

from sando.cli import options
from sando.cli.errors import Command
from sando.cli.output import aside, document
from sando.cli.session import session
from sando.cli.table import Column, show
from sando.model.clock import span
from tui.glyphs import NONE
from tui.rows import Segment


class Times(Struct, frozen=True):
    count: int = 0
    median_s: float | None = None
    p90_s: float | None = None
    open: int = 0


class Rate(Struct, frozen=True):
    count: int = 0
    of: int = 0
    rate: float | None = None
    per_day: float = 0.0


class TierDora(Struct, frozen=True):
    name: str
    lead_time: Times = Times()
    deploy_frequency: Rate = Rate()
    change_fail_rate: Rate = Rate()
    time_to_restore: Times = Times()


class Dora(Struct, frozen=True):
    """GET /dora."""

    days: int
    tiers: tuple[TierDora, ...]


@click.command(cls=Command)
@click.option("--days", type=click.IntRange(1), default=30, show_default=True, help="The window, up to now.")
@options.as_json
def dora(days: int, as_json: bool) -> None:
    """Show for each tier how long changes take to it, how often they come, how many fail, and how fast that is mended."""
    with session() as sandod:
        answer = sandod.get("/dora", {"days": days})
        found = sandod.decode(Dora, answer)
    if as_json:
        return document(answer.body)
    columns = (Column("TIER", 4), Column("DEPLOYS", right=True), Column("PER DAY", right=True),
               Column("LEAD TIME", right=True), Column("(P90)", right=True), Column("FAILED", right=True),
               Column("RESTORED IN", right=True), Column("NOT YET", right=True))  # fmt: skip
    show(columns, [_row(t) for t in found.tiers])
    aside(Segment(f"of the last {found.days} days; times are medians", "dim"))
    return None


def _row(t: TierDora) -> list[Segment | str]:
    failed = t.change_fail_rate
    rate = f"{failed.count} of {failed.of} ({failed.rate:.0%})" if failed.rate is not None else NONE
    return [t.name, str(t.deploy_frequency.count), f"{t.deploy_frequency.per_day:.2f}", _time(t.lead_time.median_s),
            _time(t.lead_time.p90_s), rate, _time(t.time_to_restore.median_s), str(t.time_to_restore.open or "")]  # fmt: skip


def _time(value: float | None) -> str:
    return NONE if value is None else span(value)
