"""`sando confirm` and `sando reject`: a person's word on the version that is current, and on no other."""

from typing import Any

import click

from sando.cli import options
from sando.cli.errors import Command
from sando.cli.output import document, say
from sando.cli.session import given, session
from sando.cli.status import known
from tui.rows import Segment


@click.command(cls=Command)
@options.tier
@options.version
@options.reason
@options.key
@options.as_json
def confirm(tier: str, **said: Any) -> None:
    """Say yes to what runs on TIER: its manual_confirm gate passes, for this version and this stay.

    With VERSION only where that one is current; without, what is current now is named, so that no newer one is meant.
    """
    _word("confirm", tier, **said)


@click.command(cls=Command)
@options.tier
@options.version
@options.reason
@options.key
@options.as_json
def reject(tier: str, **said: Any) -> None:
    """Say no to what runs on TIER: its manual_confirm gate fails, until somebody confirms it."""
    _word("reject", tier, **said)


def _word(verb: str, tier: str, version: str | None, reason: str, key: str | None, as_json: bool) -> None:
    with session() as sandod:
        if version is None:
            version = known(tier, sandod.state()).current_version
        answer = sandod.act("POST", f"/{verb}/{tier}", given(version=version, reason=reason), key)
    if as_json:
        return document(answer.body)
    told = answer.json()
    good = told.get("outcome") == "passed"
    say(f"tier {tier}, {told.get('version')}: {told.get('gate')} ",
        Segment(str(told.get("outcome")), "ok" if good else "warn"),
        f", by {told.get('actor')}" if told.get("actor") else "",
        f": {told['message']}" if told.get("message") and told.get("outcome") == "pending" else "")  # fmt: skip
    return None
