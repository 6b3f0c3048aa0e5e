"""`sando releases`: what was built, and all that is known of one of them."""

from typing import Any

import click

from sando.cli import options
from sando.cli.errors import Command
from sando.cli.output import aside, document, say
from sando.cli.session import session
from sando.cli.table import Column, show
from sando.cli.wording import when
from sando.client.shapes import Release, ReleaseDetail, Releases
from tui.model.told import size_of
from tui.rows import Segment
from tui.text import counted


@click.command(cls=Command)
@options.version
@click.option(
    "--limit", "-n", type=click.IntRange(1, 500), default=20, show_default=True, help="So many at most."
)
@click.option(
    "--before",
    "cursor",
    type=click.IntRange(0),
    metavar="CURSOR",
    help="The page after: the `next` of the one before.",
)
@options.as_json
def releases(version: str | None, as_json: bool, **query: Any) -> None:
    """Show what was built, newest first. With VERSION: its files, where it runs, its gates, and the way back from it."""
    if version is not None:
        return _one(version, as_json=as_json)
    with session() as sandod:
        answer = sandod.get("/releases", query)
        page = sandod.decode(Releases, answer)
    if as_json:
        return document(answer.body)
    if not page.releases:
        return aside("nothing was built yet; a git push builds")
    columns = (Column("VERSION", 7), Column("COMMIT", 7), Column("BUILT", 8), Column("GREEN", 5), Column("SIZE", 6, right=True),
               Column("AUTHOR", 6), Column("SUBJECT", gives=True))  # fmt: skip
    show(columns, [_row(r) for r in page.releases])
    if page.next is not None:
        aside(Segment(f"older ones: --before {page.next}", "dim"))
    return None


def _row(r: Release) -> list[Segment | str]:
    green = Segment("yes", "ok") if r.green else Segment("no", "bad")
    return [Segment(r.version, "plain" if r.present else "dim"), r.sha[:7], when(r.built_at), green,
            size_of(r.bytes) if r.present else "pruned", r.author, r.subject]  # fmt: skip


def _one(version: str, *, as_json: bool) -> None:
    with session() as sandod:
        answer = sandod.get(f"/releases/{version}")
        found = sandod.decode(ReleaseDetail, answer)
    if as_json:
        return document(answer.body)
    say(Segment(found.version, "strong"), f", {'green' if found.green else 'never green'}, built {when(found.built_at)}"
        f" by build {found.operation}")  # fmt: skip
    say(f"commit {found.sha}  {found.author}: {found.subject}")
    files = len(found.manifest.files) if found.manifest else 0
    say(f"{counted(files, 'file')}, {size_of(found.bytes)}" if found.present else "its folder was pruned")
    for place in found.runs_on:
        nodes = f", runs on {', '.join(place.nodes)}" if place.nodes else ""
        say(f"{'current on' if place.current else 'on'} tier {place.tier}{nodes}")
    for tier, gates in found.gates.items():
        say(f"gates of tier {tier}: " + ", ".join(f"{g.name or g.kind} {g.outcome}" for g in gates))
    for mark in found.marks:
        say(
            Segment(
                f"marked bad on tier {mark.tier} by {mark.actor}{f': {mark.reason}' if mark.reason else ''}",
                "warn",
            )
        )
    for older, safe in found.rollback_safe.items():
        say(f"back from it to {older}: {safe}")
    return None
