"""5,000 requests as bytes of all odd kinds to a real sandod: no 5xx, every status in openapi.json, one form of error."""

import hashlib
import os
import re
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from tests.api.conforming import PROBLEM, check
from tests.system.raw import KINDS, TOKEN, Raw, requests
from tests.system.workspace import Workspace, tier

MANY = int(os.environ.get("SANDO_RAW_REQUESTS", "5000"))
SEED = int(os.environ.get("SANDO_SEED", "5"))
AT_ONCE = 4
DEADLINE_S = 10.0
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) [A-Za-z ]+\r\n")
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
KIND = re.compile(rb"\r\ncontent-type: ([^\r]+)\r\n", re.IGNORECASE)
TOKENS = f"""
[[token]]
name = "max"
scope = "operate"
sha256 = "{hashlib.sha256(TOKEN.encode()).hexdigest()}"
"""


class Reply(NamedTuple):
    status: int
    kind: str
    body: bytes


def ask(port: int, request: Raw) -> list[Reply]:
    """Everything that comes back until the end of the connection."""
    return replies(exchange(port, request))


def exchange(port: int, request: Raw) -> bytes:
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as line:
        try:
            line.sendall(request.data)
            if not request.whole:
                line.shutdown(socket.SHUT_WR)
            while data := line.recv(65536):
                got += data
        except (ConnectionResetError, BrokenPipeError):
            pass  # it was refused before all of it was read
        except TimeoutError:
            return b"(in time)"
    return got


def replies(got: bytes) -> list[Reply]:
    """What came, taken apart; what is no answer of HTTP has no status."""
    found = []
    while got:
        start, (head, _, rest) = STATUS.match(got), got.partition(b"\r\n\r\n")
        if start and start[1] == b"100":
            got = rest
            continue
        length, kind = LENGTH.search(head + b"\r\n"), KIND.search(head + b"\r\n")
        size = int(length[1]) if length and rest else 0
        if start is None or len(rest) < size:
            return [*found, Reply(0, "", got)]
        found.append(Reply(int(start[1]), kind[1].decode() if kind else "", rest[:size]))
        got = rest[size:]
    return found


def judged(request: Raw, came: list[Reply]) -> list[str]:
    """What is wrong with what came back."""
    try:
        assert came or not request.whole, "nothing"
        for reply in came:
            judge(request, reply)
    except AssertionError as error:
        return [f"{request.kind}: {request.data[:300]!r} was answered {came}: {error}"[:1500]]
    return []


def judge(request: Raw, reply: Reply) -> None:
    assert 100 < reply.status < 500
    assert request.allowed is None or reply.status in request.allowed, f"not one of {request.allowed}"
    if reply.status >= 400:
        assert reply.kind == PROBLEM
    if request.path is not None:
        path = unquote_to_bytes(request.path.encode("latin-1")).decode("utf-8", "replace")
        check(request.method, path, *reply)
    elif reply.status >= 400 and reply.body:
        check("BREW", "/", *reply)


def test_whatever_bytes_come_they_are_answered_as_the_contract_says(sandod: Workspace) -> None:
    sandod.configure(tier("a"), daemon=TOKENS)
    sandod.headers = {"Authorization": f"Bearer {TOKEN}"}
    sandod.start()
    before = sandod.state()
    all_of_them = requests(SEED, MANY)
    seen: Counter[tuple[str, int]] = Counter()
    wrong = []
    with ThreadPoolExecutor(AT_ONCE) as clients:
        answers = clients.map(lambda r: ask(sandod.port, r), all_of_them)
        for request, came in zip(all_of_them, answers, strict=True):
            seen.update((request.kind, reply.status) for reply in came)
            wrong += judged(request, came)
    assert not wrong, "\n".join([f"{len(wrong)} of {MANY}, seed {SEED}", *wrong[:20]])
    assert len({name for name, _ in seen}) >= len(KINDS) - 2, seen
    after = sandod.state()
    assert {k: v for k, v in after.items() if k != "now"} == {k: v for k, v in before.items() if k != "now"}
    assert sandod.operations() == []
    log = sandod.log.read_text()
    assert "Traceback" not in log, log
    assert "unexpected error" not in log, log
    assert sandod.stop() == 0
