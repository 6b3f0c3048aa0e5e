"""GET /events: a WebSocket where the client asks for one, else a page of JSON that may wait for its first event."""

import falcon

from api import followers, query, shown, websocket
from api.collaborators import Collaborators
from api.errors import problem
from api.resources.state import starting
from api.waiting import wait_here

FAR = 2**62


def events(given: Collaborators, req: falcon.Request, resp: falcon.Response) -> None:
    since = query.whole(req, "since", 0, FAR)
    if websocket.wanted(req):
        return _upgrade(given, req, since)
    _page(given, req, resp, since or 0)


def _upgrade(given: Collaborators, req: falcon.Request, since: int | None) -> None:
    latest = given.board.latest
    if latest is None:
        raise starting()
    peer = websocket.greet(req)
    if not followers.can_leave(req):
        raise problem(
            501, "not_implemented", "this server has no WebSockets", "ask without an Upgrade header"
        )
    start = latest.seq if since is None else since
    followers.leave(req, lambda line: websocket.Subscriber(line, peer, given, start))


def _page(given: Collaborators, req: falcon.Request, resp: falcon.Response, since: int) -> None:
    """Nothing newer than the snapshot is told: who then reads /state finds there what the event told of."""
    limit, seconds = query.limit(req), query.wait(req)

    def page(last: bool) -> bytes | None:
        newest = given.board.latest.seq if given.board.latest else 0
        found = [e for e in given.store.events(since, limit) if e.seq <= newest]
        if not found and not last:
            return None
        told = {"events": [shown.event(e) for e in found], "seq": found[-1].seq if found else newest}
        # A gap, or a `since` from another life of the store: the reader should look at /state anew.
        lost = since > newest or (bool(found) and since > 0 and found[0].seq != since + 1)
        return shown.encode(told | ({"reset": True} if lost else {}))

    latest = given.board.latest
    if latest is None:
        raise starting()
    body = page(seconds <= 0 or since > latest.seq)
    if body is None and followers.can_leave(req):
        return followers.leave(req, lambda line: followers.EventsPoll(line, seconds, since, page))
    resp.content_type = falcon.MEDIA_JSON
    resp.data = body or wait_here(given.board, seconds, page)
