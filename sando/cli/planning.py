"""`sando plan`: the question without the act. Its exit code is the one that the act would end with now."""

import sys
from typing import Any

import click

from sando.cli import asking, options
from sando.cli.codes import DONE, of_code
from sando.cli.errors import Command
from sando.cli.output import document, rows, width
from sando.cli.session import given, session
from sando.client.shapes import Plan


@click.group()
def plan() -> None:
    """What a promotion or a rollback would do, and what stands in its way. Nothing is done.

    The exit code is what the act would be answered with: 0 where it would go, 3 or 4 where it would be refused.
    """


@plan.command(cls=Command)
@options.tier
@options.version
@click.option("--hotfix", is_flag=True, help="As with `sando promote`.")
@click.option("--reset-burn-in", is_flag=True, help="As with `sando promote`.")
@click.option("--force", is_flag=True, help="As with `sando promote`.")
@click.option("--override-freeze", is_flag=True, help="As with `sando promote`; needs --reason.")
@options.reason
@options.as_json
def promote(tier: str, as_json: bool, **wish: Any) -> int:
    """What bringing VERSION into TIER would do: nodes, commits, migrations, what blocks it, the way back."""
    return _plan("promote", tier, given(**wish), as_json=as_json)


@plan.command(cls=Command)
@options.tier
@options.version
@click.option("--force", is_flag=True, help="As with `sando rollback`.")
@click.option("--abort-running", is_flag=True, help="As with `sando rollback`.")
@options.reason
@options.as_json
def rollback(tier: str, as_json: bool, **wish: Any) -> int:
    """Where taking TIER back would lead, what would be marked bad, and which migrations stay applied."""
    return _plan("rollback", tier, given(**wish), as_json=as_json)


def _plan(act: str, tier: str, wish: dict[str, object], *, as_json: bool) -> int:
    with session() as sandod:
        answer = sandod.get(f"/plan/{act}/{tier}", wish)
        found = sandod.decode(Plan, answer)
    if as_json:
        document(answer.body)
    else:
        rows(asking.drawn(found, min(width(sys.stdout) or asking.WIDEST, asking.WIDEST)))
    return DONE if found.ready else of_code(found.code or "", found.status)
