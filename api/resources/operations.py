"""The history of operations, one of them, and its log. Reading only."""

from collections.abc import Callable
from typing import get_args

import falcon

from api import followers, query, shown
from api.collaborators import Collaborators
from api.line import Line
from api.resources import names
from api.waiting import wait_here
from sando.model.names import is_tier
from sando.model.operation import Kind, Operation, Status

KINDS: tuple[str, ...] = get_args(Kind)
PIECE = 65536


def listing(given: Collaborators, req: falcon.Request, resp: falcon.Response) -> None:
    limit = query.limit(req)
    found = given.store.operations(
        tier=query.named(req, "tier", is_tier),
        kind=query.one_of(req, "kind", KINDS),
        status=query.one_of(req, "status", [s.value for s in Status]),
        before=cursor(req),
        limit=limit + 1,
    )
    page = found[:limit]
    resp.content_type = falcon.MEDIA_JSON
    resp.data = shown.encode(
        {
            "operations": [shown.operation(o) for o in page],
            "next": page[-1].id if len(found) > limit else None,
        }
    )


def cursor(req: falcon.Request) -> int | None:
    """`cursor` is what `next` of the page before said; `before` is its older sister."""
    found = query.whole(req, "cursor")
    return found if found is not None else query.whole(req, "before")


def one(given: Collaborators, req: falcon.Request, resp: falcon.Response, operation: str) -> None:
    seconds = query.wait(req)
    found = _found(given, operation)
    if seconds > 0 and not found.status.ended:
        if followers.can_leave(req):
            return followers.leave(
                req, lambda line: followers.OperationWait(line, seconds, given.store, found, followers.told)
            )

        def look(last: bool) -> Operation | None:
            now = given.store.operation(found.id) or found
            return now if last or now.status.ended else None

        found = wait_here(given.board, seconds, look) or found
    resp.content_type = falcon.MEDIA_JSON
    resp.data = shown.encode(shown.operation(found))


def _found(given: Collaborators, text: str) -> Operation:
    found = given.store.operation(names.operation(text))
    if found is None:
        raise names.no_operation(text)
    return found


def log(given: Collaborators, req: falcon.Request, resp: falcon.Response, operation: str) -> None:
    offset = query.whole(req, "offset") or 0
    follow = query.flag(req, "follow") and req.method == "GET"
    query.flag(req, "visible")  # a bad one is refused before anything is sent
    found = _found(given, operation)
    if follow and followers.can_leave(req):
        return followers.leave(req, _reader(given, req, found, offset, None))
    if follow:
        wait_here(given.board, query.WAIT_MOST, lambda _: _ended(given, found))
    _log_now(given, req, resp, found, offset)


def _ended(given: Collaborators, operation: Operation) -> bool | None:
    now = given.store.operation(operation.id) or operation
    return True if now.status.ended else None


def _log_now(
    given: Collaborators, req: falcon.Request, resp: falcon.Response, operation: Operation, offset: int
) -> None:
    """What there is; more than one piece leaves, so that a slow reader of a long log holds no thread."""
    data, after = given.read_log(operation.id, offset, PIECE)
    if data and given.read_log(operation.id, after, 1)[0]:
        until = _end(given, operation.id, after)
        if followers.can_leave(req) and req.method == "GET":
            return followers.leave(req, _reader(given, req, operation, offset, until))
        data, after = _all(given, operation.id, offset, until), until
    elif data and not operation.status.ended:
        half = _half_character(data)
        data, after = data[: len(data) - half], after - half
    resp.content_type = followers.PLAIN
    resp.set_header("X-Next-Offset", str(after if data else offset))
    text = data.decode("utf-8", "replace")
    resp.data = (followers.on_a_terminal(text) if query.flag(req, "visible") else text).encode()


def _reader(
    given: Collaborators, req: falcon.Request, operation: Operation, offset: int, until: int | None
) -> Callable[[Line], followers.LogFollow]:
    shown = query.flag(req, "visible")
    return lambda line: followers.LogFollow(line, req, given, operation, offset, until, shown=shown)


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
