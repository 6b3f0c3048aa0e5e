"""Calls of node.sh by one job: each has a deadline, and what goes wrong becomes a sentence that names the node."""

import time

from sando.model.clock import span
from sando.model.errors import WorkError
from sando.work.cancel import CancelToken
from sando.work.hosts.script import words
from sando.work.hosts.ssh.line import LOST, Line
from sando.work.hosts.ssh.reply import Reply
from sando.work.hosts.ssh.shell import Feed, ShellLost
from sando.work.hosts.ssh.trouble import reason

CALL_S = 30.0
PROGRESS_S = 30.0  # a transfer that does not move for so long has failed
HASHED_PER_S = 20 * 2**20  # bytes that the slowest node is expected to hash
FRESH_S = 5.0
PING_S = 3.0


class Calls:
    """`cancel` is the job's: when it is cancelled, so is the call."""

    def __init__(self, line: Line, cancel: CancelToken) -> None:
        self.line = line
        self.cancel = cancel

    def ask(self, *call: object, seconds: float = CALL_S) -> Reply:
        """One call that may be repeated without harm: when the connection is lost, it is, once, on a new one.

        WorkError (errored) when it fails, with what the node said.
        """
        try:
            return self._once(call, seconds)
        except LOST as error:
            if isinstance(error, TimeoutError):
                raise self.lost(_name(call), error, seconds) from error
        try:
            return self._once(call, seconds)
        except LOST as error:
            raise self.lost(_name(call), error, seconds) from error

    def feed(self, *call: object, data: memoryview, after_s: float) -> Reply:
        """A call that takes a stream; `after_s` is for what it does once it has all of it."""
        feed = Feed(data, after_s)
        try:
            with self.line.shell(self.cancel) as shell, shell.moving(feed, PROGRESS_S, self.cancel):
                reply = shell.feed(words(*call), time.monotonic() + CALL_S, self.cancel, feed)
        except LOST as error:
            # What was broken off by our own deadline is not begun again, as what was lost is.
            raise self._stuck(_name(call), error, feed) from (TimeoutError() if feed.stuck else error)
        return self.fine(reply)

    def fresh(self) -> None:
        """Before a call that must not be made twice, or may take long: see that somebody is there.

        A connection that lay idle and does not answer at once was lost on the way without a word: it is opened anew.
        """
        if self.line.is_open and time.monotonic() - self.line.used_at <= FRESH_S:
            return
        try:
            self.ask("true", seconds=PING_S)
        except WorkError as error:
            if error.step != "connection":
                raise
            self.ask("true", seconds=PING_S)

    def fine(self, reply: Reply) -> Reply:
        if not reply.ok:
            raise WorkError("node", reply.said or f"the node's shell ended with {reply.status}", errored=True)
        return reply

    def lost(self, what: object, error: BaseException, seconds: float, then: str = "") -> WorkError:
        """The sentence for one of LOST; `then` says what is known of what was being done."""
        if isinstance(error, TimeoutError):
            why = f"no answer to {what} within {span(seconds)}; the connection was closed"
        else:
            said = error.said if isinstance(error, ShellLost) else reason(error)
            why = f"the connection was lost during {what}" + (f" ({said})" if said else "")
        return self.line.failed("connection", f"{why}{then}")

    def _once(self, call: tuple[object, ...], seconds: float) -> Reply:
        with self.line.shell(self.cancel) as shell:
            reply = shell.call(words(*call), time.monotonic() + seconds, self.cancel)
        return self.fine(reply)

    def _stuck(self, what: object, error: BaseException, feed: Feed) -> WorkError:
        gone = f" ({feed.gone} of {feed.size} bytes went out)"
        if feed.stuck:
            why = f"{what} has not moved for {span(PROGRESS_S)}{gone}; the connection was closed"
            return self.line.failed("connection", why)
        seconds = CALL_S if feed.gone < feed.size else feed.after_s
        return self.lost(what, error, seconds, gone)


def _name(call: tuple[object, ...]) -> object:
    """What is called; `at` only says what is known before."""
    return call[2] if call[0] == "at" else call[0]
