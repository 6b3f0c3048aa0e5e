"""A canary for each secret that sandod is given: used by all that uses them, and searched in all that comes out."""

import contextlib
import hashlib
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sando import config
from tests.notify.receiver import receiving, status
from tests.system.canary import ENVIRONMENT, MARK, Canaries, hook_tokens, told_by_files
from tests.system.sandod import alive, until
from tests.system.workspace import tier
from tests.work.sshds import farm

TOKENS = {scope: f'{MARK}-{scope}/+"é%' for scope in ("read", "build", "operate")}
SCRATCH = f"{MARK}-scratch%2F%2B"
PATH, LOGIN, SIGNING = f"{MARK}-path", f"{MARK}-login%21", f'{MARK}-signing/+"é%'
WITHOUT_POWER = """
import ctypes, os, sys
for power in (19, 21, 38):  # CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_PERFMON: root looks into everything; others have none of it
    ctypes.CDLL(None).prctl(24, power, 0, 0, 0)  # PR_CAPBSET_DROP
os.execv(sys.argv[1], sys.argv[1:])
"""
TRY_TO_LOOK = r"""
set +e
pid=$$
while [ "$pid" != "$(cat "$ROOT/above")" ]; do
    echo "ancestor $(cat /proc/$pid/comm)"
    tr '\0' ' ' </proc/$pid/cmdline
    cat /proc/$pid/environ && echo "and its environment"
    head -c 1 /proc/$pid/mem
    pid=$(sed 's/.*) . //; s/ .*//' /proc/$pid/stat)
done
"""


def token_lines() -> str:
    return "".join(
        f'[[token]]\nname = "the-{scope}"\nscope = "{scope}"\nsha256 = "{hashlib.sha256(text.encode()).hexdigest()}"\n'
        for scope, text in TOKENS.items()
    )


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}".encode().decode("latin-1")}


class Ways:
    """Everything that came out of a sandod by another way than a file."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bytes]] = []

    def add(self, way: str, text: str | bytes) -> None:
        self.told.append((way, text.encode() if isinstance(text, str) else text))

    def ask(self, port: int, method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
        """One answer as it comes over the line."""
        lines = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())
        size = f"Content-Length: {len(body)}\r\nContent-Type: application/json\r\n" if method != "GET" else ""
        request = f"{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n{lines}{size}\r\n".encode("latin-1") + body
        with socket.create_connection(("127.0.0.1", port), timeout=70) as line:
            line.sendall(request)
            answer = b"".join(iter(lambda: line.recv(65536), b""))
        self.add(f"{method} {path}", answer)
        return answer


@contextlib.contextmanager
def watching(ways: Ways, root: Path) -> Iterator[None]:
    """Arguments of every process of this workspace, looked at all the time."""
    over, seen = threading.Event(), set()

    def look() -> None:
        while not over.wait(0.05):
            seen.update(words for _, words in alive(str(root)))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        assert seen
        ways.add("the process list", "\n".join(seen))


@pytest.fixture
def node(tmp_path: Path) -> Iterator:
    with farm(tmp_path / "ssh") as sshds:
        yield sshds()


def test_no_secret_comes_out_anywhere(sandod, node):
    ways = Ways()
    sandod.sshd = node
    sandod.headers = bearer(TOKENS["operate"])
    (sandod.root / "dump.sql").write_text(
        "-- PostgreSQL database dump\n-- PostgreSQL database dump complete\n"
    )
    backup = f'[backup]\nsource = "file://{sandod.root}/dump.sql"\nlocal_path = "{sandod.root}/backup.sql"\n'
    with receiving(status(204)) as good, receiving(status(302, "Location: http://127.0.0.1/x")) as bad:
        url = f"http://someone:{LOGIN}@127.0.0.1:{{port}}/{PATH}?key={PATH}"
        daemon = f"""scratch_db_url = "postgres://you:{SCRATCH}@127.0.0.1:1/sando_scratch"
{token_lines()}
[[notify]]
name = "good"
on = ["*"]
url = "{url.format(port=good.port)}"
secret = '{SIGNING}'
[[notify]]
name = "bad"
on = ["*"]
url = "{url.format(port=bad.port)}"
[[notify]]
name = "script"
on = ["*"]
command = "env; cat; exit 1"
"""
        rehearsal = 'gates = [ { kind = "migration_dry_run" } ]'
        sandod.configure(tier("a", more=rehearsal) + backup, daemon=daemon)
        checked = sandod.run("--check")
        assert checked.returncode == 0, checked.stderr
        listed = sandod.run("token", "--list")
        ways.add("--check", checked.stdout + checked.stderr)
        ways.add("token --list", listed.stdout + listed.stderr)
        with watching(ways, sandod.root):
            use_everything(sandod, ways)
        until(lambda: bad.calls and good.calls and (sandod.root / "work/notify/script.log").exists())
        signed = [call.headers["sando-signature"] for call in good.calls]
        assert signed
        for call in (*good.calls, *bad.calls):
            ways.add("the body of a webhook", call.body)
        sandod.stop()
    hooks = hook_tokens(sandod.root)
    assert len(hooks) == 1
    identity = node.identity.read_text().split("\n")[2]
    canaries = Canaries(
        TOKENS | hooks | {"scratch": SCRATCH, "path": PATH, "login": LOGIN, "signing": SIGNING, "env": ENVIRONMENT}
        | {"any": MARK, "identity": identity}
    )  # fmt: skip
    assert canaries.where(sandod.config.read_bytes()), "the search finds what there is"
    assert canaries.where(node.identity.read_bytes())
    ways.add("stderr", sandod.log.read_bytes())
    assert [(way, names) for way, text in ways.told if (names := canaries.where(text))] == []
    assert told_by_files(sandod.root, canaries) == []


def use_everything(sandod, ways: Ways) -> None:
    """The way of a version with all that uses a secret, and every error that might quote one."""
    sandod.start()
    sandod.commit("0.9")
    sandod.clone.put("server/migrations/0001_first.sql", "CREATE TABLE first (id int);")
    ways.add("push", sandod.push("1.0", "-o", "follow", build="env")[1])
    sandod.wait_event("BuildOk")
    ways.add("push", sandod.push("1.1", build="env; exit 3")[1])
    sandod.wait_event("BuildFailed")
    assert sandod.post("/promote/a?wait=60", {"version": "1.0"}).status == 200
    sandod.wait_event("GateDone", tier="a", gate="migration_dry_run")
    sandod.post("/backup/fetch?wait=30")
    assert sandod.post("/notify/test").status == 200
    odd = TOKENS["read"] + "x"
    for path in ("/state", "/operations?limit=100", "/operations/1", "/operations/1/log", "/operations/2/log?follow=1",
                 "/events?since=0&limit=500", "/releases", "/releases/1.0", "/plan/promote/a", "/metrics", "/healthz",
                 "/nowhere"):  # fmt: skip
        for text in (*TOKENS.values(), odd):
            ways.ask(sandod.port, "GET", path, **bearer(text))
        ways.ask(sandod.port, "GET", path, Authorization=f"Basic {MARK}".replace(MARK, "x"))
        ways.ask(sandod.port, "GET", path)
    for text in (*TOKENS.values(), odd):
        ways.ask(sandod.port, "POST", "/promote/a", b'{"version": "9.9"}', **bearer(text))
        ways.ask(sandod.port, "POST", "/notify/test", b"{}", **bearer(text))
        ways.ask(sandod.port, "POST", "/promote/a", b'{"versio": 1', **bearer(text))
    whole = sandod.config.read_text()
    for number, broken in enumerate(
        (
            whole.replace("scratch_db_url", "scratch_db_urll"),
            whole.replace(":1/sando_scratch", ":x/sando_scratch"),
            whole.replace(f'"postgres://you:{SCRATCH}', f"postgres://you:{SCRATCH}"),
            whole.replace("secret = '", "secret = "),
            whole.replace("http://someone", "ftp://someone"),
        )
    ):
        assert broken != whole
        sandod.config.write_text(broken)
        answer = ways.ask(sandod.port, "POST", "/reload", b"{}", **bearer(TOKENS["operate"]))
        assert b"config_rejected" in answer
        problems, _ = config.check(sandod.config)
        assert problems
        ways.add("what --check shows", "\n".join(problems))
        if not number:
            checked = sandod.run("--check")
            assert checked.returncode == 1
            ways.add("--check", checked.stdout + checked.stderr)
    sandod.config.write_text(whole)
    assert sandod.post("/reload").status == 200


def test_a_build_of_the_same_user_sees_nothing_of_what_runs_it(sandod):
    sandod.before = [sys.executable, "-c", WITHOUT_POWER]
    sandod.configure().start()
    above = Path("/proc", str(sandod.pid), "stat").read_text().rpartition(") ")[2].split()[1]
    (sandod.root / "above").write_text(above)
    sandod.push("1.0", build=TRY_TO_LOOK)
    sandod.wait_event("BuildOk")
    log = sandod.get("/operations/1/log").body
    ancestors = [line.split()[1] for line in log.splitlines() if line.startswith("ancestor ")]
    assert ancestors[-3:] == ["sando-keeper", "sando-spawner", "sandod"]
    assert log.count("and its environment") == len(ancestors) - 3, "its own are to be seen"
    assert log.count("/environ: Permission denied") == 3
    assert log.count("/mem' for reading: Permission denied") == 3
    assert Canaries({"env": ENVIRONMENT}).where(log.encode()) == []
