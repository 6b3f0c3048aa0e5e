"""POST /notify/test: each notifier, or the one that is named, is sent something now, and what came of it is the answer."""

from collections.abc import Callable, Collection

import msgspec

from actors.messages import Reply
from api import bodies, followers, shown
from api.call import JSON, Answer, Call, told
from api.claims import REPLAYED
from api.collaborators import Trials
from api.errors import problem
from api.followers import OneAnswer
from api.line import Line
from api.query import NoQuery
from api.waiting import wait_here
from sando.model import wire
from sando.model.answers import Told

LONGEST_S = 70.0
"""A command that is told of an event may take a minute."""

Look = Callable[[bool], Answer | None]


class TrialReply(Reply):
    """Given as soon as all have been tried, also when nobody waits for it any more."""

    __slots__ = ("trials",)

    def __init__(self) -> None:
        super().__init__()
        self.trials: Trials | None = None

    @property
    def given(self) -> Told | None:
        done = self.trials.done() if self.trials else None
        if done is None:
            return None
        return Told(wire.Notified(tuple(msgspec.convert(t, wire.Tried, from_attributes=True) for t in done)))


class TrialWait(OneAnswer):
    """Nobody tells when a receiver has answered: it is looked at."""

    recheck_s = 0.1

    def __init__(self, line: Line, look: Look) -> None:
        super().__init__(line, LONGEST_S)
        self._look = look

    def look(self, *, last: bool) -> Answer | None:
        return self._look(last)


def test(call: Call[NoQuery, bodies.NotifyTestBody]) -> Answer | None:
    given, name = call.given, call.body.name
    _check(given.notifiers(), name)
    reply = TrialReply()
    before = call.claims.enter(call.req, call.body, reply)
    if before is not None:
        call.resp.set_header(REPLAYED, "true")
        return before.status, JSON, shown.encode(before.told)
    reply.trials = given.test_notifiers([name] if name else [], call.actor)

    def look(last: bool) -> Answer | None:
        return _answer(call, reply, last=last)

    if followers.can_leave(call.req):
        return followers.leave(call, lambda line: TrialWait(line, look))
    return wait_here(given.board, LONGEST_S, look)


def _check(known: Collection[str], name: str | None) -> None:
    if not known:
        raise problem(409, "no_notifiers", "daemon.toml has no [[notify]]", "add one, then POST /reload")
    if name is not None and name not in known:
        detail = f"no notifier is called {ascii(name)[:80]}"
        raise problem(404, "unknown_notifier", detail, f"there are: {', '.join(sorted(known))}")


def _answer(call: Call[NoQuery, bodies.NotifyTestBody], reply: TrialReply, *, last: bool) -> Answer | None:
    done = reply.given
    if done is None and not last:
        return None
    call.claims.settle(reply)
    return told(done.body if done else wire.Notified(()))
