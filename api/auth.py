"""Who may speak to us at all: the Host and Origin of a request, and whose name it acts under. It keeps no state."""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import falcon

from api.collaborators import Collaborators
from api.errors import SAFE_HEADERS, Problem, problem
from sando.model.answers import Refusal
from sando.model.topology import TokenSpec

ANONYMOUS = "anonymous"
OPEN = frozenset({"/healthz"})
"""Exact paths that need no token; everything else does, also what does not exist."""
_RANK = {"open": 0, "read": 1, "build": 2, "operate": 3}
_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::([0-9]{1,5}))?", re.ASCII)
_ORIGIN = re.compile(r"(https?)://([^/\s]+)", re.ASCII)
_SAFE = list(SAFE_HEADERS.items())
_HOW = "send `Authorization: Bearer TOKEN`"
_DEFAULT_PORT = {"http": "80", "https": "443"}


def actor(req: falcon.Request) -> str:
    """The name that operations and events carry: the token's."""
    return str(getattr(req.context, "actor", ANONYMOUS))


class Bearer:
    """Middleware: who this is, before anything is routed; and whether that is enough, after. Deny by default.

    Without any token in daemon.toml everybody is anonymous and may do all: that is for loopback, or a network
    that is trusted as a whole (SPEC 13).
    """

    def __init__(self, collaborators: Collaborators) -> None:
        self._given = collaborators

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        tokens = self._given.tokens()
        req.context.scope = "operate"
        req.context.permitted = partial(_is_still_permitted, self._given.tokens, None)
        if not tokens or req.path in OPEN:
            return
        given = req.get_header("Authorization") or ""
        token = _known(given, tokens)
        if token is None:
            resp.set_header("WWW-Authenticate", "Bearer")
            raise Problem(unknown_token() if given else _no_token())
        req.context.actor, req.context.scope = token.name, token.scope
        req.context.permitted = partial(_is_still_permitted, self._given.tokens, token.sha256)

    def process_resource(
        self, req: falcon.Request, _resp: falcon.Response, resource: Any, _params: dict[str, str]
    ) -> None:
        needed = resource.scopes.get("GET" if req.method == "HEAD" else req.method, "read")
        if _RANK[req.context.scope] < _RANK[needed]:
            detail = f"this needs the scope {needed}, the token {actor(req)} has {req.context.scope}"
            raise problem(403, "scope_required", detail, "use a token of that scope")


def _known(header: str, tokens: Sequence[TokenSpec]) -> TokenSpec | None:
    """Every token is compared, each in constant time: how long it takes tells nothing."""
    kind, _, secret = header.partition(" ")
    raw = secret.strip().encode("latin-1", "replace")  # as WSGI gives the bytes that came
    digest = hashlib.sha256(raw).hexdigest() if kind.lower() == "bearer" else ""
    found = [token for token in tokens if hmac.compare_digest(token.sha256, digest)]
    return found[0] if found else None


def _is_still_permitted(tokens: Callable[[], Sequence[TokenSpec]], sha256: str | None) -> bool:
    """Whether who came with this token, or with none, may still be here after a reload."""
    now = tokens()
    return not now or any(token.sha256 == sha256 for token in now)


def unknown_token() -> Refusal:
    return Refusal(401, "auth_required", "the token is unknown", _HOW)


def _no_token() -> Refusal:
    return Refusal(401, "auth_required", "a token is required", _HOW)


class Guard:
    """Middleware before routing: a page of another site must not reach a daemon on loopback (SPEC 13)."""

    def __init__(self, collaborators: Collaborators) -> None:
        self._given = collaborators
        self._listen = _plain(collaborators.listen[0])

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        # Set first, so that refusals carry them too.
        resp.set_headers(_SAFE)
        _check_target(req)
        port = self._check_host(req)
        self._check_origin(req, port)

    def _check_host(self, req: falcon.Request) -> str | None:
        """The port that the Host header names."""
        given = req.env.get("HTTP_HOST", "")
        found = _parse_host(given)
        if found is None or not self._ours(found[1], found[2], req):
            raise _bad_host(given)
        return found[2]

    def _check_origin(self, req: falcon.Request, host_port: str | None) -> None:
        """A page served by ourselves: an allowed host, at the port that this request came to."""
        given = req.env.get("HTTP_ORIGIN")
        if given is None:
            return
        found = _ORIGIN.fullmatch(given.lower())
        host = _parse_host(found[2]) if found else None
        if found and host and self._ours(host[1], host[2], req):
            ports = {host_port or _DEFAULT_PORT[found[1]], str(self._given.listen[1])}
            if (host[2] or _DEFAULT_PORT[found[1]]) in ports:
                return
        raise problem(
            403,
            "origin_not_allowed",
            "the request comes from a page of another site",
            "call sandod without an Origin header, or from its own address",
        )

    def _ours(self, host: str, port: str | None, req: falcon.Request) -> bool:
        bare = _plain(host)
        if bare in {self._listen, req.env.get("sando.local_address")} or _is_loopback(bare):
            return True
        names = {host, bare, f"{host}:{port}"}
        return any(allowed.lower() in names for allowed in self._given.allowed_hosts())


@lru_cache(maxsize=256)
def _parse_host(given: str) -> re.Match[str] | None:
    return _HOST.fullmatch(given.lower())


@lru_cache(maxsize=256)
def _plain(host: str) -> str:
    """Lower case, without brackets; an address in its one short form, so that 2001:DB8::0:1 is 2001:db8::1."""
    bare = host.strip("[]").lower()
    try:
        return str(ipaddress.IPv6Address(bare)) if ":" in bare else bare
    except ValueError:
        return bare


@lru_cache(maxsize=256)
def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bad_host(given: str) -> Problem:
    return problem(
        403,
        "host_not_allowed",
        f"the Host {ascii(given)[:120]} is not one that sandod answers to" if given else "there is no Host",
        "use the address that sandod listens on, or add the name to allowed_hosts in daemon.toml",
    )


def _check_target(req: falcon.Request) -> None:
    """`GET http://other/…` names a host of its own beside the header; we are no proxy."""
    if not req.env.get("REQUEST_URI", "/").startswith("/"):
        raise problem(400, "bad_request", "the request target must be a path")
