"""`sando abort`: on a terminal it names what would be stopped, and asks first."""

from typing import Any

import click

from sando.cli import asking, options
from sando.cli.acting import start
from sando.cli.codes import DONE, FAILED
from sando.cli.errors import Command
from sando.cli.output import aside
from sando.cli.session import given, session
from sando.cli.wording import subject, when
from sando.client.shapes import Operation
from tui.model.outcome import stopping
from tui.rows import Segment


@click.command(cls=Command)
@options.operation
@options.reason
@options.yes
@options.waits
@options.key
@options.as_json
def abort(operation: int, reason: str, yes: bool, **said: Any) -> int:
    """Stop operation ID at its next safe point: a build at once, a promotion at its next node, as after a failure.

    With --wait: 0 when it was stopped, 1 when it came to another end first.
    """
    with session() as sandod:
        if not yes and asking.on_terminal():
            found = sandod.operation(operation)
            if not found.ended and not asking.yes(_question(found)):
                return FAILED
        path = f"/operations/{operation}/abort"
        return start(sandod, path, given(reason=reason), judge=_stopped, **said)


def _stopped(found: Operation) -> int:
    return DONE if found.status == "aborted" else FAILED


def _question(found: Operation) -> str:
    since = f" since {when(found.started_at)}" if found.started_at else ""
    aside(f"{subject(found)} by {found.actor or 'nobody'} is {found.status}{since}"
          f"{f', step {found.step}' if found.step else ''}")  # fmt: skip
    for node in found.nodes:
        aside(f"  node {node.name} {node.status}")
    if stops := stopping(found):
        aside(Segment(stops, "warn"))
    elif found.kind == "promote":
        aside("it stops at the next node, and its nodes go back as after a failure")
    return f"Abort {subject(found)}?"
