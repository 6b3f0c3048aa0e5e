"""Calls of node.sh by one job: each has a deadline, and what goes wrong becomes a sentence that names the node."""

import time

from paramiko import SSHException

from sando.model.clock import span
from sando.model.errors import WorkError
from sando.work.cancel import CancelToken
from sando.work.hosts.script import words
from sando.work.hosts.ssh.line import Line
from sando.work.hosts.ssh.shell import Feed, Reply, ShellLost

CALL_S = 30.0
PROGRESS_S = 30.0  # a transfer that does not move for so long has failed
HASHED_PER_S = 20 * 2**20  # bytes that the slowest node is expected to hash
_FRESH_S = 5.0


class Calls:
    """`cancel` is the job's: when it is cancelled, so is the call."""

    def __init__(self, line: Line, cancel: CancelToken) -> None:
        self.line = line
        self.cancel = cancel

    def ask(self, *call: object, seconds: float = CALL_S) -> Reply:
        """One call that may be repeated without harm: a connection that was lost while it lay idle is opened anew.

        WorkError (errored) when it fails, with what the node said.
        """
        was_open = self.line.is_open
        try:
            return self._once(call, seconds)
        except LOST as error:
            if not was_open or isinstance(error, TimeoutError):
                raise self.lost(call[0], error, seconds) from error
        try:
            return self._once(call, seconds)
        except LOST as error:
            raise self.lost(call[0], error, seconds) from error

    def feed(self, *call: object, data: memoryview, after_s: float) -> Reply:
        """A call that takes a stream; `after_s` is for what it does once it has all of it."""
        try:
            with self.line.shell(self.cancel) as shell:
                line = words(*call)
                feed = Feed(data, PROGRESS_S, after_s)
                with self.line.watch(PROGRESS_S, self.cancel) as watch:
                    feed.on_progress = watch.extend
                    reply = shell.call(line, time.monotonic() + CALL_S, self.cancel, feed)
        except LOST as error:
            raise self.lost(call[0], error, PROGRESS_S) from error
        return self.fine(reply)

    def fresh(self) -> None:
        """Before a call that must not be made twice: see that the connection has not been lost while nobody called."""
        if time.monotonic() - self.line.used_at > _FRESH_S or not self.line.is_open:
            self.ask("true")

    def fine(self, reply: Reply) -> Reply:
        if not reply.ok:
            raise WorkError("node", reply.said or f"the node's shell ended with {reply.status}", errored=True)
        return reply

    def lost(self, what: object, error: BaseException, seconds: float) -> WorkError:
        """The connection is of no use any more: whoever comes next opens another."""
        self.line.drop()
        if isinstance(error, TimeoutError):
            return self.line.failed(
                "connection", f"no answer to {what} within {span(seconds)}; the connection was closed"
            )
        said = error.said if isinstance(error, ShellLost) else str(error)
        return self.line.failed(
            "connection", f"the connection was lost during {what}" + (f": {said}" if said else "")
        )

    def _once(self, call: tuple[object, ...], seconds: float) -> Reply:
        with self.line.shell(self.cancel) as shell:
            reply = shell.call(words(*call), time.monotonic() + seconds, self.cancel)
        return self.fine(reply)


LOST = (ShellLost, SSHException, OSError, EOFError)
