"""All blocking work of one daemon, bound to its folders: what the actors hand to the runner, one method each."""

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from sando.failpoints import reached
from sando.model.ahead import Ahead
from sando.model.backup import Arriving, Fetched
from sando.model.builds import pushed_at
from sando.model.errors import ConfigError, WorkError
from sando.model.gates import Verdict
from sando.model.names import is_version
from sando.model.operation import Operation
from sando.model.release import Release
from sando.model.reload import Parts
from sando.model.survey import Journey, Survey
from sando.model.task import NodeFacts, NodeTask, Step
from sando.model.topology import BackupSpec, DaemonSpec, GateSpec, NodeSpec, RepoSpec, Topology
from sando.work import backup, deploy, digest, git
from sando.work.build import Order, Workshop, build, discard, sweep
from sando.work.cancel import CancelToken
from sando.work.gates.table import GateContext, run_gate
from sando.work.hosts import Parcels, connect
from sando.work.hosts.lent import LentLink
from sando.work.log import SHARD, OpLog
from sando.work.process import Keepers, clean_env
from sando.work.scratch.opening import Where
from sando.work.survey import survey

Loaded = tuple[Topology, DaemonSpec, Parts]


class Workbench:
    """Folders are absolute. `read` loads both config files, `apply` takes over what of daemon.toml may change."""

    def __init__(
        self,
        daemon: DaemonSpec,
        keepers: Keepers,
        read: Callable[[], Loaded],
        apply: Callable[[DaemonSpec], None],
    ) -> None:
        self.workdir = daemon.workdir
        self.release_root = daemon.release_root
        self._where = Where(Path(daemon.workdir, "scratch"), daemon.scratch_db_url)
        self._keepers = keepers
        self._read = read
        self._apply = apply
        self._in_checkout = threading.Lock()
        self._parcels = Parcels(daemon.workdir)

    def log_path(self, operation: int) -> str:
        return f"{self.workdir}/logs/{operation}.log"

    def last_log(self) -> int:
        """The highest number that an operation's log has; 0: there is none."""
        return max((number for number, _ in _logs(Path(self.workdir, "logs"))), default=0)

    def prepare(self, topology: Topology) -> None:
        """Folders and repository at start; what a dead daemon left half-made is swept."""
        for folder in (self.workdir, f"{self.workdir}/logs", self.release_root):
            Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        git.ensure_bare(topology.repo.bare_path, topology.repo.branch)
        sweep(self._shop(topology))
        if topology.backup:
            backup.sweep(topology.backup)
        for shard in Path(self.workdir, "logs").glob(f"*{SHARD}*"):
            shard.unlink(missing_ok=True)

    def _shop(self, topology: Topology, tier: str | None = None) -> Workshop:
        """The build tier works in `workdir`; another tier's gates have a checkout of their own."""
        workdir = self.workdir if tier in {None, topology.build_tier.name} else f"{self.workdir}/tiers/{tier}"
        repo = topology.repo
        return Workshop(
            repo.bare_path, repo.branch, workdir, self.release_root, topology.build, self._keepers
        )

    # -- builds and gates ----------------------------------------------------------------------------------

    def resolve(self, repo: RepoSpec, sha: str | None, cancel: CancelToken) -> git.Commit | None:
        cancel.check()
        return git.tip(repo.bare_path, repo.branch) if sha is None else git.resolve(repo.bare_path, sha)

    def build(
        self, topology: Topology, operation: Operation, taken: Mapping[str, str], cancel: CancelToken
    ) -> Release:
        said = operation.details
        commit = git.Commit(operation.sha or "", str(said.get("author", "")), str(said.get("subject", "")))
        order = Order(operation.id, commit, pushed_at(operation), taken)
        with self._in_checkout:  # a tidy that has just begun takes some milliseconds
            return build(self._shop(topology), order, OpLog(self.log_path(operation.id)), cancel)

    def tidy(self, topology: Topology, cancel: CancelToken) -> None:
        """Between builds: the checkout is cleaned before the next push has to wait for that."""
        shop = self._shop(topology)
        with self._in_checkout:
            git.tidy(shop.bare, shop.checkout, cancel, clean_env())

    def discard(self, topology: Topology, version: str, cancel: CancelToken) -> None:
        cancel.check()
        discard(self._shop(topology), version)

    def gate(
        self,
        topology: Topology,
        tier: str,
        spec: GateSpec,
        operation: int,
        version: str,
        sha: str,
        ahead: Ahead,
        cancel: CancelToken,
    ) -> Verdict:
        gates = next((t.gates for t in topology.tiers if t.name == tier), ())
        context = GateContext(
            spec=spec, tier=tier, version=version, sha=sha, operation=operation, release=f"{self.release_root}/{version}",
            shop=self._shop(topology, tier), log=OpLog(self.log_path(operation)), backup=topology.backup,
            running=ahead.running, first_release=ahead.first_release, fetched=ahead.fetched,
            where=self._where, boot=next((g for g in gates if g.kind == "boot_smoke"), None),
        )  # fmt: skip
        alone = self._in_checkout if tier == topology.build_tier.name else contextlib.nullcontext()
        with alone:
            verdict = run_gate(context, cancel)
        reached("gate.ran")
        return verdict

    # -- releases ------------------------------------------------------------------------------------------

    def verify(self, version: str, cancel: CancelToken) -> tuple[str, str] | None:
        """None: as it was built; else the code of the contract and the sentence that says what is wrong."""
        cancel.check()
        folder = Path(self.release_root, version)
        if not folder.is_dir():
            return "release_missing", f"{folder} is gone"
        wrong = digest.verify(folder)
        return ("release_corrupt", wrong) if wrong else None

    def survey(self, repo: RepoSpec, journey: Journey, cancel: CancelToken) -> Survey:
        return survey(repo.bare_path, self.release_root, journey, self.verify(journey.new, cancel), cancel)

    def remove(self, gone: tuple[Release, ...], cancel: CancelToken) -> tuple[Release, ...]:
        """Removes folders of the store; returns the releases whose folder is gone now."""
        done = []
        for release in gone:
            cancel.check()
            if is_version(release.version):
                with contextlib.suppress(FileNotFoundError):
                    shutil.rmtree(Path(self.release_root, release.version))
                reached("prune.removed")
                done.append(release)
        return tuple(done)

    def forget_logs(self, unfinished: frozenset[int], before: float, most: int, cancel: CancelToken) -> int:
        """Removes logs of ended operations: those not written since `before` (epoch), and all but the newest `most`."""
        kept = sorted(_logs(Path(self.workdir, "logs")), reverse=True)
        gone = 0
        for place, (operation, path) in enumerate(kept):
            cancel.check()
            with contextlib.suppress(FileNotFoundError):
                if operation not in unfinished and (place >= most or path.stat().st_mtime < before):
                    path.unlink()
                    gone += 1
        return gone

    # -- nodes ---------------------------------------------------------------------------------------------

    def link(self, node: NodeSpec) -> LentLink:
        return LentLink(connect(node, self._parcels))

    def perform(self, task: NodeTask, link: LentLink, cancel: CancelToken) -> NodeFacts:
        if task.step is Step.PRUNE:
            self._parcels.forget()  # the operation is over: what it sent takes room
        with link.lend(cancel) as host:
            return deploy.perform(task, host, self._keepers, cancel)

    # -- the rest ------------------------------------------------------------------------------------------

    def fetch_backup(
        self, spec: BackupSpec, operation: int, tell: Callable[[Arriving], None], cancel: CancelToken
    ) -> Fetched:
        return backup.fetch(spec, OpLog(self.log_path(operation)), self._keepers, cancel, tell)

    def load(self, cancel: CancelToken) -> Loaded:
        cancel.check()
        try:
            return self._read()
        except ConfigError as error:
            raise WorkError("reload", str(error)) from error

    def adopt(self, daemon: DaemonSpec) -> None:
        self._apply(daemon)


def _logs(folder: Path) -> Iterator[tuple[int, Path]]:
    """The log files of operations, by number; whatever else lies there is left alone."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.suffix == ".log" and path.stem.isdecimal():
            yield int(path.stem), path
