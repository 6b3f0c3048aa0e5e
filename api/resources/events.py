"""GET /events: a WebSocket where the client asks for one, else a page of JSON that may wait for its first event."""

from msgspec.structs import replace

from api import followers, query, shown, websocket
from api.bodies import NoBody
from api.call import JSON, Answer, Call
from api.errors import problem
from api.resources.state import starting
from api.waiting import wait_here
from sando.model import wire


def events(call: Call[query.Events, NoBody]) -> Answer | None:
    if websocket.wanted(call.req):
        return _upgrade(call)
    return _page(call, call.query.since or 0)


def _upgrade(call: Call[query.Events, NoBody]) -> Answer | None:
    latest = call.given.board.latest
    if latest is None:
        raise starting()
    for name in ("limit", "wait"):
        if name in call.req.params:
            raise query.bad_field(name, "belongs to the JSON answer; a WebSocket takes `since` alone")
    peer = websocket.greet(call.req)
    if not followers.can_leave(call.req):
        raise problem(
            501, "not_implemented", "this server has no WebSockets", "ask without an Upgrade header"
        )
    start = latest.seq if call.query.since is None else call.query.since
    return followers.leave(call, lambda line: websocket.Subscriber(line, peer, call.given, start))


def _page(call: Call[query.Events, NoBody], since: int) -> Answer | None:
    """Nothing newer than the snapshot is told: who then reads /state finds there what the event told of."""
    given, limit, seconds = call.given, call.query.limit, call.query.wait

    def page(last: bool) -> bytes | None:
        newest = given.board.latest.seq if given.board.latest else 0
        found = [e for e in given.store.events(since, limit) if e.seq <= newest]
        if not found and not last:
            return None
        told = wire.EventPage(tuple(shown.event(e) for e in found), found[-1].seq if found else newest)
        # A gap, or a `since` from another life of the store: the reader should look at /state anew.
        lost = since > newest or (bool(found) and since > 0 and found[0].seq != since + 1)
        return shown.encode(replace(told, reset=True) if lost else told)

    latest = given.board.latest
    if latest is None:
        raise starting()
    body = page(seconds <= 0 or since > latest.seq)
    if body is None and followers.can_leave(call.req):
        return followers.leave(call, lambda line: followers.EventsPoll(line, seconds, since, page))
    return 200, JSON, body or wait_here(given.board, seconds, page) or b""
