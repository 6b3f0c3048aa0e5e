"""A real node folder with a real release store beside it, for the tests of deploys."""

import json
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import msgspec

from sando.model.release import MANIFEST, Manifest
from sando.model.task import NodeFacts, NodeTask, Step
from sando.model.topology import NodeSpec
from sando.work.cancel import CancelToken
from sando.work.deploy import perform
from sando.work.digest import scan
from sando.work.hosts import Host, Link, Parcels, connect
from sando.work.log import tail

SERVER = f"""#!{sys.executable} -IS
import os, signal, socket
sock = socket.socket()
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.bind(("127.0.0.1", int(os.environ["PORT"])))
sock.listen()
print("serving", flush=True)
while True:
    peer, _ = sock.accept()
    peer.recv(4096)
    peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    peer.close()
"""


def write_release(store: Path, version: str, files: dict[str, str] | None = None) -> Path:
    """A complete release in the store; files whose content begins with `#!` are executable."""
    folder = store / version
    for name, text in (files or {"server": SERVER, "VERSION": version}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if text.startswith("#!") else 0o644)
    manifest = Manifest(version, "a" * 40, "main", "Max", "a change", datetime.now(UTC), "mm", scan(folder))
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return folder


@dataclass
class Shop:
    """One tier with one node: `do(step)` performs a step there."""

    folder: Path
    keepers: Any = None
    cancel: CancelToken = field(default_factory=CancelToken)
    operation: int = 7
    sshd: Any = None
    """A `Sshd` of the tests, where the node is reached over SSH."""
    port: int | None = None
    """Of a wire before it."""

    @cached_property
    def node(self) -> NodeSpec:
        if self.sshd is None:
            return NodeSpec("a-1", "local", str(self.root))
        target = self.sshd.through(self.port) if self.port else self.sshd.target
        keys = {"identity_file": str(self.sshd.identity), "known_hosts": str(self.sshd.known_hosts)}
        return NodeSpec("a-1", target, str(self.root), **keys)

    @cached_property
    def link(self) -> Link:
        return connect(self.node, Parcels(str(self.folder)))

    def host(self) -> Host:
        return self.link.host(self.cancel)

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def root(self) -> Path:
        return self.folder / "node"

    @property
    def current(self) -> Path:
        return self.root / "current"

    @property
    def log(self) -> str:
        return tail(self.folder / "op.log", 1000)

    def task(self, step: Step, version: str = "1.0", **keys: Any) -> NodeTask:
        keys = {"former": None, "previous": None, **keys}
        where = {"store": str(self.store), "log": str(self.folder / "op.log")}
        return NodeTask(self.operation, "a", self.node, step, version, **where, **keys)

    def do(self, step: Step, version: str = "1.0", *, host: Host | None = None, **keys: Any) -> NodeFacts:
        return perform(self.task(step, version, **keys), host or self.host(), self.keepers, self.cancel)

    def deploy(self, version: str, **keys: Any) -> None:
        """All steps that bring a version to the node, its release included."""
        if not (self.store / version).exists():
            write_release(self.store, version)
        for step in (Step.PREFLIGHT, Step.UPLOAD, Step.SWITCH, Step.START):
            self.do(step, version, **keys)

    def names(self) -> str | None:
        return os.readlink(self.current) if self.current.is_symlink() else None  # noqa: PTH115


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


AT_ONCE_S = 8.0
"""What waits for nothing of its own takes less, on a busy machine too; what waits for a deadline of sando takes 10 s or more."""


def until(condition, seconds: float = 30.0) -> None:
    """Poll with a deadline: for what tells nobody when it has happened."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come true in time"
        threading.Event().wait(0.01)


def alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Answering:
    """A TCP server that answers every connection with the same bytes, and may be told others."""

    def __init__(self, answer: bytes = b"", *, pause: float = 0.0) -> None:
        self.answer = answer
        self.heard: list[bytes] = []
        self.pause = pause
        self._sock = socket.create_server(("127.0.0.1", 0))
        self.port = self._sock.getsockname()[1]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/health"

    def status(self, code: int, body: str = "") -> None:
        self.answer = f"HTTP/1.1 {code} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        self._thread.join(10)
        self._sock.close()

    def _loop(self) -> None:
        while not self._stop.is_set():
            peer, _ = self._sock.accept()
            with peer, suppress(OSError):
                if self._stop.is_set():
                    return
                peer.settimeout(1)
                self.heard.append(peer.recv(4096))
                for byte in [self.answer] if not self.pause else [bytes([b]) for b in self.answer]:
                    peer.sendall(byte)
                    if self.pause and self._stop.wait(self.pause):
                        return


def manifest_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / MANIFEST).read_bytes())
