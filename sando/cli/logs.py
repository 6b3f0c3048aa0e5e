"""`sando log`: the output of an operation, by byte offset, so that following it loses and repeats nothing."""

import sys
import time
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

import click

from sando.cli import options
from sando.cli.codes import DONE, FAILED
from sando.cli.completers import tiers
from sando.cli.errors import Command
from sando.cli.output import aside, made, raw
from sando.cli.session import Session, passes, session
from sando.cli.status import known
from sando.cli.waiting import done_again, taken_up
from sando.cli.wording import ended as said
from sando.cli.wording import first_line
from sando.client.caller import Answer, Refused, Unreachable
from sando.client.shapes import Operation, Operations
from tui.rows import Segment
from tui.text import line_of_log

P = ParamSpec("P")
T = TypeVar("T")
LOOK_S = 0.2
RETRY_S = 1.0


@click.command(cls=Command)
@options.an_operation
@click.option("--follow", "-f", is_flag=True, help="Go on as it grows, until the operation has ended.")
@click.option("--tier", shell_complete=tiers, help="Without ID: the latest operation of this tier.")
@options.as_json
def log(operation: int | None, follow: bool, tier: str | None, as_json: bool) -> int:
    """Show the output of operation ID; without ID of what runs now, else of what was done last.

    On a terminal what would move its cursor or change its colours is left out; a pipe gets the text as it is.
    --json is a line of JSON for each line of output.
    """
    with session() as sandod:
        number = operation if operation is not None else _latest(sandod, tier)
        if number is None:
            aside("nothing was done yet")
            return DONE
        _show(sandod, number, follow=follow, as_json=as_json)
        return _follow_on(sandod, number, as_json=as_json) if follow else DONE


def _show(sandod: Session, number: int, *, follow: bool, as_json: bool) -> None:
    show = _shown(number, as_json=as_json)
    for text in pieces(sandod, number, follow=follow):
        show.take(text)
    show.end()


def _follow_on(sandod: Session, number: int, *, as_json: bool) -> int:
    """What a restart has cut short goes on in another operation, or it is told that it does not."""
    while True:
        ended, again = _patiently(_end, sandod, number)
        if ended.status != "interrupted":
            return DONE
        if again is None:
            aside(*said(ended), f"; {first_line(ended.error)}" if ended.error else "")
            return FAILED
        aside(Segment(taken_up(ended, again), "warn"))
        number = again.id
        _show(sandod, number, follow=True, as_json=as_json)


def _end(sandod: Session, number: int) -> tuple[Operation, Operation | None]:
    ended = sandod.operation(number)
    return ended, done_again(sandod, ended)


def _latest(sandod: Session, tier: str | None) -> int | None:
    found = sandod.read(Operations, "/operations", {"tier": tier, "limit": 50}).operations
    if tier is not None and not found:
        known(tier, sandod.state())
    chosen = next((o for o in found if o.status == "running"), found[0] if found else None)
    return chosen.id if chosen else None


def pieces(sandod: Session, number: int, *, follow: bool) -> Iterator[str]:
    """The text as it comes; with `follow` until the operation has ended, over restarts of sandod."""
    offset = 0
    while True:
        ended, answer = _patiently(_look, sandod, number, offset) if follow else _look(sandod, number, offset)
        offset = int(answer.headers.get("x-next-offset", offset + len(answer.body)))
        if answer.body:
            yield answer.body.decode("utf-8", "replace")
        elif ended or not follow:
            return
        else:
            time.sleep(LOOK_S)


def _look(sandod: Session, number: int, offset: int) -> tuple[bool, Answer]:
    ended = sandod.operation(number).ended  # asked first: what is written after this is read below
    return ended, sandod.get(f"/operations/{number}/log", {"offset": offset})


def _patiently(ask: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
    """The answer, over restarts of sandod."""
    away = False
    while True:
        try:
            return ask(*args, **more)
        except (Unreachable, Refused) as error:
            if not passes(error):
                raise
            if not away:
                aside(f"sandod is away ({error}); waiting for it")
            away = True
            time.sleep(RETRY_S)


class _Plain:
    """As it is, or on a terminal line by line."""

    def __init__(self) -> None:
        self._harmless = sys.stdout.isatty()
        self._rest = ""

    def take(self, text: str) -> None:
        if not self._harmless:
            return raw(text)
        *whole, self._rest = (self._rest + text).split("\n")
        for line in whole:
            self._line(line)
        return None

    def end(self) -> None:
        if self._rest:
            self._line(self._rest)

    def _line(self, line: str) -> None:
        raw(line_of_log(line) + "\n")


class _Lines(_Plain):
    """A document for each line."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._harmless = True
        self._number = number

    def _line(self, line: str) -> None:
        made({"operation": self._number, "line": line})


def _shown(number: int, *, as_json: bool) -> _Plain:
    return _Lines(number) if as_json else _Plain()
