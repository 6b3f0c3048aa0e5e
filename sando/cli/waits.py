"""`sando wait`: to an operation that somebody else has started, or that was left."""

import click

from sando.cli import options
from sando.cli.errors import Command
from sando.cli.outlets import by_code
from sando.cli.progress import finished, follow
from sando.cli.session import session


@click.command(cls=Command)
@options.operation
@click.option(
    "--timeout", type=options.DURATION, metavar="TIME", help="Wait no longer than this (90, 15m, 2h)."
)
@options.as_json
def wait(operation: int, timeout: float | None, as_json: bool) -> int:
    """Watch operation ID until it has ended, over restarts of sandod. Its end is the exit code."""
    by_code()
    with session() as sandod:
        found = sandod.operation(operation)
        if found.ended:
            return finished(sandod, found, as_json=as_json)
        seq = sandod.state().seq
        return follow(sandod, found, seq=seq, timeout=timeout, as_json=as_json)
