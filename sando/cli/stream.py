"""`sando events`: what happened, one line for each event, and with -f what happens, without a gap."""

import time
from collections.abc import Iterator

import click
import msgspec

from sando.cli import options
from sando.cli.completers import tiers
from sando.cli.errors import Command
from sando.cli.output import aside, document, say
from sando.cli.session import Session, passes, session
from sando.cli.status import known
from sando.cli.waiting import Page
from sando.cli.wording import when
from sando.client.caller import Answer, Refused, Unreachable
from sando.client.shapes import Event
from tui.model import told
from tui.rows import Segment

PAGE = 500
LATEST = 10
RETRY_S = 1.0


@click.command(cls=Command)
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens from now on, until Ctrl-C.")
@click.option(
    "--since", type=click.IntRange(0), metavar="SEQ", help="Only what came after the event of this number."
)
@click.option(
    "--last", "-n", type=click.IntRange(0), metavar="N", help=f"Only the last N; with -f {LATEST} of them."
)
@click.option("--tier", shell_complete=tiers, help="Only of this tier.")
@options.as_json
def events(follow: bool, since: int | None, last: int | None, tier: str | None, as_json: bool) -> None:
    """Show what happened, oldest first, and end; -f goes on as it happens.

    --json is a line for each event, as it stands in GET /events; the number `seq` is what --since takes.
    """
    with session() as sandod:
        if tier:
            known(tier, sandod.state())
        if since is None:
            most = last if last is not None else LATEST if follow else None
            since = 0 if most is None else max(0, sandod.state().seq - most)
        shown = _Shown(tier, as_json=as_json)
        since = _past(sandod, since, shown)
        if follow:
            _live(sandod, since, shown)


class _Shown:
    """`take` shows an event that was sent as these bytes, if it is wanted."""

    def __init__(self, tier: str | None, *, as_json: bool) -> None:
        self._tier = tier
        self._as_json = as_json

    def take(self, event: Event, sent: bytes) -> None:
        if self._tier not in {None, event.tier}:
            return None
        if self._as_json:
            return document(sent)
        line = told.line(event, 0)
        say(Segment(f"{event.seq:>6} ", "dim"), f"{when(event.at):<9}", Segment(f"{line.kind:<16} ", line.style),
            f"{line.tier:<8} ", line.text)  # fmt: skip
        return None


class _Sent(msgspec.Struct, frozen=True):
    events: tuple[msgspec.Raw, ...]


def _past(sandod: Session, since: int, shown: _Shown) -> int:
    """What is stored; answers the number of the last."""
    while True:
        answer = sandod.get("/events", {"since": since, "limit": PAGE})
        page = sandod.decode(Page, answer)
        for event, sent in zip(page.events, sandod.decode(_Sent, answer).events, strict=True):
            shown.take(event, bytes(sent))
        since = page.seq
        if len(page.events) < PAGE:
            return since


def _live(sandod: Session, since: int, shown: _Shown) -> None:
    """Over losses of the connection and restarts of sandod; each begins after the last event that was shown."""
    away = False
    while True:
        try:
            for event, sent in _heard(sandod, since):
                if away:
                    away = False
                    aside("sandod is back")
                if event is None:
                    continue
                if event.type == "Reset":
                    since = event.state.seq if event.state else since
                    aside(f"the events before {since} are not kept any more")
                    continue
                shown.take(event, sent)
                since = event.seq
        except (Unreachable, Refused) as error:
            if not passes(error):
                raise
            if not away:
                aside(f"sandod is away ({error}); waiting for it")
            away = True
            time.sleep(RETRY_S)


def _heard(sandod: Session, since: int) -> Iterator[tuple[Event | None, bytes]]:
    """Each with the bytes that it was sent as. None: the connection stands."""
    from sando.client.events import Feed  # noqa: PLC0415  (WebSockets are for who follows)

    for texts in Feed(sandod.caller.address).frames(since):
        if not texts:
            yield None, b""
        for text in texts:
            sent = text.encode()
            yield sandod.decode(Event, Answer(200, sent)), sent
