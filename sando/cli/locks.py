"""`sando lock` and `sando unlock`."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from sando.cli import options
from sando.cli.errors import Command
from sando.cli.output import document, say
from sando.cli.session import given, session
from sando.cli.wording import when

_DATE = re.compile(r"\d{8}")


class Expiry(click.ParamType[datetime]):
    """`2h` from now, or a time; one without a zone is of the clock here."""

    name = "expiry"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return _end(str(value))
        except (ValueError, OverflowError):
            forms = "write how long (30m, 2h, 1d) or when (2026-11-27T10:00:00Z)"
            self.fail(f"{value!r} is no end of a lock; {forms}", param, ctx)


def _end(text: str) -> datetime:
    seconds = options.seconds(text)
    if seconds is not None and not _DATE.fullmatch(text):
        return datetime.now(UTC) + timedelta(seconds=seconds)
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.astimezone()


@click.command(cls=Command)
@options.tier_or_all
@click.option(
    "--reason", "-m", required=True, metavar="TEXT", help="Why: whoever is held up by it reads this."
)
@click.option(
    "--expires", type=Expiry(), metavar="WHEN", help="30m, 2h, 1d, or a time: 2026-11-27T10:00:00Z."
)
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
