"""Reads the log of one operation as it grows, by byte offset, so that nothing is lost or shown twice over a loss."""

import threading
from collections.abc import Callable
from typing import TypeVar

import msgspec

from sando.client.address import Address
from sando.client.caller import Caller, Unreachable
from sando.client.shapes import Operation, Operations
from tui.model.effects import FollowLog
from tui.model.messages import LogMore, Message

LOOK_S = 0.4
RETRY_S = 2.0
T = TypeVar("T")
RUNNING = frozenset({"queued", "running"})


class LogReader:
    """One thread for one log; `stop` ends it."""

    def __init__(self, address: Address, post: Callable[[Message], None], wanted: FollowLog) -> None:
        self._post = post
        self._wanted = wanted
        self._caller = Caller(address)
        self._offset = 0
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        try:
            while not self._stopped.is_set():
                try:
                    if self._look():
                        return
                    self._stopped.wait(LOOK_S)
                except Unreachable as error:
                    self._tell(trouble=str(error))
                    self._stopped.wait(RETRY_S)
        finally:
            self._caller.close()

    def _look(self) -> bool:
        """What is new; True when there is no more to come."""
        operation = self._operation()
        if operation is None:
            self._tell(trouble=f"nothing was ever done on tier {self._wanted.tier}")
            return True
        answer = self._caller.get(f"/operations/{operation.id}/log", {"offset": self._offset})
        if answer.status != 200:
            self._tell(operation, trouble=answer.problem().detail)
            return answer.status in {401, 403, 404}
        self._offset = int(answer.headers.get("x-next-offset", self._offset + len(answer.body)))
        complete = operation.ended and not answer.body
        self._tell(operation, text=answer.body.decode("utf-8", "replace"), complete=complete)
        return complete

    def _operation(self) -> Operation | None:
        """The one that is wanted; without a number what runs on the tier, else what was done there last."""
        number = self._wanted.operation
        if number is not None:
            answer = self._caller.get(f"/operations/{number}")
            if answer.status != 200:
                raise Unreachable(answer.problem().detail)
            return _as(Operation, answer.json())
        answer = self._caller.get("/operations", {"tier": self._wanted.tier, "limit": 20})
        if answer.status != 200:
            raise Unreachable(answer.problem().detail)
        found = _as(Operations, answer.json()).operations
        chosen = next((o for o in found if o.status in RUNNING), found[0] if found else None)
        if chosen:
            self._wanted = msgspec.structs.replace(self._wanted, operation=chosen.id)
        return chosen

    def _tell(
        self, operation: Operation | None = None, *, text: str = "", complete: bool = False, trouble: str = ""
    ) -> None:
        if not self._stopped.is_set():
            number = self._wanted.number
            self._post(LogMore(number, operation, text, complete=complete, trouble=trouble))


def _as(kind: type[T], value: object) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise Unreachable("what answers is not sandod, or another version of it") from None
