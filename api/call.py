"""One request as its responder gets it, already checked, and the answer that it gives back. It decides nothing."""

from typing import Generic, TypeVar

import falcon
from msgspec import Struct

from api import shown
from api.auth import actor
from api.bodies import Body
from api.claims import Claims
from api.collaborators import Collaborators
from api.query import Query

JSON = falcon.MEDIA_JSON
_OK = 200

Q = TypeVar("Q", bound=Query)
B = TypeVar("B", bound=Body)

Answer = tuple[int, str, bytes]
"""Status, content type, body."""

NOT_MODIFIED: Answer = (304, "", b"")


class Call(Struct, Generic[Q, B], frozen=True):
    """`query` and `body` are what the row of the route says; a responder that returns None has let the request leave."""

    given: Collaborators
    req: falcon.Request
    resp: falcon.Response
    claims: Claims
    query: Q
    body: B

    @property
    def actor(self) -> str:
        return actor(self.req)


def told(value: Struct, status: int = 200) -> Answer:
    return status, JSON, shown.encode(value)


def give(resp: falcon.Response, answer: Answer) -> None:
    status, kind, body = answer
    if status != _OK:
        resp.status = status
    if kind and kind != JSON:  # which falcon says by itself
        resp.content_type = kind
    if kind:
        resp.data = body
