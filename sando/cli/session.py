"""A command line's talk with sandod: what is asked is refused in one way, and what acts is sent so that it acts once."""

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec

from sando.cli.outlets import by_code
from sando.cli.output import aside
from sando.client.address import of_environment
from sando.client.caller import Answer, Caller, Query, Refused, Unreachable
from sando.client.shapes import Operation, Problem, State

T = TypeVar("T")
KEY = "Idempotency-Key"
AGAIN_S = (0.5, 1.0, 2.0, 4.0)
"""Before each further try of what was sent and not answered: sandod may be starting again."""
AGAIN_CODES = frozenset({"request_in_progress", "restarting", "starting"})
FOLDER = "sandod is there, but not in a folder of that address; look at SANDO_DAEMON, which ends in"
OTHER = "what answers is not sandod, or another version of it"


class Session:
    """For one command. Raises Refused and Unreachable, as the Caller that it holds."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def get(self, path: str, query: Query | None = None) -> Answer:
        return self._taken(self.caller.get(path, query))

    def read(self, kind: type[T], path: str, query: Query | None = None) -> T:
        return self.decode(kind, self.get(path, query))

    def decode(self, kind: type[T], answer: Answer) -> T:
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except msgspec.DecodeError:
            raise Unreachable(f"{self.caller.address.url}: {OTHER}") from None

    def state(self) -> State:
        return self.read(State, "/state")

    def operation(self, number: int, seconds: float = 0) -> Operation:
        return self.read(Operation, f"/operations/{number}", {"wait": seconds or None})

    def act(
        self, method: str, path: str, body: Mapping[str, object] | None = None, key: str | None = None
    ) -> Answer:
        """With a key, under which sandod does it once however often it comes: so a lost answer is asked for again."""
        key, sent = key or secrets.token_hex(16), False
        by_code()
        for pause in (*AGAIN_S, None):
            try:
                answer = self.caller.send(method, path, body, headers={KEY: key})
                if answer.ok or pause is None or answer.problem().code not in AGAIN_CODES:
                    return self._taken(answer)
            except Unreachable as error:
                sent = sent or error.sent
                if not sent:
                    raise
                if pause is None:
                    raise Refused(unsure(str(error), key)) from None
                aside(f"it was sent, and not answered ({error}); asking again under the same key")
            time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _taken(self, answer: Answer) -> Answer:
        if answer.ok:
            return answer
        problem, base = answer.problem(), unquote(self.caller.address.base)
        if base and problem.status == 404 and problem.detail.startswith(f"nothing is at {base}/"):
            raise Refused(Problem(404, "not_sandod", problem.detail, f"{FOLDER} {base}"))
        raise Refused(problem, answer.body)


def passes(error: Unreachable | Refused) -> bool:
    """It is away, stops or starts: whoever waits goes on waiting."""
    return isinstance(error, Unreachable) or error.problem.status in {502, 503, 504}


def unsure(detail: str, key: str) -> Problem:
    hint = f"it was sent, and may have been done: see `sando status`; with --key {key} it can be sent again and acts once"
    return Problem(0, "outcome_unknown", detail, hint)


@contextlib.contextmanager
def session(timeout: float = 15.0) -> Iterator[Session]:
    """Raises AddressError too."""
    with Caller(of_environment(os.environ), timeout) as caller:
        yield Session(caller)


def given(**values: Any) -> dict[str, object]:
    """A body of what was said: what was not is left out, so that sandod's defaults hold."""
    return {k: v for k, v in values.items() if v is not None and v is not False and v != ""}
