"""An address and a one-shot answer: what travels in messages beside plain values."""

import logging
import threading
from dataclasses import field
from typing import Any, Protocol

from sando.model.answers import Accepted, Answer, Told
from sando.model.claim import Claim

log = logging.getLogger(__name__)


class Ref(Protocol):
    """The address of an actor, as far as messages know it."""

    def tell(self, message: Any) -> None: ...


class Reply:
    """A one-shot answer. Any actor down the line may give it; a second one is logged and dropped.

    `claim` is set, before it is sent, where the request came with an Idempotency-Key.
    """

    __slots__ = ("_answer", "_answered", "_lock", "claim", "kept")

    def __init__(self) -> None:
        self.claim: Claim | None = None
        self.kept = False
        self._lock = threading.Lock()
        self._answered = threading.Event()
        self._answer: Answer | None = None

    def answer(self, answer: Answer) -> None:
        with self._lock:
            if self._answer is not None:
                log.debug("second answer dropped: %r", answer)
                return
            self._answer = answer
        self._answered.set()

    def wait(self, timeout: float) -> Answer:
        """The answer; TimeoutError when none came within `timeout` seconds. Only for HTTP threads and tests."""
        if not self._answered.wait(timeout) or self._answer is None:
            raise TimeoutError
        return self._answer

    def keep(self, answer: Accepted | Told) -> tuple[Claim, ...]:
        """Rows for the very transaction that makes what is answered: after a crash the key tells that it was made."""
        if self.claim is None:
            return ()
        self.kept = True
        return (self.claim.answered(answer),)

    @property
    def given(self) -> Answer | None:
        return self._answer


def new_reply() -> Any:
    return field(default_factory=Reply, compare=False, repr=False)
