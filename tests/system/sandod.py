"""A real sandod as a process of its own, and the HTTP client of the tests; it knows no topology."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tests.ports import free_port
from tests.system.canary import ENVIRONMENT

T = TypeVar("T")
SCRIPT = Path(sys.executable).with_name("sandod")
COMMAND = [str(SCRIPT)] if SCRIPT.exists() else [sys.executable, "-m", "sando.daemon"]
START_S = 60.0
PATIENCE_S = 60.0
ENDED = {"succeeded", "failed", "errored", "aborted", "superseded", "interrupted"}


def until(condition: Callable[[], T | None], seconds: float = PATIENCE_S, what: str = "") -> T:
    """Poll with a deadline; answers the first true value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {seconds:g} s in vain {what}"
        time.sleep(0.01)
    return value


def alive(word: str) -> list[tuple[int, str]]:
    """Processes, this one apart, that have the word in their arguments, environment or working folder."""
    others = (f for f in Path("/proc").iterdir() if f.name.isdigit() and int(f.name) != os.getpid())
    return [(int(f.name), _words(f)) for f in others if _carries(f, word.encode())]


def _words(folder: Path) -> str:
    return _read(folder / "cmdline").replace(b"\0", b" ").decode("utf-8", "replace")


def _carries(folder: Path, word: bytes) -> bool:
    if word in _read(folder / "cmdline") or word in _read(folder / "environ"):
        return True
    try:
        return word in os.fsencode((folder / "cwd").readlink())
    except OSError:
        return False


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


class Answer(NamedTuple):
    status: int
    body: Any
    headers: dict[str, str]

    @property
    def code(self) -> tuple[int, str]:
        """Status and code of the contract, as SPEC 6 lists them."""
        return self.status, self.body.get("code", "")


class Sandod:
    """`start`, talk to it, `stop` or `kill`; again and again on the same state."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.host = "127.0.0.1"
        self.port = free_port()
        self.config = root / "daemon.toml"
        self.log = root / "sandod.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.events: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}
        """Sent with every request: a token, where there are some."""
        self.env: dict[str, str] = {}
        """What is in its environment beside the test's own."""
        self.before: list[str] = []
        """argv that comes before sandod's, and becomes it."""

    # -- the process -------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """sandod in the foreground, for what is to end at once."""
        return subprocess.run(
            [*COMMAND, *words], env=self._env(), capture_output=True, text=True, timeout=START_S, check=False
        )

    def start(self) -> "Sandod":
        self.launch()
        until(self._answers, START_S, "for sandod to answer")
        return self

    def launch(self) -> None:
        """The process alone, for what is to keep it from answering."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.before, *COMMAND],
                env=self._env(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _env(self) -> dict[str, str]:
        own = {"SANDO_CONFIG": str(self.config), "SANDO_TEST_SECRET": ENVIRONMENT}
        return os.environ | own | {"PYTHONFAULTHANDLER": "1"} | self.env

    def _answers(self) -> bool:
        assert self.process
        assert self.process.poll() is None, (
            f"sandod ended with {self.process.returncode}:\n{self.log.read_text()}"
        )
        try:
            return self.get("/state", timeout=5).status == 200
        except OSError:
            return False

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = PATIENCE_S) -> int:
        assert self.process
        return self.process.wait(seconds)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait()

    def left(self) -> list[tuple[int, str]]:
        return alive(str(self.root))

    def finish(self) -> list[tuple[int, str]]:
        """End it and whatever carries its folder's name; answers what did not end with it by itself."""
        for place in (self.root / "at").glob("*"):
            (
                self.root / "go" / place.name
            ).touch()  # commands on nodes are nobody's to kill: they go on and end
        if self.process and self.process.poll() is None:
            self.kill()
        with contextlib.suppress(AssertionError):
            until(lambda: not self.left(), 30)
        left = self.left()
        for pid, _ in left:
            os.kill(pid, signal.SIGKILL)
        return left

    # -- HTTP --------------------------------------------------------------------------------------------------

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        timeout: float = 70,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own; a body that is no text is sent as JSON."""
        link = HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            text = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
            kind = {} if body is None else {"Content-Type": "application/json"}
            link.request(method, path, text, kind | self.headers | (headers or {}))
            got = link.getresponse()
            raw, names = got.read(), {k.lower(): v for k, v in got.getheaders()}
        finally:
            link.close()
        is_json = "json" in names.get("content-type", "")
        return Answer(got.status, json.loads(raw) if is_json else raw.decode(), names)

    def get(self, path: str, timeout: float = 70) -> Answer:
        return self.ask("GET", path, timeout=timeout)

    def post(self, path: str, body: Any = None, timeout: float = 70) -> Answer:
        return self.ask("POST", path, body, timeout)

    # -- what it says ------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        return dict(self.get("/state").body)

    def tier(self, name: str) -> dict[str, Any]:
        return next(t for t in self.state()["tiers"] if t["name"] == name)

    def operation(self, number: int) -> dict[str, Any]:
        return dict(self.get(f"/operations/{number}").body)

    def operations(self, query: str = "limit=500") -> list[dict[str, Any]]:
        return list(self.get(f"/operations?{query}").body["operations"])

    def every_operation(self) -> list[dict[str, Any]]:
        """Newest first, however many there are."""
        found: list[dict[str, Any]] = []
        before: int | None = None
        while True:
            asked = "limit=500" + (f"&before={before}" if before else "")
            page = self.get(f"/operations?{asked}").body
            found += page["operations"]
            before = page["next"]
            if before is None:
                return found

    def ended(self, number: int) -> dict[str, Any]:
        """The operation once it has ended; waits in the daemon, not here."""
        return until(lambda: self._ended(number), what=f"for operation {number} to end")

    def _ended(self, number: int) -> dict[str, Any] | None:
        found = self.get(f"/operations/{number}?wait=60").body
        return found if found["status"] in ENDED else None

    @property
    def seq(self) -> int:
        return self.events[-1]["seq"] if self.events else 0

    def hear(self, wait: float = 0) -> list[dict[str, Any]]:
        """All events so far, each number there once; with `wait`, at least one new one within these seconds."""
        while True:
            page = self.get(f"/events?since={self.seq}&limit=500&wait={wait:g}").body["events"]
            for event in page:
                assert event["seq"] == self.seq + 1, f"a gap: {self.seq}, then {event['seq']}"
                self.events.append(event)
            if len(page) < 500:
                return self.events
            wait = 0

    def wait_event(
        self, kind: str, after: int = 0, seconds: float = PATIENCE_S, **fields: Any
    ) -> dict[str, Any]:
        """The first event of that type behind `after`, whose fields (its own, or of its data) are these."""
        end = time.monotonic() + seconds
        while True:
            for event in self.events:
                if event["seq"] > after and event["type"] == kind and _has(event, fields):
                    return event
            assert time.monotonic() < end, f"no {kind} {fields} behind {after} came; there were {self.told()}"
            self.hear(wait=5)

    def told(self, *kinds: str) -> list[str]:
        """The types of the events heard so far, in order."""
        return [e["type"] for e in self.events if not kinds or e["type"] in kinds]


def _has(event: dict[str, Any], fields: dict[str, Any]) -> bool:
    return all(event.get(k, event["data"].get(k)) == v for k, v in fields.items())
