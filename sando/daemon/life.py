"""The parts of one running sandod: made in order, started, stopped in reverse. It decides nothing."""

import gc
import hashlib
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pykka

import sando
from actors.base import Site, post
from actors.messages import Begin, Rebuild
from actors.root import Root
from api.app import create_app
from api.board import Board, News
from api.collaborators import Collaborators
from api.server import Server
from sando import config
from sando.daemon.instance import OnlyOne
from sando.daemon.signals import Signals
from sando.failpoints import reached
from sando.metrics import Metrics
from sando.model.clock import stamp
from sando.model.errors import SandoError
from sando.model.events import Event
from sando.model.release import MANIFEST, Manifest, read_manifest
from sando.model.topology import DaemonSpec, TokenSpec, Topology
from sando.store import Store
from sando.work import hook
from sando.work.log import read_log
from sando.work.now import read_clock
from sando.work.process import Keepers
from sando.work.refwatch import RefWatch
from sando.work.runner import Runner
from sando.work.timer import Timer
from sando.work.workbench import Loaded, Workbench

log = logging.getLogger("sandod")

ACTORS_S = 5.0
TOGETHER_S = 0.01
GAVE_UP = 70
"""Exit status when an actor without which there is no daemon died too often."""
RESTART_ONLY = (
    "host",
    "port",
    "db_path",
    "topology_path",
    "workdir",
    "release_root",
    "scratch_db_url",
    "log_format",
)


class Refused(SandoError):
    """sandod cannot start; the text names the thing and the next step."""


def load_topology(daemon: DaemonSpec) -> Topology:
    return config.load_topology(daemon.topology_path, tokens=bool(daemon.tokens), store=daemon.release_root)


class Daemon:
    """All parts of one running sandod."""

    def __init__(self, path: str, daemon: DaemonSpec, topology: Topology) -> None:
        self.path = path
        self.spec = daemon
        self.topology = topology
        self.keepers = Keepers.start()  # forks: before the first thread
        self.store = Store(daemon.db_path)
        self.store.open()
        self.board = Board()
        self.metrics = Metrics(
            self._state,
            read_clock,
            subscribers=lambda: self.server.subscribers,
            inboxes=_inboxes,
            pushed_at=self._pushed_at,
        )
        self.work = Workbench(daemon, self.keepers, self._read, self._adopt)
        self.timer = Timer()
        self.runner = Runner()
        self.exit_code = 0
        self._held = ExitStack()
        self.hook_secret = secrets.token_urlsafe(32)
        self.hook_token = TokenSpec("hook", "build", hashlib.sha256(self.hook_secret.encode()).hexdigest())
        self.server = self._server()
        self.root: Any = None
        self.watch: RefWatch | None = None

    # -- making ----------------------------------------------------------------------------------------------

    def _server(self) -> Server:
        collaborators = Collaborators(
            store=self.store,
            board=self.board,
            tell=self._tell,
            clock=read_clock,
            read_log=lambda operation, offset, limit: read_log(self.work.log_path(operation), offset, limit),
            manifest=self._manifest,
            metrics=self.metrics.expose,
            listen=(self.spec.host, self.spec.port),
            allowed_hosts=lambda: self.spec.allowed_hosts,
            tokens=lambda: (*self.spec.tokens, self.hook_token) if self.spec.tokens else (),
        )
        return Server(
            create_app(collaborators),
            self.spec.host,
            self.spec.port,
            board=self.board,
            on_thread_end=self.store.close,
        )

    def _tell(self, message: object) -> None:
        post(self.root, message)

    def _state(self) -> dict[str, Any] | None:
        return self.board.latest.state if self.board.latest else None

    def _pushed_at(self, version: str) -> datetime | None:
        release = self.store.release(version)
        return release.pushed_at if release else None

    def _past(self) -> Iterator[Event]:
        """Every event that the store has kept, in order."""
        seq = 0
        while batch := self.store.events(seq, 10_000):
            yield from batch
            seq = batch[-1].seq

    def _count(self, news: News) -> None:
        for event in news.events:
            self.metrics.observe(event)

    def _manifest(self, version: str) -> Manifest | None:
        try:
            raw = Path(self.spec.release_root, version, MANIFEST).read_bytes()
        except OSError:
            return None
        return read_manifest(raw)

    def _site(self) -> Site:
        return Site(
            store=self.store,
            clock=read_clock,
            runner=self.runner,
            timer=self.timer,
            spawn=lambda kind, **arguments: kind.start(**arguments),
            work=self.work,
            together_s=TOGETHER_S,
        )

    # -- config ----------------------------------------------------------------------------------------------

    def _read(self) -> Loaded:
        """Both files anew; what of daemon.toml only a restart can change is named, and stays as it is."""
        fresh = config.load_daemon(self.path)
        topology = load_topology(msgspec.structs.replace(self.spec, tokens=fresh.tokens))
        stale = [name for name in RESTART_ONLY if getattr(fresh, name) != getattr(self.spec, name)]
        return topology, fresh, ["listen" if name in {"host", "port"} else name for name in stale]

    def _adopt(self, fresh: DaemonSpec) -> None:
        self.spec = msgspec.structs.replace(
            self.spec, tokens=fresh.tokens, notify=fresh.notify, allowed_hosts=fresh.allowed_hosts
        )

    # -- life ------------------------------------------------------------------------------------------------

    def run(self) -> int:
        try:
            self._bind()
            self._prepare()
            self._start()
            gc.collect()
            gc.freeze()  # what lives for ever need not be looked through while a push waits
            self.server.run()
        finally:
            self._stop()
        return self.exit_code

    def _bind(self) -> None:
        try:
            self.server.bind()
        except OSError as error:
            address = f"{self.spec.host}:{self.spec.port}"
            raise Refused(
                f"cannot listen on {address}: {error.strerror or error}; change `listen` or free it"
            ) from error

    def _prepare(self) -> None:
        self.work.prepare(self.topology)
        self._held.enter_context(OnlyOne([Path(self.topology.repo.bare_path, "sando", "lock")]))
        host = f"[{self.spec.host}]" if ":" in self.spec.host else self.spec.host
        url = f"http://{'127.0.0.1' if host in {'0.0.0.0', '[::]'} else host}:{self.server.port}"  # noqa: S104
        hook.install(
            self.topology.repo.bare_path, url=url, branch=self.topology.repo.branch, token=self.hook_secret
        )
        named = {t.name for t in self.topology.tiers}
        for orphan in sorted(set(self.store.tier_names()) - named):
            log.warning(
                "tier %s is orphaned: the store knows it, %s does not name it",
                orphan,
                self.spec.topology_path,
            )
        if self.spec.notify:
            log.warning("[[notify]] is not sent by this version: follow GET /events instead")
        for line in config.warnings(self.topology):
            log.warning("%s", line)

    def _start(self) -> None:
        reached("start.prepared")
        now = read_clock().at
        self.store.save(Event("DaemonStarted", now, data={"version": sando.__version__}))
        self.metrics.rebuild(self._past())
        self.board.subscribe(self._count)
        about = {"version": sando.__version__, "started_at": stamp(now), "draining": False}
        self.root = Root.start(
            site=self._site(), topology=self.topology, board=self.board, daemon=about, die=self._die
        )
        post(self.root, Begin(fresh=True))
        Signals(self._tell, self.server.stop).listen()
        repo = self.topology.repo
        self.watch = RefWatch(repo.bare_path, repo.branch, self._branch_moved)
        log.info("sandod %s listens on http://%s:%s", sando.__version__, self.spec.host, self.server.port)

    def _branch_moved(self) -> None:
        post(self.root, Rebuild(moved=True, actor="git", reason="the branch moved"))

    def _die(self, why: str) -> None:
        log.critical("sandod ends: %s", why)
        self.exit_code = GAVE_UP
        self.server.stop()

    # -- the end ---------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """In reverse: jobs, actors with the Journal last, HTTP, store, keepers."""
        if self.watch is not None:
            self.watch.close()
        self.timer.close()
        left = self.runner.close(5.0)
        if left:
            log.warning("jobs that did not end: %s", ", ".join(left))
        if self.root is not None:
            _quietly(lambda: self.root.stop(block=True, timeout=5.0))
        _wait_for_actors(ACTORS_S)
        self.server.close()
        self.store.close()
        self.keepers.close()
        self._held.close()


def _inboxes() -> dict[str, int]:
    """Messages that wait, by kind of actor."""
    waiting: dict[str, int] = {}
    for ref in pykka.ActorRegistry.get_all():
        kind = ref.actor_class.__name__.lower()
        waiting[kind] = waiting.get(kind, 0) + ref.actor_inbox.qsize()  # type: ignore[attr-defined]
    return waiting


def _wait_for_actors(seconds: float) -> None:
    """Each stops its children and goes; whoever is left after that hangs."""
    until = time.monotonic() + seconds
    while pykka.ActorRegistry.get_all() and time.monotonic() < until:
        time.sleep(0.005)
    left = pykka.ActorRegistry.get_all()
    if left:
        log.error("actors left at the end, which is a bug: %s", left)


def _quietly(call: Callable[[], object]) -> None:
    try:
        call()
    except (pykka.Timeout, pykka.ActorDeadError) as error:
        log.warning("stopping: %r", error)
