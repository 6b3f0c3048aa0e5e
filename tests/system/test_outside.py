"""What came from outside does nothing to who looks at it, by whatever way it comes out: JSON, log, stderr, push, errors."""

import json
import socket
import subprocess
import unicodedata

from tests.system.workspace import tier
from tests.work.pushing import PERSON, git

HOSTILE = "\x1b]52;c;aGk=\x07\x1b[2J\x9b31m\u202etxt.exe\u2066\u200b\ufeff\r\u00ad\U000e0041\x7f"
"""Sets a clipboard, clears a screen, colours in C1, turns text round, hides, goes back to the start of the line."""
MARK = "seen:"
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def offenders(text: str) -> list[str]:
    return sorted({c for c in text if c not in "\n\t" and unicodedata.category(c) in UNSEEN})


def shell(text: str) -> str:
    """Shell text that prints it."""
    octal = "".join(f"\\{byte:03o}" for byte in text.encode())
    return f"printf '{octal}\\n'"


def raw(sandod, path: str, headers: str = "") -> tuple[str, str]:
    """Head and body as they come over the line, so that no parser stands between."""
    with socket.create_connection(("127.0.0.1", sandod.port), timeout=60) as line:
        line.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode())
        head, _, body = b"".join(iter(lambda: line.recv(65536), b"")).partition(b"\r\n\r\n")
    return head.decode("latin-1"), body.decode("utf-8")


def commit_raw(sandod, message: bytes, name: bytes) -> None:
    """A commit on the branch with bytes that `git commit` would not write, author and subject."""
    clone = sandod.clone
    tree = clone.git("rev-parse", "HEAD^{tree}").strip()
    head = clone.git("rev-parse", "HEAD").strip()
    person = name + b" <max@example.org> 1795000000 +0000"
    text = b"tree %b\nparent %b\nauthor %b\ncommitter %b\n\n%b\n" % (
        tree.encode(), head.encode(), person, person, message,
    )  # fmt: skip
    made = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally"],
        cwd=clone.folder, env=PERSON | {"PATH": "/usr/bin:/bin"}, input=text, capture_output=True, check=True,
    )  # fmt: skip
    git("reset", "-q", "--soft", made.stdout.decode().strip(), cwd=clone.folder)


def test_no_way_out_carries_what_a_terminal_or_browser_acts_upon(sandod):
    probe = f"probe = {{ command = '''{shell(HOSTILE + MARK)}; exit 1''' }}\ntimeout = \"1s\"\n"
    sandod.configure(tier("a", more=probe)).start()
    sandod.commit("1.0", build=f"{shell(MARK + HOSTILE)}\nmkdir -p 'x'; touch \"x/$({shell(HOSTILE.replace('/', ''))})\"",
                  server="#!/bin/sh\nexec sleep 600\n")  # fmt: skip
    commit_raw(sandod, (MARK + HOSTILE).encode() + b"\xff\xfe \x80", (MARK + HOSTILE).encode() + b"\xff")
    said = [sandod.clone.push("-o", "follow", "main")]
    built = sandod.wait_event("BuildOk")
    deploy = sandod.ended(sandod.post("/promote/a", {"reason": MARK + HOSTILE}).body["id"])
    assert deploy["status"] == "failed"
    assert MARK in deploy["error"]
    sandod.post("/lock/a", {"reason": MARK + HOSTILE})
    red = f"{shell(MARK + HOSTILE)}; exit 1"
    sandod.push("1.1", test=red)
    failed = sandod.wait_event("BuildFailed")
    sandod.commit("1.2")
    said.append(sandod.clone.push("main"))
    sandod.wait_event("BuildOk", after=failed["seq"])
    paths = (
        "/state", "/operations?limit=500", f"/operations/{deploy['id']}", "/events?since=0&limit=500", "/releases",
        f"/releases/{built['version']}", "/plan/promote/a", "/plan/rollback/a", "/metrics", "/healthz",
        "/operations/1/log?visible=1", f"/operations/{deploy['id']}/log?visible=1&follow=1",
        "/nowhere%1b%5b2J%e2%80%ae", "/promote/%1b%c2%9b", "/operations?tier=%1b%e2%80%ae", "/releases/%c2%9b31m",
    )  # fmt: skip
    found = {}
    for path in paths:
        head, body = raw(sandod, path)
        assert offenders(head.replace("\r\n", "\n")) == [], path
        assert "x-content-type-options: nosniff" in head.lower(), path
        kind = head.lower().partition("content-type: ")[2].partition("\r\n")[0]
        assert kind.startswith(("application/json", "application/problem+json", "text/plain")), path
        found[path] = body
    for path, body in found.items():
        assert offenders(body) == [], path
    for path in ("/operations?limit=500", "/events?since=0&limit=500", "/operations/1/log?visible=1"):
        assert MARK in found[path], "it is there, and only harmless"
    assert offenders("".join(said)) == [], said
    assert MARK in said[0]
    stderr = sandod.log.read_bytes().decode()
    assert offenders(stderr) == []
    events = json.loads(found["/events?since=0&limit=500"])["events"]
    asked = next(e for e in events if e["type"] == "RebuildRequested")
    assert HOSTILE.partition("\r")[0] in asked["data"]["subject"], "a program reads what was written"


def test_a_log_as_it_is_comes_as_bytes_that_no_browser_runs(sandod):
    page = "<html><script>alert(1)</script>"
    sandod.configure().start()
    sandod.green("1.0", build=f"echo '{page}'\n{shell(HOSTILE)}")
    for path in ("/operations/1/log", "/operations/1/log?follow=1", "/operations/1/log?offset=1"):
        head, body = raw(sandod, path, "Accept: text/html\r\n")
        lines = head.lower().split("\r\n")
        assert "content-type: text/plain; charset=utf-8" in lines
        assert "x-content-type-options: nosniff" in lines
        assert any(line.startswith("content-security-policy: default-src 'none'") for line in lines)
        assert page in body
        assert HOSTILE in body


def test_lines_of_stderr_cannot_be_made_up_from_outside(sandod):
    """In both forms; a record that has several lines stays one record."""
    fake = "\n2026-01-01T00:00:00.000Z INFO sandod: all is well"
    sandod.configure(tier("a"), daemon='log_format = "json"').start()
    sandod.green("1.0")
    sandod.post("/lock/a", {"reason": "x" + fake + HOSTILE})
    sandod.post("/promote/a", {"reason": "x" + fake + HOSTILE})
    sandod.topology.write_text(
        sandod.topology.read_text() + f'\n[["x{HOSTILE.encode("unicode-escape").decode()}"]]\n'
    )
    sandod.post("/reload")
    assert sandod.stop() == 0
    for line in sandod.log.read_text().splitlines():
        assert offenders(line) == []
        assert set(json.loads(line)) >= {"at", "level", "logger", "message"}
