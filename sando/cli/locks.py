"""`sando lock` and `sando unlock`."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from sando.cli import options
from sando.cli.errors import Command
from sando.cli.output import document, say
from sando.cli.session import given, session
from sando.cli.wording import when


class Expiry(click.ParamType[datetime]):
    """`2h`, or a time with its zone."""

    name = "expiry"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        text = str(value)
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return datetime.now(UTC) + timedelta(seconds=options.DURATION.convert(text, param, ctx))
        return at if at.tzinfo else at.astimezone()


@click.command(cls=Command)
@options.tier_or_all
@click.option(
    "--reason", "-m", required=True, metavar="TEXT", help="Why: whoever is held up by it reads this."
)
@click.option("--expires", type=Expiry(), metavar="WHEN", help="2h, 1d, or a time: 2026-11-24T18:00.")
@options.key
@options.as_json
def lock(tier: str, reason: str, expires: datetime | None, key: str | None, as_json: bool) -> None:
    """Let no promotion into TIER, or into all. Rollbacks and builds go on; a promotion that runs is not stopped."""
    until = expires.isoformat(timespec="seconds") if expires else None
    with session() as sandod:
        answer = sandod.act("POST", f"/lock/{tier}", given(reason=reason, expires=until), key)
    if as_json:
        return document(answer.body)
    say(
        f"locked: {_names(answer.json().get('locked'))}{f' until {when(expires)}' if expires else ''}: {reason}"
    )
    return None


@click.command(cls=Command)
@options.tier_or_all
@options.key
@options.as_json
def unlock(tier: str, key: str | None, as_json: bool) -> None:
    """Lift the lock of TIER, or of all."""
    with session() as sandod:
        answer = sandod.act("DELETE", f"/lock/{tier}", None, key)
    if as_json:
        return document(answer.body)
    names = _names(answer.json().get("unlocked"))
    say(f"unlocked: {names}" if names else "nothing was locked")
    return None


def _names(value: object) -> str:
    return ", ".join(str(v) for v in value) if isinstance(value, list) else str(value or "")
