"""Odd bodies and odd framing: JSON that is none, types, lengths, chunks, and requests that are cut or spoilt."""

import json
from random import Random
from typing import Any
from urllib.parse import quote

from tests.system.raw import JSON, NOTHING_DONE, OWN, Raw, kind, raw

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
