"""One request as its responder gets it, already checked, and the answer that it gives back. It decides nothing."""

from dataclasses import dataclass
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

Q = TypeVar("Q", bound=Query)
B = TypeVar("B", bound=Body)

Answer = tuple[int, str, bytes]
"""Status, content type, body."""

NOT_MODIFIED: Answer = (304, "", b"")


@dataclass(frozen=True, slots=True)
class Call(Generic[Q, B]):
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
    resp.status, kind, body = answer
    if kind:
        resp.content_type = kind
        resp.data = body
