"""HTTP answers as bytes, for those who write to a socket themselves. It sends nothing."""

import http
from email.utils import formatdate

from api.errors import PROBLEM, SAFE_HEADERS, body_of
from sando.model.answers import Refusal


def head(status: int, kind: str, headers: dict[str, str]) -> bytes:
    """The lines before a body; the connection ends with it."""
    lines = {
        "Date": formatdate(usegmt=True),
        "Content-Type": kind,
        "Connection": "close",
        **SAFE_HEADERS,
        **headers,
    }
    first = f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\n"
    return (first + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n").encode("latin-1")


def whole(refusal: Refusal) -> bytes:
    body = body_of(refusal)
    return head(refusal.status, PROBLEM, {"Content-Length": str(len(body))}) + body
