"""An address and a one-shot answer: what travels in messages beside plain values."""

import logging
import threading
from dataclasses import field
from typing import Any, Protocol

from sando.model.answers import Answer

log = logging.getLogger(__name__)


class Ref(Protocol):
    """The address of an actor, as far as messages know it."""

    def tell(self, message: Any) -> None: ...


class Reply:
    """A one-shot answer. Any actor down the line may give it; a second one is logged and dropped."""

    __slots__ = ("_answer", "_answered", "_lock")

    def __init__(self) -> None:
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

    @property
    def given(self) -> Answer | None:
        return self._answer


def new_reply() -> Any:
    return field(default_factory=Reply, compare=False, repr=False)
