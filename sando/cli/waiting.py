"""Watches one operation until it has ended: each step is told once, over restarts of sandod, and Ctrl-C ends only that."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from msgspec import Struct

from sando.cli.session import Session, passes
from sando.cli.wording import first_line, in_commands, seconds, subject
from sando.client.caller import Refused, Unreachable
from sando.client.shapes import Event, Operation, Operations
from sando.model.errors import SandoError
from tui.model import told
from tui.model.outcome import stopping
from tui.rows import Segment, Style

FIRST_S, LONGEST_S = 0.2, 2.0
"""So long an answer may be held back: short while much happens."""
RETRY_S = 0.5
AWAY_S = 120.0
"""Whoever is away for longer will not be waited for."""
EVENTS = frozenset({"GateStart", "GateDone", "BuildStart", "NodeReverted", "HotfixUsed"})
"""What an operation itself does not tell."""


class StillRunning(SandoError):
    """The time is over, not the operation."""

    def __init__(self, operation: Operation) -> None:
        super().__init__(f"{subject(operation)} still runs; {go_on(operation)}")
        self.operation = operation


class Shown(Protocol):
    """Who shows how far it is."""

    def line(self, *pieces: Segment) -> None: ...

    def far(self, operation: Operation) -> None: ...


def go_on(operation: Operation) -> str:
    """How to look at it again, and how to stop it; a rollback goes on to its end, and once is enough."""
    number = operation.id
    stops = "" if operation.kind == "rollback" or stopping(operation) else f", sando abort {number} stops it"
    return f"sando wait {number} goes on watching it, sando log {number} -f shows its output{stops}"


def done_again(sandod: Session, ended: Operation) -> Operation | None:
    """What sandod has begun anew after it died under this one, or stopped."""
    if ended.status != "interrupted":
        return None
    found = sandod.read(Operations, "/operations", {"kind": ended.kind, "limit": 50}).operations
    return next((o for o in found if o.details.get("again") == ended.id), None)


def taken_up(ended: Operation, again: Operation) -> str:
    return f"{subject(ended)} was interrupted; {subject(again)} does it again"


class Watch(Struct):
    """`watch` to the end. `seq` is the last event that was told of; None: events are not asked for."""

    sandod: Session
    shown: Shown
    seq: int | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def watch(self, operation: Operation, timeout: float | None = None) -> Operation:
        """The operation as it ended. Raises StillRunning, Unreachable after two minutes without sandod, Refused."""
        until = float("inf") if timeout is None else self.clock() + timeout
        before = Operation(operation.id, operation.kind, operation.tier, "queued")
        hold, lost = FIRST_S, None
        while True:
            for line in steps(before, operation):
                self.shown.line(*line)
            self.shown.far(operation)
            hold = FIRST_S if operation != before else min(hold * 1.5, LONGEST_S)
            before = operation
            if operation.ended:
                with contextlib.suppress(Unreachable, Refused):  # it has ended, whatever becomes of sandod
                    self._tell_events(operation.id)
                return operation
            if (left := until - self.clock()) <= 0:
                raise StillRunning(operation)
            try:
                operation = self.sandod.operation(operation.id, round(max(0.05, min(hold, left)), 3))
                self._tell_events(operation.id)
                if lost is not None:
                    self.shown.line(Segment("sandod is back", "ok"))
                lost = None
            except (Unreachable, Refused) as error:
                lost = self._lost(error, lost)

    def _lost(self, error: Unreachable | Refused, lost: float | None) -> float:
        """Since when it is away. A refusal that a restart does not explain is one."""
        if not passes(error):
            raise error
        if lost is None:
            self.shown.line(Segment(f"sandod is away ({error}); waiting for it", "warn"))
            lost = self.clock()
        if self.clock() - lost > AWAY_S:
            raise error
        self.sleep(RETRY_S)
        return lost

    def _tell_events(self, number: int) -> None:
        while self.seq is not None:
            page = self.sandod.read(Page, "/events", {"since": self.seq, "limit": 500})
            for event in page.events:
                if event.operation == number and event.type in EVENTS:
                    self.shown.line(*_event(event))
            self.seq = page.seq
            if len(page.events) < 500:
                return


class Page(Struct, frozen=True):
    """GET /events without an upgrade."""

    events: tuple[Event, ...]
    seq: int


def _event(event: Event) -> tuple[Segment, ...]:
    line = told.line(event, 0)
    text = line.text.removeprefix(f"#{event.operation} ")
    word = {"GateStart": "gate ", "GateDone": "gate "}.get(event.type, f"{event.type}: ")
    running = " running" if event.type == "GateStart" else ""
    return Segment(word), Segment(text.removeprefix(f"{event.version} ") + running, line.style)


_NODE: dict[str, Style] = {"failed": "bad", "unknown": "bad", "reverted": "warn"}


def steps(before: Operation, now: Operation) -> Iterator[tuple[Segment, ...]]:
    """What is new between two looks."""
    if now.status == "running" and before.status == "queued":
        yield (Segment(f"{subject(now)} runs"),)
    if now.step and now.step != before.step and not now.ended:
        yield (Segment(now.step, "busy"),)
    if (stops := stopping(now)) and not stopping(before):
        yield (Segment(stops, "warn"),)
    known = {n.name: n.status for n in before.nodes}
    for node in now.nodes:
        if node.status != known.get(node.name, "pending"):
            style = _NODE.get(node.status, "ok")
            why = in_commands(first_line(node.detail)) if node.status in _NODE else ""
            at = f" ({node.version})" if node.version and node.status in {"ok", "reverted"} else ""
            yield (
                Segment(f"node {node.name} "),
                Segment(node.status, style),
                Segment(f"{at}: {why}" if why else at),
            )


def lasting(operation: Operation, now: float, begun: float) -> str:
    """`upload, 3.1s`."""
    return f"{operation.step or operation.status}, {seconds(max(0.0, now - begun))}"
