"""`sando rebuild`, `sando gate run` and `sando backup`: what sandod works on, started from here."""

from typing import Any

import click

from sando.cli import options
from sando.cli.acting import start
from sando.cli.errors import Command
from sando.cli.session import given, session


@click.command(cls=Command)
@click.argument("sha", type=options.NAME, required=False)
@click.option("--force", is_flag=True, help="Build it again, also where it is green already.")
@options.reason
@options.waits
@options.key
@options.as_json
def rebuild(sha: str | None, force: bool, reason: str, **said: Any) -> int:
    """Build SHA, or the tip of the branch. The build in flight ends: the latest request wins."""
    return _run("/rebuild", given(sha=sha, force=force, reason=reason), **said)


@click.group()
def gate() -> None:
    """Run a gate of a tier once more."""


@gate.command("run", cls=Command)
@options.tier
@options.gate
@options.reason
@options.waits
@options.key
@options.as_json
def run(tier: str, gate: str, reason: str, **said: Any) -> int:
    """Run GATE of TIER once more, on what is current there. The latest outcome counts, whichever it is."""
    return _run(f"/gates/{tier}/{gate}/run", given(reason=reason), **said)


@click.command(cls=Command)
@options.reason
@options.waits
@options.key
@options.as_json
def backup(reason: str, **said: Any) -> int:
    """Fetch the backup that [backup] names. One that fails leaves the older one as it was."""
    return _run("/backup/fetch", given(reason=reason), **said)


def _run(
    path: str, body: dict[str, object], wait: bool, timeout: float | None, key: str | None, as_json: bool
) -> int:
    with session() as sandod:
        return start(sandod, path, body, key=key, wait=wait, timeout=timeout, as_json=as_json)
