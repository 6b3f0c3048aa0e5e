"""Who may speak to us at all: the Host and Origin of a request, and whose name it acts under. It keeps no state."""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import falcon

from api.collaborators import Collaborators
from api.errors import Problem, problem
from sando.model.answers import Refusal
from sando.model.topology import TokenSpec

ANONYMOUS = "anonymous"
OPEN = frozenset({"/healthz"})
"""Exact paths that need no token; everything else does, also what does not exist."""
_RANK = {"open": 0, "read": 1, "build": 2, "operate": 3}
_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::([0-9]{1,5}))?", re.ASCII)
_ABSOLUTE = re.compile(r"https?://([^/?#]*)", re.ASCII | re.IGNORECASE)
_ORIGIN = re.compile(r"(https?)://([^/\s]+)", re.ASCII)
_WHO = "sando.who"
_HOW = "send `Authorization: Bearer TOKEN`"
_DEFAULT_PORT = {"http": "80", "https": "443"}


class Who(NamedTuple):
    """The name that operations and events carry, what it may do, and the token that says so."""

    name: str
    scope: str
    sha256: str | None = None


_ANYBODY = Who(ANONYMOUS, "operate")
_UNASKED = Who(ANONYMOUS, "open")


def actor(req: falcon.Request) -> str:
    """The name that operations and events carry: the token's."""
    who: Who = req.env.get(_WHO, _UNASKED)
    return who.name


def permit(req: falcon.Request, tokens: Callable[[], Sequence[TokenSpec]]) -> Callable[[], bool]:
    """For a stream: whether who came with this request may still be here, asked again and again."""
    who: Who = req.env.get(_WHO, _UNASKED)
    return partial(_is_still_permitted, tokens, who.sha256)


class Bearer:
    """Who this is, before anything is routed; and whether that is enough, after. Deny by default.

    Without any token in daemon.toml everybody is anonymous and may do all: that is for loopback, or a network
    that is trusted as a whole (SPEC 13).
    """

    def __init__(self, collaborators: Collaborators) -> None:
        self._given = collaborators

    def recognise(self, req: falcon.Request) -> None:
        req.env[_WHO] = self._who(req)

    def _who(self, req: falcon.Request) -> Who:
        tokens = self._given.tokens()
        if not tokens or req.path in OPEN:
            return _ANYBODY
        given = req.env.get("HTTP_AUTHORIZATION", "")
        token = _known(given, tokens)
        if token is None:
            raise Problem(unknown_token() if given else _no_token(), {"WWW-Authenticate": "Bearer"})
        return Who(token.name, token.scope, token.sha256)

    def allow(self, req: falcon.Request, scopes: Mapping[str, str]) -> None:
        """`scopes` is what each method of the path needs."""
        who: Who = req.env[_WHO]
        needed = scopes.get("GET" if req.method == "HEAD" else req.method, "read")
        if _RANK[who.scope] < _RANK[needed]:
            detail = f"this needs the scope {needed}, the token {who.name} has {who.scope}"
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
    """Before routing: a page of another site must not reach a daemon on loopback (SPEC 13)."""

    def __init__(self, collaborators: Collaborators) -> None:
        self._given = collaborators
        self._listen = _plain(collaborators.listen[0])

    def check(self, req: falcon.Request) -> None:
        _take_target(req)
        port = self._check_host(req)
        if "HTTP_ORIGIN" in req.env:
            self._check_origin(req, req.env["HTTP_ORIGIN"], port)

    def _check_host(self, req: falcon.Request) -> str | None:
        """The port that the Host header names."""
        given = req.env.get("HTTP_HOST", "")
        found = _parse_host(given)
        if found is None or not self._ours(found[1], found[2], req):
            raise _bad_host(given)
        return found[2]

    def _check_origin(self, req: falcon.Request, given: str, host_port: str | None) -> None:
        """A page served by ourselves: an allowed host, at the port that this request came to."""
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
        if _is_loopback(bare) or bare == self._listen or bare == req.env.get("sando.local_address"):
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


def _take_target(req: falcon.Request) -> None:
    """`GET http://host/…` names a host of its own, which counts instead of the header's (RFC 9112 3.2.2)."""
    target = req.env.get("REQUEST_URI", "/")
    if target.startswith("/"):
        return
    found = _ABSOLUTE.match(target)
    if found is None:
        raise problem(400, "bad_request", "the request target must be a path, or a URL of sandod")
    req.env["HTTP_HOST"] = found[1]
