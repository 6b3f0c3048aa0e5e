"""sandod's own way: a real daemon, a real `git push` for every release, then the clock around one POST over HTTP.

It never reaches into the daemon: what it knows it has from `/state` and from the answers.
"""

import http
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nodes import Node, Nodes
from payloads import Kind, Release
from shell import WayFailed, clean_env, end, quote, run
from ways import Cell, Way, health

_DAEMON = """\
listen = "127.0.0.1:{port}"
db_path = "{folder}/sando.db"
topology_path = "{folder}/sando.toml"
workdir = "{folder}/work"
release_root = "{folder}/releases"
"""
_TOPOLOGY = """\
[repo]
bare_path = "{folder}/bare.git"
[build]
dir = "."
command = {command}
artifact = "{artifact}"
run = ["./{entry}"]
version_from = "VERSION"
[[tier]]
name = "mm"
provisioned = true
[[tier]]
name = "a"
provisioned = true
canary = "parallel"
probe = {{ command = {probe} }}
"""
_NODE = """\
[[tier.node]]
name = "{name}"
ssh_target = "{target}"
release_root = "{root}"
identity_file = "{identity}"
known_hosts = "{known_hosts}"
"""
_PATIENCE_S = 60.0
_END_S = 90.0  # it may finish the node in work, which takes 60 s at most


class Sandod(Way):
    """One daemon for each cell: N SSH nodes, all of them switched at once, connections warm from a first tiny deploy."""

    process: subprocess.Popen[bytes] | None = None

    def __init__(self, work: Path, nodes: Nodes) -> None:
        super().__init__("sandod", "sandod", "sandod", "sandod", needed=True)
        self.work, self.nodes, self.cells = work, nodes, 0

    def open(self, cell: Cell) -> None:
        super().open(cell)
        self.cells += 1
        self.folder = self.work / f"sandod{self.cells}"
        self.folder.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._configure(cell)
        self._start()
        self._clone()
        release = cell.tiny()
        self.prepare(release)
        self.first(release)
        release.discard()

    def prepare(self, release: Release) -> None:
        """Push a commit whose build copies the release's artifact, and wait until mm is green with it."""
        link = self.folder / "next"
        link.unlink(missing_ok=True)
        link.symlink_to(release.folder)
        (self.folder / "clone" / "VERSION").write_text(f"{release.version}\n")
        for argv in (["add", "-A"], ["commit", "-qm", release.version], ["push", "-q", "origin", "main"]):
            run(["git", *argv], cwd=self.folder / "clone")
        self._until(
            lambda tiers: (
                tiers["mm"]["current_version"] == release.version and tiers["a"]["operation"] is None
            ),
            f"{release.version} did not turn green on mm",
        )

    def first(self, release: Release) -> None:
        self._post("/promote/a?wait=60", {"version": release.version})

    def next(self, former: Release, release: Release) -> None:
        del former
        self.first(release)

    def back(self, former: Release) -> None:
        del former
        self._post("/rollback/a?wait=60", None)

    def close(self) -> None:
        if self.process is not None:
            end(self.process, _END_S)
            self.process = None

    def target(self, node: Node) -> str:
        return f"{self.nodes.user}@{node.address}:{node.port}"

    def _configure(self, cell: Cell) -> None:
        kind, keys = cell.kind, {"identity": self.nodes.identity, "known_hosts": self.nodes.known_hosts}
        (self.folder / "daemon.toml").write_text(_DAEMON.format(port=self.port, folder=self.folder))
        text = _TOPOLOGY.format(
            folder=self.folder,
            command=json.dumps(self._command(kind)),
            artifact=kind.artifact,
            entry=kind.entry,
            # It runs in the release's folder: `current` is beside `releases`.
            probe=json.dumps(f"cd ../.. && {health(kind)}"),
        )
        for node in cell.nodes:
            text += _NODE.format(name=node.name, target=self.target(node), root=self.root(node), **keys)
        (self.folder / "sando.toml").write_text(text)

    def _command(self, kind: Kind) -> str:
        return f"rm -rf {kind.artifact} && cp -r {quote(str(self.folder))}/next/{kind.artifact} ."

    def _start(self) -> None:
        env = clean_env() | {"SANDO_CONFIG": str(self.folder / "daemon.toml")}
        program = Path(sys.executable).with_name("sandod")
        if not program.exists():
            raise WayFailed(f"{program.name} is not beside this Python: run the bench with .venv/bin/python")
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [str(program)],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._until(lambda _: True, "it did not start")

    def _clone(self) -> None:
        clone = self.folder / "clone"
        run(["git", "clone", "-q", str(self.folder / "bare.git"), str(clone)])
        run(["git", "checkout", "-q", "-B", "main"], cwd=clone)
        run(["git", "config", "user.name", "bench"], cwd=clone)
        run(["git", "config", "user.email", "bench@localhost"], cwd=clone)

    def _until(self, holds: Callable[[dict[str, Any]], bool], complaint: str) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                break
            try:
                status, state = self._ask("GET", "/state", None)
                if status == http.HTTPStatus.OK and holds({tier["name"]: tier for tier in state["tiers"]}):
                    return
            except (OSError, http.client.HTTPException):
                pass  # it does not listen yet
            time.sleep(0.02)
        raise WayFailed(f"sandod: {complaint}: {self._last_lines()}")

    def _post(self, path: str, body: dict[str, str] | None) -> None:
        try:
            status, answer = self._ask("POST", path, body)
        except (OSError, http.client.HTTPException) as error:
            raise WayFailed(f"sandod: POST {path}: {error!r}: {self._last_lines()}") from error
        if status == http.HTTPStatus.OK:
            return
        operation = answer.get("operation") or answer
        nodes = [f"{n['name']}: {n['detail']}" for n in operation.get("nodes", ()) if n.get("detail")]
        said = [answer.get("detail"), operation.get("error"), *nodes[:1]]
        told = "; ".join(dict.fromkeys(str(part) for part in said if part))
        raise WayFailed(f"sandod: POST {path} answered {status} {answer.get('code', '')}: {told}")

    def _ask(self, method: str, path: str, body: dict[str, str] | None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE_S + 10)
        try:
            headers = {"Content-Type": "application/json"} if body else {}
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def _last_lines(self) -> str:
        return os.linesep.join((self.folder / "log").read_text(errors="replace").splitlines()[-8:])
