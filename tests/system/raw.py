"""Requests as bytes that no client library would send, in kinds (notes: S1 to S16), from a seeded random.

Each says which statuses it may be answered with; `NOTHING_DONE` paths are those whose acts, where one is understood at
all, are refused by an empty sandod: so no request of these may change anything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

TOKEN = "the-token-of-max"
PLACES = {"tier": "a", "gate": "boot_smoke", "version": "0.8.2", "operation": "7"}
NOTHING_DONE = (
    "/confirm/a",
    "/reject/a",
    "/rollback/a",
    "/promote/a",
    "/operations/7/abort",
    "/backup/fetch",
    "/rebuild",
)
READS = ("/state", "/operations", "/operations/7", "/operations/7/log", "/releases", "/releases/9", "/dora", "/events",
         "/plan/promote/a", "/plan/rollback/a", "/metrics", "/healthz", "/openapi.json")  # fmt: skip
DIGEST = "0" * 22 + "=="
OWN = (404, 409)
"""What an act answers that was understood."""


@dataclass(frozen=True)
class Raw:
    """`whole`: it is all that the server waits for. `path` is None where there is no telling what was meant."""

    kind: str
    data: bytes
    method: str
    path: str | None
    allowed: tuple[int, ...] | None = None
    whole: bool = True


Make = Callable[[Random], Raw]
KINDS: list[Make] = []


def kind(make: Make) -> Make:
    KINDS.append(make)
    return make


def requests(seed: int, count: int) -> list[Raw]:
    """The same for the same seed; every kind as often as any other."""
    random = Random(seed)
    return [KINDS[n % len(KINDS)](random) for n in range(count)]


def raw(
    name: str, method: str, target: str, *allowed: int, headers: str = "", body: bytes = b"", **more: Any
) -> Raw:
    """A request that is well-formed but for what is in its arguments; a text is sent as latin-1."""
    usual = "" if "host:" in headers.lower() else "Host: localhost\r\n"
    usual += "" if "authorization:" in headers.lower() else f"Authorization: Bearer {TOKEN}\r\n"
    if body and not any(word in headers.lower() for word in ("content-length:", "transfer-encoding:")):
        usual += f"Content-Length: {len(body)}\r\n"
    version = more.pop("version", "HTTP/1.1")
    head = f"{method} {target} {version}\r\n{usual}{headers}Connection: close\r\n\r\n"
    path = more.pop("path", target.partition("?")[0])
    return Raw(name, head.encode("latin-1", "replace") + body, method, path, allowed or None, **more)


JSON = "Content-Type: application/json\r\n"

# -- paths, methods, queries -----------------------------------------------------------------------------------------

ODD_NAMES = (
    "%00", "%2e%2e", "..%2f..", "..", ".", "%0d%0a", "%ff", "%1b[2J", "a;jsp=x", "a;.jsp", "a.", "A", "a%20", "%20a",
    "a%00", "a%0a", "x" * 5000, "%e2%80%ae", "%ed%a0%80", "a'--", "$(id)", "-", "--help", "%25%32%65", "%2", "%zz", "*",
    "a\\..\\b", "\x80\xff", "1" * 30, "-1", "0", "1e3", "%d9%a1", "{tier}", "<script>",
)  # fmt: skip
TEMPLATES = (
    ("POST", "/promote/{}"), ("POST", "/rollback/{}"), ("POST", "/confirm/{}"), ("POST", "/lock/{}"), ("DELETE", "/lock/{}"),
    ("POST", "/gates/{}/boot_smoke/run"), ("POST", "/gates/a/{}/run"), ("POST", "/operations/{}/abort"),
    ("GET", "/operations/{}"), ("GET", "/operations/{}/log"), ("GET", "/releases/{}"), ("GET", "/plan/promote/{}"),
)  # fmt: skip


@kind
def odd_name(random: Random) -> Raw:
    method, template = random.choice(TEMPLATES)
    return raw("odd name", method, template.format(random.choice(ODD_NAMES)), 400, 404, 409, 422)


@kind
def odd_path(random: Random) -> Raw:
    path = random.choice((*READS, *NOTHING_DONE))
    method = "GET" if path in READS else "POST"
    bent = random.choice((
        f"/{path}", f"{path}/", f"/.{path}", f"/x/..{path}", f"{path}//", f"{path}.", path.replace("/", "//"),
        path.upper(), f"{path}/RPC2", f"{path};x", f"{path}%20", f"{path}%2f", f"/%2e%2e{path}", path.replace("/", "\\"),
    ))  # fmt: skip
    return raw("odd path", method, bent, 400, 404)


@kind
def odd_method(random: Random) -> Raw:
    method = random.choice((
        "PUT", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get", "Post", "G", "X" * 200, "GET\x00", "QUERY", "WEBSOCKET",
        "OPTIONS", "HEAD", "DELETE",
    ))  # fmt: skip
    return raw("odd method", method, random.choice((*NOTHING_DONE, "/state", "/nowhere")), 200, 400, 404, 405)


ODD_VALUES = (
    "-1", "NaN", "inf", "Infinity", "1e3", "0x10", "61", "", "%20" + "1", "1%20", "%d9%a1", "1_0", "+1", "1,0", "0.5.5",
    "9" * 400, "%00", "1;2", "null", "[]", "true", "%ff", "1\x80", "1%0a", "1.", ".5",
)  # fmt: skip


@kind
def odd_query(random: Random) -> Raw:
    name, path = random.choice((
        ("wait", "/operations/7"), ("wait", "/events"), ("limit", "/operations"), ("cursor", "/releases"), ("days", "/dora"),
        ("since", "/events"), ("offset", "/operations/7/log"), ("tier", "/operations"), ("status", "/operations"),
        ("hotfix", "/plan/promote/a"), ("version", "/plan/rollback/a"), ("follow", "/operations/7/log"),
    ))  # fmt: skip
    value = random.choice(ODD_VALUES)
    return raw("odd query", "GET", f"{path}?{name}={value}", 200, 400, 404, 422)


@kind
def wrong_query(random: Random) -> Raw:
    path = random.choice([p for p in READS if p not in {"/operations/7", "/operations/7/log", "/releases/9"}])
    query = random.choice(
        ("jsp=", "x=1", "_method=DELETE", "limit%00=1", "Limit=5", "limits=5", "%ff=1", "a[]=1")
    )
    return raw("wrong query", "GET", f"{path}?{query}", 422)


@kind
def doubled_query(random: Random) -> Raw:
    path, name = random.choice(
        (("/operations", "limit"), ("/events", "since"), ("/dora", "days"), ("/releases", "cursor"))
    )
    return raw("doubled query", "GET", f"{path}?{name}=5&{name}={random.choice('56')}", 422)


@kind
def odd_target(random: Random) -> Raw:
    target = random.choice((
        "http://evil.example/state", "http://localhost/state", "*", "localhost:80", "state", "?x", "#", "http://[", "http://[::1",
        "//evil.example/state", "/state#x", "/state?#", "/sta\x00te", "ht tp://x/", "http:///state", "/state\x7f", "/[",
    ))  # fmt: skip
    method = random.choice(("GET", "POST", "CONNECT"))
    return raw("odd target", method, target, 200, 400, 403, 404, 405, 422, path=None)


# -- headers ---------------------------------------------------------------------------------------------------------


@kind
def odd_host(random: Random) -> Raw:
    host = random.choice((
        "Host:\r\n", "Host: evil.example\r\n", "Host: localhost\r\nHost: evil.example\r\n", "Host: localhost\r\nHost: localhost\r\n",
        "Host: localhost.\r\n", "Host: a@localhost\r\n", "Host: [::1\r\n", "Host: ::1\r\n", "Host: localhost:x\r\n",
        "Host: localhost:999999\r\n", "Host: loc\x00alhost\r\n", "Host: 127.1\r\n", f"Host: {'x' * 5000}\r\n", "X-host: localhost\r\n",
    ))  # fmt: skip
    method, path = random.choice(
        (("GET", "/state"), ("POST", "/confirm/a"), ("GET", "/healthz"), ("GET", "/nowhere"))
    )
    return raw("odd host", method, path, 400, 403, headers=host)


@kind
def odd_token(random: Random) -> Raw:
    value = random.choice((
        "", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer{TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN,
        f"Bearer {TOKEN}, Bearer {TOKEN}", f"Bearer \x80{TOKEN}", f"Bearer {TOKEN} x", "Bearer " + "x" * 8000, "Bearer \xff\xfe",
    ))  # fmt: skip
    method, path = random.choice(
        (("GET", "/state"), ("POST", "/confirm/a"), ("GET", "/no"), ("POST", "/lock/a"), ("BREW", "/"))
    )
    body = b'{"reason": "x"}' if path == "/lock/a" else b""
    return raw(
        "odd token",
        method,
        path,
        401,
        headers=f"Authorization: {value}\r\n" + (JSON if body else ""),
        body=body,
    )


@kind
def odd_header(random: Random) -> Raw:
    line = random.choice((
        "X : y\r\n", ": y\r\n", "no colon\r\n", " folded\r\n", "X: a\r\n b\r\n", "X: \x00\r\n", "X\x00: y\r\n", "X: a\nY: b\r\n",
        "X: a\rY: b\r\n", "\x80: y\r\n", "X: \xff\xfe\r\n", "X_Y: z\r\n", "X: y\r\n" * 200, f"X: {'y' * 15000}\r\n",
        f"X: {'y' * 17000}\r\n", "Upgrade: h2c\r\n", "Expect: 100-continue\r\n", "Expect: 200-maybe\r\n", "Range: bytes=5-1\r\n",
        "If-None-Match: *\r\n", "If-None-Match: \x80,,,\r\n", "Accept: text/html\r\n", "Cookie: a=b; a\r\n", "Origin: null\r\n",
        "Origin: http://evil.example\r\n", "X-Forwarded-For: evil\r\n", "Forwarded: for=x;host=y\r\n", "Transfer-Encoding: \r\n",
    ))  # fmt: skip
    path = random.choice(("/state", "/healthz", "/releases"))
    return raw("odd header", "GET", path, 200, 304, 400, 401, 403, 431, headers=line)


@kind
def odd_key(random: Random) -> Raw:
    key = random.choice(("", " ", "a b", "x" * 129, "\x80", "\xff", "a\x00", "x\r\nIdempotency-Key: y"))
    return raw("odd key", "POST", random.choice(NOTHING_DONE), 400, headers=f"Idempotency-Key:{key}\r\n")


@kind
def odd_handshake(random: Random) -> Raw:
    good = {"Upgrade": "websocket", "Sec-WebSocket-Key": DIGEST, "Sec-WebSocket-Version": "13"}
    name = random.choice(("Sec-WebSocket-Key", "Sec-WebSocket-Version"))
    value = random.choice(("", "x", "8", "\x80", DIGEST * 2, "A" * 3000, "-13", "13, 8"))
    lines = "".join(f"{k}: {v}\r\n" for k, v in (good | {name: value}).items())
    method = random.choice(("GET", "GET", "POST", "HEAD"))
    # `Connection: close` comes with each request here, so none of these is a handshake that is taken up.
    return raw("odd handshake", method, "/events", 200, 400, 405, 426, headers=lines)


@kind
def odd_version(random: Random) -> Raw:
    version = random.choice(
        (
            "HTTP/1.0",
            "HTTP/0.9",
            "HTTP/2.0",
            "HTTP/1.2",
            "HTTP/9.9",
            "http/1.1",
            "HTTP/1.1x",
            "HTTP/11",
            "HTTP",
            "",
        )
    )
    return raw(
        "odd version", random.choice(("GET", "HEAD")), "/state", 200, 400, 403, version=version, path=None
    )
