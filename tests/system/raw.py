"""Requests as bytes that no client library would send, in kinds (notes: S1 to S16), from a seeded random.

Each says which statuses it may be answered with; `NOTHING_DONE` paths are those whose acts, where one is understood at
all, are refused by an empty sandod: so no request of these may change anything.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import quote

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
    return raw("odd name", method, template.format(random.choice(ODD_NAMES)), 404, 409, 422)


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
    return raw("odd target", method, target, 200, 400, 404, 405, 422, path=None)


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
    return raw("odd header", "GET", path, 200, 304, 400, 403, 431, headers=line)


@kind
def odd_key(random: Random) -> Raw:
    key = random.choice(
        ("", " ", "a b", "x" * 129, "\x80", "\xff", "a\x00", "a\t", "x\r\nIdempotency-Key: y")
    )
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
    return raw("odd version", random.choice(("GET", "HEAD")), "/state", 200, 400, 403, version=version)


# -- bodies ----------------------------------------------------------------------------------------------------------

BAD_JSON = (
    b"NaN", b'{"force": NaN}', b'{"reason": Infinity}', b'{"force": true, "force": false}', b"[" * 60000, b'{"a":' * 9000,
    b'{"force": tru}', b"{'force': 1}", b"{} {}", b"{},", b"\xff\xfe{\x00}\x00", b'{"reason": "\xff"}', b"\xef\xbb\xbf{}", b"{", b"\x00",
    b'{"force": ' + b"9" * 5000 + b"}", b"// x\n{}", b'{"reason": "a\nb"}', b'{"reason": "\\x41"}', b'{"reason": "\\ud800"', b"-",
)  # fmt: skip
WRONG_JSON = (
    b"[]", b'"a"', b"null", b"true", b"7", b"[{}]", b'{"reason": 1}', b'{"reason": null}', b'{"reason": ["a"]}', b'{"reason": 1e999}',
    b'{"reason": "\\ud800"}', b'{"\\ud800": 1}', b'{"__proto__": {}}', b'{"": 1}', b'{"Reason": "x"}', b'{"reason": "' + b"x" * 1001 + b'"}',
    b'{"reason ": "x"}', b'{"a": {"b": [1, 2, {"c": null}]}}',
)  # fmt: skip


@kind
def bad_json(random: Random) -> Raw:
    return raw(
        "bad json", "POST", random.choice(NOTHING_DONE), 400, headers=JSON, body=random.choice(BAD_JSON)
    )


@kind
def wrong_json(random: Random) -> Raw:
    return raw(
        "wrong json", "POST", random.choice(NOTHING_DONE), 422, headers=JSON, body=random.choice(WRONG_JSON)
    )


@kind
def wrong_field(random: Random) -> Raw:
    odd: list[Any] = [
        "true",
        1,
        0,
        None,
        [],
        {},
        1.5,
        "",
        10**30,
        -1,
        "\x1b[2J",
        "a\r\nb",
        "../..",
        "x" * 65,
        "\x00",
        " ",
        "\u202e",
    ]
    path, field = random.choice((
        ("/promote/a", "version"), ("/rollback/a", "version"), ("/confirm/a", "version"), ("/rebuild", "sha"), ("/lock/a", "expires"),
    ))  # fmt: skip
    value = random.choice([v for v in odd if v is not None])
    body = json.dumps(
        {field: value} | ({"reason": "x"} if path == "/lock/a" else {}), ensure_ascii=random.random() < 0.5
    )
    return raw("wrong field", "POST", path, 422, headers=JSON, body=body.encode())


@kind
def odd_type(random: Random) -> Raw:
    value = random.choice((
        "text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", "json",
        "application/json; charset=latin-1", "application/json, text/plain", "application/json\r\nContent-Encoding: gzip", "*/*",
        "application/json; charset=utf-16", "\xff", "application/json\r\nContent-Type: text/plain", "application/vnd.api+json",
    ))  # fmt: skip
    given = f"Content-Type: {value}\r\n" if random.random() < 0.9 else ""
    return raw("odd type", "POST", random.choice(NOTHING_DONE), 415, headers=given, body=b"{}")


@kind
def right_type(random: Random) -> Raw:
    value = random.choice(
        (
            "application/json",
            "APPLICATION/JSON",
            'application/json; charset="UTF-8"',
            "application/json;charset=utf-8 ",
        )
    )
    body = random.choice(
        (
            b"{}",
            b'{"reason": "\\u0000\\u202e \\u001b[2J"}',
            b'{"reason": "a\\r\\nb"}',
            b" {}\n",
            b'{"reason":"\xf0\x9f\x98\x80"}',
        )
    )
    return raw(
        "right type",
        "POST",
        random.choice(NOTHING_DONE),
        *OWN,
        headers=f"Content-Type: {value}\r\n",
        body=body,
    )


@kind
def large(random: Random) -> Raw:
    size = random.choice((65537, 66000, 69631))
    return raw(
        "large",
        "POST",
        random.choice(NOTHING_DONE),
        413,
        headers=JSON,
        body=b'{"reason": "' + b"x" * (size - 14) + b'"}',
    )


@kind
def announced(random: Random) -> Raw:
    length = random.choice((str(10**6), str(2**31), str(2**63), "9" * 30, "9" * 5000))
    return raw(
        "announced", "POST", "/confirm/a", 400, 413, headers=f"{JSON}Content-Length: {length}\r\n", body=b"{}"
    )


# -- framing ---------------------------------------------------------------------------------------------------------


@kind
def odd_length(random: Random) -> Raw:
    length = random.choice(
        (
            "-1",
            "+2",
            "2 2",
            "0x2",
            "2, 2",
            "2\r\nContent-Length: 3",
            "2\r\nContent-Length: 2",
            "",
            "two",
            "\x802",
            "1e1",
            "2.",
        )
    )
    return raw(
        "odd length", "POST", "/confirm/a", 400, headers=f"{JSON}Content-Length: {length}\r\n", body=b"{}"
    )


@kind
def chunked(random: Random) -> Raw:
    body = random.choice(
        (
            b"2\r\n{}\r\n0\r\n\r\n",
            b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
            b"2;a=b\r\n{}\r\n0\r\n\r\n",
            b"02\r\n{}\r\n000\r\n\r\n",
            b"0\r\n\r\n",
        )
    )
    return raw(
        "chunked",
        "POST",
        random.choice(NOTHING_DONE),
        *OWN,
        headers=f"{JSON}Transfer-Encoding: chunked\r\n",
        body=body,
    )


@kind
def odd_chunks(random: Random) -> Raw:
    body = random.choice((
        b"z\r\n{}\r\n0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"0x2\r\n{}\r\n0\r\n\r\n", b"2 \r\n{}\r\n0\r\n\r\n", b"2\r\n{}xx0\r\n\r\n",
        b"+2\r\n{}\r\n0\r\n\r\n", b"2;\x00\r\n{}\r\n0\r\n\r\n", b"\r\n{}\r\n0\r\n\r\n", b"2\n{}\n0\n\n", b"f" * 40 + b"\r\n{}\r\n0\r\n\r\n",
    ))  # fmt: skip
    return raw(
        "odd chunks",
        "POST",
        "/confirm/a",
        400,
        413,
        headers=f"{JSON}Transfer-Encoding: chunked\r\n",
        body=body,
        whole=False,
    )


@kind
def smuggled(random: Random) -> Raw:
    lines = random.choice((
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", "Transfer-Encoding: chunked, identity\r\n", "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: xchunked\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
        "Transfer-Encoding: \x0bchunked\r\n", "Transfer-Encoding : chunked\r\n", "Transfer-Encoding: identity\r\nContent-Length: 2\r\n",
    ))  # fmt: skip
    return raw(
        "smuggled",
        "POST",
        "/confirm/a",
        400,
        headers=JSON + lines,
        body=b"0\r\n\r\nGET /state HTTP/1.1\r\n\r\n",
    )


@kind
def cut(random: Random) -> Raw:
    """A right request that ends too early."""
    path = random.choice(NOTHING_DONE)
    whole = raw("cut", "POST", path, headers=JSON, body=b'{"reason": "because"}').data
    return Raw("cut", whole[: random.randrange(len(whole))], "POST", path, (400,), whole=False)


@kind
def flipped(random: Random) -> Raw:
    """A right request in which a few bytes are others."""
    path = random.choice(("/confirm/a", "/rollback/a", "/reject/a"))
    data = bytearray(raw("flipped", "POST", path, headers=JSON, body=b'{"reason": "because"}').data)
    for _ in range(random.randint(1, 3)):
        data[random.randrange(len(data))] = random.randrange(256)
    return Raw("flipped", bytes(data), "POST", None, None, whole=False)


@kind
def junk(random: Random) -> Raw:
    data = random.choice((
        random.randbytes(random.randint(1, 400)), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + random.randbytes(200), b"\r\n" * 50,
        b"\n\n\n", b"GET\r\n\r\n", b"GET /state\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"SSH-2.0-x\r\n\r\n", b" GET / HTTP/1.1\r\n\r\n",
        quote(random.randbytes(60)).encode() + b"\r\n\r\n", b"GET  /state  HTTP/1.1\r\n\r\n", b"GET /state HTTP/1.1\nHost: localhost\n\n",
    ))  # fmt: skip
    return Raw("junk", data, "GET", None, None, whole=False)
