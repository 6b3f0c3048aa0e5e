"""The history of operations, one of them, and its log. Reading only."""

from collections.abc import Callable

from api import followers, query, shown
from api.bodies import NoBody
from api.call import Answer, Call, told
from api.collaborators import Collaborators
from api.line import Line
from api.resources import names
from api.waiting import wait_here
from sando.model import wire
from sando.model.operation import Operation

PIECE = 65536
SHOWN_WITHIN_S = 1.0
"""An end that is stored is in /state a moment later: it is told no sooner than there."""


def listing(call: Call[query.Operations, NoBody]) -> Answer:
    asked = call.query
    found = call.given.store.operations(
        tier=asked.tier, kind=asked.kind, status=asked.status, before=asked.place, limit=asked.limit + 1
    )
    page = tuple(shown.operation(o) for o in found[: asked.limit])
    return told(wire.OperationPage(page, page[-1].id if len(found) > asked.limit else None))


def one(call: Call[query.Wait, NoBody], operation: int) -> Answer | None:
    given, seconds = call.given, call.query.wait
    found = _found(given, operation)
    if found.status.ended:
        seconds = SHOWN_WITHIN_S
    if seconds > 0 and not given.board.tells_end(found):
        if followers.can_leave(call.req):
            return followers.leave(
                call,
                lambda line: followers.OperationWait(
                    line, seconds, given.store, given.board, found, followers.told
                ),
            )

        def look(last: bool) -> Operation | None:
            now = given.store.operation(found.id) or found
            return now if last or given.board.tells_end(now) else None

        found = wait_here(given.board, seconds, look) or found
    return followers.told(found)


def _found(given: Collaborators, operation: int) -> Operation:
    found = given.store.operation(operation)
    if found is None:
        raise names.no_operation(operation)
    return found


def log(call: Call[query.Log, NoBody], operation: int) -> Answer | None:
    given, asked = call.given, call.query
    follow = asked.follow and call.req.method == "GET"
    found = _found(given, operation)
    if follow and followers.can_leave(call.req):
        return followers.leave(call, _reader(call, found, None))
    if follow:
        wait_here(given.board, query.WAIT_MOST, lambda _: _ended(given, found))
    return _log_now(call, found)


def _ended(given: Collaborators, operation: Operation) -> bool | None:
    now = given.store.operation(operation.id) or operation
    return True if now.status.ended else None


def _log_now(call: Call[query.Log, NoBody], operation: Operation) -> Answer | None:
    """What there is; more than one piece leaves, so that a slow reader of a long log holds no thread."""
    given, offset = call.given, call.query.offset
    data, after = given.read_log(operation.id, offset, PIECE)
    if data and given.read_log(operation.id, after, 1)[0]:
        until = _end(given, operation.id, after)
        if followers.can_leave(call.req) and call.req.method == "GET":
            return followers.leave(call, _reader(call, operation, until))
        data, after = _all(given, operation.id, offset, until), until
    elif data and not operation.status.ended:
        half = _half_character(data)
        data, after = data[: len(data) - half], after - half
    call.resp.set_header("X-Next-Offset", str(after if data else offset))
    text = data.decode("utf-8", "replace")
    return 200, followers.PLAIN, (followers.on_a_terminal(text) if call.query.visible else text).encode()


def _reader(
    call: Call[query.Log, NoBody], operation: Operation, until: int | None
) -> Callable[[Line], followers.LogFollow]:
    asked = call.query
    return lambda line: followers.LogFollow(
        line, call.req, call.given, operation, asked.offset, until, shown=asked.visible
    )


def _end(given: Collaborators, operation: int, offset: int) -> int:
    while True:
        data, after = given.read_log(operation, offset, PIECE * 16)
        if not data:
            return offset
        offset = after


def _all(given: Collaborators, operation: int, offset: int, until: int) -> bytes:
    pieces = []
    while offset < until:
        data, after = given.read_log(operation, offset, until - offset)
        if not data:
            break
        pieces.append(data)
        offset = after
    return b"".join(pieces)


def _half_character(data: bytes) -> int:
    """How many bytes at the end are the begun part of a UTF-8 character."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < length else 0
        if byte < 0x80:
            break
    return 0
