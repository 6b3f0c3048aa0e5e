"""The parts of one running sandod: made in order, started, stopped in reverse. It decides nothing."""

import gc
import hashlib
import logging
import secrets
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

import sando
from actors.base import Site, post
from actors.messages import Begin, Publish, Rebuild
from actors.root import Root
from api.app import create_app
from api.board import Board, News
from api.collaborators import Collaborators
from api.routes import AT_ONCE
from api.server import Server
from api.shown import event_bytes
from sando import config
from sando.daemon import crew, itself, remarks, rights
from sando.daemon.instance import OnlyOne
from sando.daemon.past import Past, lead_from
from sando.daemon.patience import open_store, save_first
from sando.daemon.service import Loops, Service
from sando.daemon.signals import Signals
from sando.failpoints import reached
from sando.metrics import Metrics
from sando.model.clock import stamp
from sando.model.errors import SandoError
from sando.model.events import Event
from sando.model.release import MANIFEST, Manifest, read_manifest
from sando.model.reload import parts
from sando.model.topology import DaemonSpec, TokenSpec, Topology
from sando.notify import Notifiers
from sando.sd import Notify
from sando.store import Store
from sando.work import hook
from sando.work.log import read_log
from sando.work.notice import Notices
from sando.work.now import read_clock
from sando.work.process import Keepers
from sando.work.refwatch import RefWatch
from sando.work.runner import Runner
from sando.work.timer import Timer
from sando.work.workbench import Loaded, Workbench

log = logging.getLogger("sandod")

ACTORS_S = 5.0
NOTIFY_S = 2.0
"""For what happened last to be delivered; a receiver that is away hears of it after the next start."""
STOP_S = 60.0
"""The most that `_stop` takes: jobs, actors, and builds whose processes will not die."""
TOGETHER_S = 0.01
GAVE_UP = 70
"""Exit status when an actor without which there is no daemon died too often."""


class Refused(SandoError):
    """sandod cannot start; the text names the thing and the next step."""


def load_topology(daemon: DaemonSpec) -> Topology:
    return config.load_topology(daemon.topology_path, tokens=bool(daemon.tokens), store=daemon.release_root)


class Daemon:
    """All parts of one running sandod."""

    def __init__(self, path: str, daemon: DaemonSpec, topology: Topology, notify: Notify) -> None:
        self.path = path
        self.spec = daemon
        self.topology = topology
        self.notify = notify
        self.keepers = Keepers.start()  # forks: before the first thread
        itself.allow_files()  # not for builds and gates
        self.store = Store(daemon.db_path)
        open_store(self.store, notify)
        self.board = Board()
        self.metrics = Metrics(
            self._state,
            read_clock,
            subscribers=lambda: self.server.subscribers,
            inboxes=crew.inboxes,
            lead_from=partial(lead_from, self.store),
        )
        self.past = Past(self.store, self.metrics)
        self.work = Workbench(daemon, self.keepers, self._read, self._adopt)
        self.timer = Timer()
        self.runner = Runner()
        self.site = self._site()
        self.notifiers = self._notifiers()
        self.exit_code = 0
        self._held = ExitStack()
        self.hook_secret = secrets.token_urlsafe(32)
        self.hook_token = TokenSpec("hook", "build", hashlib.sha256(self.hook_secret.encode()).hexdigest())
        self.server = self._server()
        self.service = self._service()
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
            keep=self.store.save,
            notifiers=self.notifiers.names,
            test_notifiers=self.notifiers.test,
        )
        return Server(
            create_app(collaborators),
            self.spec.host,
            self.spec.port,
            board=self.board,
            on_thread_end=self.store.close,
            at_once=AT_ONCE,
        )

    def _notifiers(self) -> Notifiers:
        return Notifiers(
            self.store,
            read_clock,
            encode=event_bytes,
            run=Notices(self.keepers, f"{self.spec.workdir}/notify").attempt,
            told=self._publish,
        )

    def _publish(self) -> None:
        post(self.site.journal, Publish())

    def _service(self) -> Service:
        loops = Loops(self._tell, self.timer.after, self.server.turn, self.runner.held, self._state)
        return Service(self.notify, loops, self._about)

    def _about(self) -> str:
        return f"sandod {sando.__version__} on {self.spec.url(self.server.port)}"

    def _tell(self, message: object) -> None:
        post(self.root, message)

    def _state(self) -> dict[str, Any] | None:
        return self.board.latest.state if self.board.latest else None

    def _count(self, news: News) -> None:
        for event in news.events:
            self.metrics.observe(event)
        if news.events:
            self.notifiers.heard()
        if any(e.type == "ActorRestarted" for e in news.events):
            self.service.look_behind()
        self.service.news()

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
        return topology, fresh, parts(self.spec, fresh)

    def _adopt(self, fresh: DaemonSpec) -> None:
        self.spec = msgspec.structs.replace(
            self.spec, tokens=fresh.tokens, notify=fresh.notify, allowed_hosts=fresh.allowed_hosts
        )
        self.server.check_permits()
        self.notifiers.adopt(fresh.notify)

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
            raise Refused(
                f"cannot listen on {self.spec.url(self.spec.port)}: {error.strerror or error}; change `listen` or free it"
            ) from error

    def _prepare(self) -> None:
        self.work.prepare(self.topology)
        self.store.count_from(self.work.last_log())
        self._held.enter_context(OnlyOne([Path(self.topology.repo.bare_path, "sando", "lock")]))
        repo, url = self.topology.repo, self.spec.url_from_here(self.server.port)
        hook.install(repo.bare_path, url=url, branch=repo.branch, token=self.hook_secret)
        for line in remarks.warnings(self.topology, self.spec, self.store.tier_names()):
            log.warning("%s", line)
        for line in rights.warnings(self.spec):
            log.warning("%s", line)
        log.info("%s", remarks.containment())

    def _start(self) -> None:
        reached("start.prepared")
        now = read_clock().at
        self.notifiers.adopt(self.spec.notify)  # a new one hears of this start already
        started = Event("DaemonStarted", now, data={"version": sando.__version__})
        (told,) = save_first(self.store, self.notify, started)
        self.metrics.expect()
        self.board.subscribe(self._count)
        about = {"version": sando.__version__, "started_at": stamp(now), "draining": False}
        self.root = Root.start(
            site=self.site, topology=self.topology, board=self.board, daemon=about, die=self._die
        )
        post(self.root, Begin(fresh=True))
        Signals(self._tell, self.server.stop, self.service).listen()
        repo = self.topology.repo
        self.watch = RefWatch(repo.bare_path, repo.branch, self._branch_moved)
        self.service.start()
        self.past.count(told.seq)
        log.info("sandod %s listens on %s", sando.__version__, self.spec.url(self.server.port))

    def _branch_moved(self) -> None:
        post(self.root, Rebuild(moved=True, actor="git", reason="the branch moved"))

    def _die(self, why: str) -> None:
        self.service.stopping(f"ends: {why}")
        log.critical("sandod ends: %s", why)
        self.exit_code = GAVE_UP
        self.server.stop()

    # -- the end ---------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """In reverse: jobs, actors with the Journal last, HTTP, store, keepers."""
        if self.root is not None:
            self.service.stopping("stopping")
            self.service.extend(STOP_S)
        self.service.close()
        if self.watch is not None:
            self.watch.close()
        self.past.close()
        self.timer.close()
        left = self.runner.close(5.0)
        if left:
            log.warning("jobs that did not end: %s", ", ".join(left))
        went = self.root is None or crew.quietly(lambda: self.root.stop(block=True, timeout=ACTORS_S))
        crew.wait_for_all(ACTORS_S if went else 0.0)
        self.notifiers.close(NOTIFY_S)
        self.server.close()
        self.store.finish()
        self.keepers.close()
        self._held.close()
