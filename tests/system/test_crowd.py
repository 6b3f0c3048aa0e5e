"""A hundred clients that follow and wait, and what they cost everybody else: nothing."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

from tests.system.sandod import until

DEADLINE_S = 60.0


def follow(sandod, path, got):
    """One client on a socket of its own; `got` grows as the answer comes. Ends when the daemon ends it."""
    with socket.create_connection(("127.0.0.1", sandod.port), timeout=DEADLINE_S) as line:
        line.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
        while data := line.recv(65536):
            got += data
    return bytes(got).partition(b"\r\n\r\n")[2]


def test_fifty_followers_and_fifty_waiters_hold_nobody_up_and_all_hear_the_same(sandod):
    sandod.configure().start()
    lines = "i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i + 1)); done"
    sandod.push(
        "1.0", build=f"echo before\n{sandod.stop_at('middle')}\n{lines}\n{sandod.stop_at('end')}\necho after"
    )
    sandod.reached("middle")
    followers, waiters = [bytearray() for _ in range(50)], [bytearray() for _ in range(50)]
    with ThreadPoolExecutor(100) as crowd:
        logs = [crowd.submit(follow, sandod, "/operations/1/log?follow=1", got) for got in followers]
        waits = [crowd.submit(follow, sandod, "/operations/1?wait=30", got) for got in waiters]
        until(
            lambda: all(b"before" in got for got in followers),
            DEADLINE_S,
            "for the log to reach all followers",
        )
        assert sandod.state()["build"]["operation"] == 1
        sandod.go("middle")
        until(
            lambda: all(b"line 199" in got for got in followers),
            DEADLINE_S,
            "for the next lines to reach them",
        )
        assert sandod.state()["build"]["operation"] == 1, (
            "/state answers with a hundred clients at the daemon"
        )
        assert not any(f.done() for f in (*logs, *waits)), "nobody ends before the build"
        assert not any(waiters)
        sandod.go("end")
        texts = {f.result(DEADLINE_S) for f in logs}
        answers = {f.result(DEADLINE_S) for f in waits}
    assert len(texts) == 1, "all followers get the same bytes"
    text = texts.pop()
    assert text.decode() == sandod.get("/operations/1/log").body
    assert b"after" in text
    assert len(answers) == 1
    assert b'"status":"succeeded"' in answers.pop()


def test_a_client_that_never_reads_its_log_keeps_no_other_from_it(sandod):
    sandod.configure().start()
    sandod.push("1.0", build=f"head -c 3000000 /dev/zero | tr '\\0' x | fold -w 99\n{sandod.stop_at('end')}")
    with socket.create_connection(("127.0.0.1", sandod.port), timeout=DEADLINE_S) as stuck:
        stuck.sendall(b"GET /operations/1/log?follow=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        sandod.reached("end")
        got = bytearray()
        reader = threading.Thread(target=follow, args=(sandod, "/operations/1/log?follow=1", got))
        reader.start()
        until(lambda: len(got) > 3_000_000, DEADLINE_S)
        sandod.go("end")
        reader.join(DEADLINE_S)
        assert not reader.is_alive()
        assert sandod.ended(1)["status"] == "succeeded"


def test_a_log_is_read_on_from_where_a_reader_stopped(sandod):
    sandod.configure().start()
    sandod.green("1.0", build="echo grüße")
    whole = sandod.get("/operations/1/log").body.encode()
    assert "grüße".encode() in whole
    for offset in (0, 1, whole.index("ü".encode()) + 1, len(whole)):
        text = whole[offset:].decode("utf-8", "replace")
        assert sandod.get(f"/operations/1/log?offset={offset}").body == text
