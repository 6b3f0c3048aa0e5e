"""POST /notify/test: each notifier, or the one that is named, is sent something now, and what came of it is the answer."""

from collections.abc import Callable

import falcon

from api import bodies, followers, shown
from api.auth import actor
from api.bodies import read
from api.collaborators import Collaborators, Trials
from api.errors import problem
from api.followers import JSON, Answer, OneAnswer
from api.line import Line
from api.waiting import wait_here

LONGEST_S = 70.0
"""A command that is told of an event may take a minute."""


class TrialWait(OneAnswer):
    """Nobody tells when a receiver has answered: it is looked at."""

    recheck_s = 0.1

    def __init__(self, line: Line, look: Callable[[bool], Answer | None]) -> None:
        super().__init__(line, LONGEST_S)
        self._look = look

    def look(self, *, last: bool) -> Answer | None:
        return self._look(last)


def test(given: Collaborators, req: falcon.Request, resp: falcon.Response) -> None:
    body = read(req, bodies.NotifyTestBody)
    known = given.notifiers()
    if not known:
        raise problem(409, "no_notifiers", "daemon.toml has no [[notify]]", "add one, then POST /reload")
    if body.name is not None and body.name not in known:
        detail = f"no notifier is called {ascii(body.name)[:80]}"
        raise problem(404, "unknown_notifier", detail, f"there are: {', '.join(sorted(known))}")
    trials = given.test_notifiers([body.name] if body.name else [], actor(req))

    def look(last: bool) -> Answer | None:
        return _answer(trials, last=last)

    if followers.can_leave(req):
        return followers.leave(req, lambda line: TrialWait(line, look))
    found = wait_here(given.board, LONGEST_S, look)
    assert found is not None
    resp.status, resp.content_type, resp.data = found


def _answer(trials: Trials, *, last: bool) -> Answer | None:
    done = trials.done()
    if done is None and not last:
        return None
    return 200, JSON, shown.encode({"notifiers": done or []})
