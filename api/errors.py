"""Every error as `application/problem+json`: ours, falcon's, Waitress's, and what nobody expected. Nothing inner leaks."""

import logging
from typing import Any

import falcon

from api import shown
from sando.model.answers import Refusal, unavailable
from sando.model.codes import general
from sando.model.errors import StoreUnavailable
from sando.model.names import visible
from sando.model.operation import Operation

log = logging.getLogger(__name__)

PROBLEM = "application/problem+json"
SAFE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
"""With every answer: nothing of ours is a page, whatever a browser makes of it."""


class Problem(Exception):
    """Raised by a responder to answer with a refusal; `headers` go with it."""

    def __init__(self, refusal: Refusal, headers: dict[str, str] | None = None) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal
        self.headers = headers or {}


def problem(
    status: int, code: str, detail: str, hint: str = "", operation: Operation | None = None
) -> Problem:
    return Problem(Refusal(status, code, detail, hint, operation))


def body_of(refusal: Refusal) -> bytes:
    """The problem document; keys without a value are left out."""
    return shown.encode(shown.problem(refusal))


def refuse(resp: falcon.Response, refusal: Refusal) -> None:
    resp.status = refusal.status
    resp.content_type = PROBLEM
    resp.data = body_of(refusal)


def install(app: falcon.App[falcon.Request, falcon.Response]) -> None:
    """All roads of falcon that end in an error end here."""
    app.add_error_handler(Exception, _unexpected)
    app.add_error_handler(falcon.HTTPError, _of_falcon)
    app.add_error_handler(StoreUnavailable, _no_store)
    app.add_error_handler(Problem, _refused)


def _refused(_req: falcon.Request, resp: falcon.Response, error: Problem, _params: dict[str, Any]) -> None:
    refuse(resp, error.refusal)
    resp.set_headers(error.headers)


def _no_store(
    _req: falcon.Request, resp: falcon.Response, error: StoreUnavailable, _params: dict[str, Any]
) -> None:
    log.warning("store unavailable: %s", error)
    refuse(resp, unavailable())


def _of_falcon(
    req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, _params: dict[str, Any]
) -> None:
    status = error.status_code
    detail, hint = _words(req, status, error.description or error.title or "")
    refuse(resp, Refusal(status, general(status), detail, hint))
    resp.set_headers(dict(error.headers or {}))


def _words(req: falcon.Request, status: int, said: str) -> tuple[str, str]:
    path = visible(req.path).replace("\n", "\\n").replace("\t", "\\t")
    match status:
        case 404:
            return f"nothing is at {path}", "the README lists every path that there is"
        case 405:
            return f"{req.method} is not possible at {path}", "the header Allow lists what is"
        case _:
            return said, ""


def _unexpected(
    req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict[str, Any]
) -> None:
    log.error("%s %s: unexpected error", req.method, ascii(req.path), exc_info=error)
    refuse(
        resp,
        Refusal(
            500, "internal", "sandod met an error of its own; its log has the traceback", "please report it"
        ),
    )
