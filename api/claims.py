"""Idempotency-Key: a request that comes again is answered as before, and not done again (SPEC 12).

It owns the keys of the requests that are being decided. What they were answered is in the store, written with what they
made: so a key never says more, and never less, than what was done, whenever sandod dies. A refusal has made nothing,
and is decided anew.
"""

import hashlib
import logging
import re
import threading
from collections.abc import Callable

import falcon
import msgspec

from actors.messages import Reply
from api.auth import actor
from api.bodies import Body
from api.collaborators import Collaborators
from api.errors import Problem, problem
from sando.model.answers import Accepted, Told
from sando.model.claim import Claim
from sando.model.errors import StoreUnavailable

log = logging.getLogger(__name__)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
MOST_CHARS = 128
_KEY = re.compile(rf"[\x21-\x7e]{{1,{MOST_CHARS}}}")


class Claims:
    """`_open` are the replies of the requests that nobody has answered yet, or whose answer nobody has kept yet."""

    def __init__(self, given: Collaborators) -> None:
        self._store = given.store
        self._keep: Callable[[Claim], object] = given.keep
        self._clock = given.clock
        self._lock = threading.Lock()
        self._open: dict[str, Reply] = {}

    def enter(self, req: falcon.Request, body: Body, reply: Reply) -> Claim | None:
        """What the request was answered before; None: it is to be done now. Raises Problem where it can be neither."""
        wanted = self._wanted(req, body)
        if wanted is None:
            return None
        self._settle_late()
        with self._lock:
            reply.claim = wanted
            other = self._open.setdefault(wanted.key, reply).claim
        if other is not wanted:
            raise _in_progress() if other and other.request == wanted.request else _reused()
        try:
            before = self._store.claim(wanted.key)
        except BaseException:
            self._leave(reply)
            raise
        if before is None or not before.holds(wanted.at):
            return None
        self._leave(reply)
        if before.request != wanted.request:
            raise _reused()
        return before

    def settle(self, reply: Reply) -> None:
        """The reply was given: an answer that no actor has kept, since nothing was made for it, is kept now."""
        claim, answer = reply.claim, reply.given
        if claim is None or answer is None:
            return
        if isinstance(answer, Accepted | Told) and not reply.kept:
            try:
                self._keep(claim.answered(answer))
            except StoreUnavailable as error:
                log.warning("an answer is not kept for its Idempotency-Key, the store is away: %s", error)
        self._leave(reply)

    def _settle_late(self) -> None:
        """Of requests that were told `outcome_unknown`, and were answered then."""
        with self._lock:
            late = [reply for reply in self._open.values() if reply.given is not None]
        for reply in late:
            self.settle(reply)

    def _leave(self, reply: Reply) -> None:
        with self._lock:
            if reply.claim and self._open.get(reply.claim.key) is reply:
                del self._open[reply.claim.key]

    def _wanted(self, req: falcon.Request, body: Body) -> Claim | None:
        key = req.get_header(HEADER)
        if key is None:
            return None
        if not _KEY.fullmatch(key):
            detail = f"an {HEADER} has 1 to {MOST_CHARS} visible ASCII characters, and is there once"
            raise problem(400, "bad_request", detail)
        name = actor(req)
        asked = b"\0".join(
            (req.method.encode(), req.path.encode("utf-8", "replace"), msgspec.json.encode(body))
        )
        return Claim(_digest(f"{name}\0{key}".encode()), _digest(asked), name, self._clock().at)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _in_progress() -> Problem:
    detail = f"a request with this {HEADER} is still being decided"
    return problem(409, "request_in_progress", detail, "send it again in a moment")


def _reused() -> Problem:
    detail = f"this {HEADER} came with another request before"
    return problem(422, "idempotency_key_reused", detail, "take a new key for each new request")
