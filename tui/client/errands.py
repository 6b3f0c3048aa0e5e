"""What the screen wants done, one after the other: plans, pages of history, and the acts that a person has agreed to."""

import queue
from collections.abc import Callable
from typing import TypeVar

import msgspec

from sando.client.address import Address
from sando.client.caller import Answer, Caller, Query, Unreachable
from sando.client.shapes import Operation, Operations, Plan, Problem
from tui.model.effects import AskHistory, AskOperation, AskOutcome, AskPlan, Send
from tui.model.messages import Answered, HistoryPage, Message, Outcome, Planned
from tui.model.outcome import line

Errand = AskPlan | AskOperation | AskOutcome | AskHistory | Send
T = TypeVar("T")
PAGE = 50
WAITS = "aborting"
"""The code of a rollback that begins when the promotion before it has been stopped."""


class Errands:
    """One thread. An act has a thread of its own of this kind, so that no slow plan stands before it."""

    def __init__(self, address: Address, post: Callable[[Message], None]) -> None:
        self._post = post
        self._caller = Caller(address)
        self._inbox: queue.SimpleQueue[Errand | None] = queue.SimpleQueue()

    def put(self, errand: Errand) -> None:
        self._inbox.put(errand)

    def stop(self) -> None:
        self._inbox.put(None)

    def run(self) -> None:
        while (errand := self._inbox.get()) is not None:
            self._post(self._do(errand))
        self._caller.close()

    def _do(self, errand: Errand) -> Message:
        match errand:
            case AskPlan():
                return self._plan(errand)
            case AskOperation(number, operation):
                got = self._ask(Operation, f"/operations/{operation}")
                return (
                    Planned(number, problem=got)
                    if isinstance(got, Problem)
                    else Planned(number, operation=got)
                )
            case AskOutcome(operation):
                got = self._ask(Operation, f"/operations/{operation}")
                return (
                    Outcome(operation, problem=got) if isinstance(got, Problem) else Outcome(operation, got)
                )
            case AskHistory(number, tier, cursor):
                page = self._ask(Operations, "/operations", {"tier": tier, "limit": PAGE, "cursor": cursor})
                return (
                    HistoryPage(number, trouble=page.detail)
                    if isinstance(page, Problem)
                    else HistoryPage(number, page)
                )
            case Send():
                return self._send(errand)

    def _plan(self, errand: AskPlan) -> Planned:
        query = {"version": errand.version, **dict.fromkeys(errand.options, True)}
        got = self._ask(Plan, f"/plan/{errand.act}/{errand.tier}", query)
        if isinstance(got, Problem):
            return Planned(errand.number, errand.options, problem=got)
        return Planned(errand.number, errand.options, got)

    def _ask(self, kind: type[T], path: str, query: Query | None = None) -> T | Problem:
        try:
            answer = self._caller.get(path, query)
            return msgspec.json.decode(answer.body, type=kind) if answer.ok else answer.problem()
        except Unreachable as error:
            return Problem(0, "unreachable", str(error))
        except msgspec.DecodeError:
            return Problem(0, "not_sandod", "what answers is not sandod, or another version of it")

    def _send(self, errand: Send) -> Answered:
        """Once; where no answer comes, nobody knows, and that is what is said."""
        try:
            answer = self._caller.send(errand.method, errand.path, errand.body)
        except Unreachable as error:
            if not error.sent:
                return Answered(
                    errand.number, problem=Problem(0, "unreachable", str(error), "nothing was sent")
                )
            hint = "it may have been done all the same: look at the tier before trying again"
            return Answered(
                errand.number, problem=Problem(0, "outcome_unknown", str(error), hint), unsure=True
            )
        if not answer.ok:
            return Answered(errand.number, problem=answer.problem())
        operation = _operation(answer)
        if operation is None:
            return Answered(errand.number, told(answer))
        return Answered(errand.number, _begun(answer, operation, errand), operation)


def _operation(answer: Answer) -> Operation | None:
    """What was begun or found, where that is an operation."""
    try:
        return msgspec.json.decode(answer.body, type=Operation)
    except msgspec.DecodeError:
        return None


def _begun(answer: Answer, operation: Operation, errand: Send) -> str:
    """`code` says what else it is than begun; one that waits says so itself."""
    if errand.path.endswith("/abort") and not operation.ended:
        return line(operation, "told to stop")
    code = answer.json().get("code")
    return line(operation, "" if code in {None, WAITS} else str(code).replace("_", " "))


def told(answer: Answer) -> str:
    """What sandod has done, in a line, where no operation tells of it."""
    try:
        body = answer.json()
    except Unreachable as error:
        return str(error)
    match body:
        case {"id": number, "kind": kind, "status": status}:
            return f"{kind} {number}: {status}"
        case {"gate": gate, "outcome": outcome, "version": version}:
            why = body.get("message") if outcome != "passed" else ""
            return f"{version}: {gate} {outcome}{f': {why}' if why else ''}"
        case {"locked": tiers}:
            return f"locked: {_names(tiers)}"
        case {"unlocked": tiers}:
            return f"unlocked: {_names(tiers) or 'nothing was locked'}"
        case _:
            return f"done ({answer.status})"


def _names(value: object) -> str:
    return ", ".join(str(v) for v in value) if isinstance(value, list) else str(value)
