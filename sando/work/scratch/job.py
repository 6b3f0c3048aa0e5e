"""What every step of a rehearsal shares: where it logs, who may stop it, and until when it has to be over."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sando.model.clock import span
from sando.model.errors import WorkError
from sando.work.cancel import CancelToken
from sando.work.log import OpLog
from sando.work.process import Keepers


class _Late(WorkError):
    """The time is over, and nobody has said yet at what."""


@dataclass(frozen=True, slots=True)
class Job:
    """`until` is a time of time.monotonic(), `limit_s` the gate's whole time, for the text that tells of its end."""

    step: str
    keepers: Keepers
    log: OpLog
    cancel: CancelToken
    until: float
    limit_s: float

    @classmethod
    def begin(cls, step: str, keepers: Keepers, log: OpLog, cancel: CancelToken, limit_s: float) -> "Job":
        return cls(step, keepers, log, cancel, time.monotonic() + limit_s, limit_s)

    def say(self, text: str) -> None:
        self.log.say(text)

    def left(self) -> float:
        """Seconds until the deadline. Raises Cancelled, and WorkError when it is over."""
        self.cancel.check()
        left = self.until - time.monotonic()
        if left <= 0:
            raise _Late(self.step, f"timed out after {span(self.limit_s)}; all that it started was ended")
        return left

    @contextmanager
    def at(self, what: str) -> Iterator[None]:
        """What is done in here is what is told to have taken too long."""
        try:
            yield
        except _Late as error:
            raise WorkError(self.step, f"{what} {error.detail}") from error

    def cannot(self, why: str, tail: str = "") -> WorkError:
        """For `raise`: the step could not run, which is nobody's verdict on the version."""
        return WorkError(self.step, why, errored=True, tail=tail)
