"""`sando history`: what was done, by whom, and how it ended."""

from typing import Any

import click

from sando.cli import options
from sando.cli.errors import Command
from sando.cli.output import aside, document
from sando.cli.session import session
from sando.cli.status import known
from sando.cli.table import Column, show
from sando.cli.wording import STATUS, first_line, in_commands, took, when
from sando.client.shapes import Operation, Operations
from tui.model.outcome import stopping
from tui.rows import Segment

KINDS = ("build", "promote", "rollback", "gate", "backup")


@click.command(cls=Command)
@options.a_tier
@click.option("--kind", type=click.Choice(KINDS), help="Only of this kind.")
@click.option("--status", type=click.Choice(list(STATUS)), help="Only those that stand, or ended, so.")
@click.option(
    "--limit", "-n", type=click.IntRange(1, 500), default=20, show_default=True, help="So many at most."
)
@click.option("--before", "cursor", type=click.IntRange(1), metavar="ID", help="Only older ones than this.")
@options.as_json
def history(as_json: bool, **query: Any) -> None:
    """Show what was done, newest first; with TIER only there. --json is one page of GET /operations."""
    with session() as sandod:
        answer = sandod.get("/operations", query)
        page = sandod.decode(Operations, answer)
        if query["tier"] and not page.operations:
            known(query["tier"], sandod.state())
    if as_json:
        return document(answer.body)
    if not page.operations:
        return aside("nothing was done yet, or nothing like that")
    columns = (Column("ID", right=True), Column("WHAT", 4), Column("TIER", 4), Column("VERSION", 7), Column("STATUS", 9),
               Column("WHEN", 8), Column("TOOK", 4), Column("BY", 4), Column("WHY", gives=True))  # fmt: skip
    show(columns, [_row(o) for o in page.operations])
    if page.next:
        aside(Segment(f"older ones: --before {page.next}", "dim"))
    return None


def _row(o: Operation) -> list[Segment | list[Segment] | str]:
    reason = f"({first_line(o.reason)})" if o.reason else ""
    why = " ".join(part for part in (reason, in_commands(first_line(o.error or "")), stopping(o)) if part)
    status = [Segment(o.status, STATUS.get(o.status, "plain"))]
    if o.rolled_back:
        status.append(Segment(", rolled back", "bad"))
    if o.recovered:
        status.append(Segment(", recovered", "dim"))
    if stopping(o):
        status.append(Segment(", told to stop", "warn"))
    return [str(o.id), o.kind, o.tier, o.version or (o.sha or "")[:7], status, when(o.started_at or o.created_at), took(o),
            o.actor, why]  # fmt: skip
