"""A simulated outside world: a branch, a release store, nodes with a real `current`. It stands in for the workbench.

Each method does to the world what the work of the same name does, and answers what that would. It never fails
by itself: a test that wants a failure says so when it finishes the job.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from sando.model.ahead import Ahead
from sando.model.backup import Arriving, Fetched
from sando.model.builds import pushed_at
from sando.model.errors import WorkError
from sando.model.gates import Verdict
from sando.model.operation import Operation
from sando.model.release import Release, name_release
from sando.model.survey import Changes, Journey, Survey
from sando.model.task import NodeFacts, NodeTask, Step
from sando.model.topology import BackupSpec, DaemonSpec, GateSpec, NodeSpec, RepoSpec, Topology
from sando.work.cancel import CancelToken
from sando.work.git import Commit


@dataclass
class SimNode:
    """One machine: what its link names, which releases lie there, and what was run on it."""

    current: str | None = None
    releases: set[str] = field(default_factory=set)
    did: list[tuple[Step, str]] = field(default_factory=list)


class Link:
    def __init__(self, node: NodeSpec) -> None:
        self.node = node
        self.closed = False

    def close(self) -> None:
        self.closed = True


class World:
    """`declared` is what sando.toml says now, `running` what the daemon was started with."""

    release_root = "/releases"

    def __init__(self, topology: Topology) -> None:
        self.declared: Any = topology
        self.running = topology
        self.broken: str | None = None
        self.tip: str | None = None
        self.commits: dict[str, str] = {}
        self.folders: set[str] = set()
        self.nodes: dict[tuple[str, str], SimNode] = {}
        self.adopted = 0
        self.built: list[str] = []
        self.dump = "00"
        self.facts: dict[str, dict[str, object]] = {}
        self.wrong: dict[str, tuple[str, str]] = {}
        self.looks_at_once = False
        """A switch finds its release green already, as it does where nothing has to be restarted."""
        self.safe: dict[tuple[str, str], str] = {}
        self.guesses: tuple[str, ...] = ("unknown",)
        self.rehearsed: list[tuple[str, Ahead]] = []

    def copy(self) -> "World":
        """Another one in the same state, so that two runs may begin alike."""
        other = World(self.running)
        other.looks_at_once = self.looks_at_once
        other.tip, other.commits = self.tip, dict(self.commits)
        other.folders, other.built = set(self.folders), list(self.built)
        other.safe, other.guesses = dict(self.safe), self.guesses
        other.nodes = {k: SimNode(n.current, set(n.releases), list(n.did)) for k, n in self.nodes.items()}
        return other

    # -- what happens out there --------------------------------------------------------------------------------

    def push(self, sha: str, declared: str) -> str:
        """The branch moves to a commit that declares a version."""
        self.commits[sha] = declared
        self.tip = sha
        return sha

    def node(self, tier: str, name: str) -> SimNode:
        return self.nodes.setdefault((tier, name), SimNode())

    def links(self, tier: str) -> dict[str, str | None]:
        return {name: node.current for (of, name), node in self.nodes.items() if of == tier}

    # -- the workbench -------------------------------------------------------------------------------------------

    def log_path(self, operation: int) -> str:
        return f"/logs/{operation}.log"

    def link(self, node: NodeSpec) -> Link:
        return Link(node)

    def resolve(self, repo: RepoSpec, sha: str | None, cancel: CancelToken) -> Commit | None:
        if sha is None:
            return self._commit(self.tip) if self.tip else None
        found = [c for c in self.commits if c.startswith(sha)]
        return self._commit(found[0]) if found else None

    @staticmethod
    def _commit(sha: str) -> Commit:
        return Commit(sha, "Ada", f"commit {sha[:7]}")

    def build(
        self, topology: Topology, operation: Operation, taken: Mapping[str, str], cancel: CancelToken
    ) -> Release:
        sha = operation.sha or ""
        declared = self.commits[sha]
        version = name_release(declared, sha, dict(taken))
        self.folders.add(version)
        self.built.append(sha)
        at = operation.started_at or operation.created_at
        return Release(
            version, declared, sha, f"digest-{operation.id}", operation.id, at, pushed_at(operation)
        )

    def discard(self, topology: Topology, version: str, cancel: CancelToken) -> None:
        self.folders.discard(version)

    def tidy(self, topology: Topology, cancel: CancelToken) -> None:
        """Housekeeping of the repository; nothing that an actor could see."""

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
        """Green; a rehearsal says of each version that runs further on what `safe` says, else a guess."""
        facts = dict(self.facts.get(spec.kind, {}))
        if spec.kind == "migration_dry_run":
            self.rehearsed.append((version, ahead))
            facts["rollback_safe"] = {
                old: self.safe.get((version, old)) or self._guess(version, old) for old in ahead.running
            }
        return Verdict(passed=True, message="green", facts=facts)

    def _guess(self, new: str, old: str) -> str:
        return self.guesses[crc32(f"{new} {old}".encode()) % len(self.guesses)]

    def verify(self, version: str, cancel: CancelToken) -> tuple[str, str] | None:
        if version in self.wrong:
            return self.wrong[version]
        return None if version in self.folders else ("release_missing", f"{version} is gone")

    def survey(self, repo: RepoSpec, journey: Journey, cancel: CancelToken) -> Survey:
        return Survey(self.verify(journey.new, cancel), Changes(), Changes(), (), ())

    def remove(self, gone: tuple[Release, ...], cancel: CancelToken) -> tuple[Release, ...]:
        self.folders -= {r.version for r in gone}
        return gone

    def forget_logs(self, unfinished: frozenset[int], before: float, most: int, cancel: CancelToken) -> int:
        return 0

    def fetch_backup(
        self, spec: BackupSpec, operation: int, tell: Callable[[Arriving], None], cancel: CancelToken
    ) -> Fetched:
        return Fetched(spec.source, spec.local_path, 7, self.dump, "plain")

    def fetched(self) -> Fetched:
        """What a fetch of the declared backup brings now."""
        return self.fetch_backup(self.running.backup, 0, lambda _: None, CancelToken())  # type: ignore[arg-type]

    def load(self, cancel: CancelToken) -> tuple[Topology, DaemonSpec, list[str]]:
        if self.broken:
            raise WorkError("reload", self.broken)
        return self.declared, DaemonSpec("127.0.0.1", 7766, "db", "t", "w", self.release_root), []

    def adopt(self, daemon: DaemonSpec) -> None:
        self.adopted += 1

    # -- nodes ---------------------------------------------------------------------------------------------------

    def perform(self, task: NodeTask, link: Link, cancel: CancelToken) -> NodeFacts:
        node = self.node(task.tier, task.node.name)
        if task.operation:
            node.did.append((task.step, task.version))
        match task.step:
            case Step.PREFLIGHT:
                return NodeFacts(node.current, has_release=task.version in node.releases)
            case Step.UPLOAD:
                node.releases.add(task.version)
            case Step.SWITCH:
                assert task.version in node.releases, f"{task.node.name} has no {task.version}"
                node.current = task.version
            case Step.REVERT:
                node.current = task.former
            case Step.PRUNE:
                gone = node.releases - set(task.keep) - {node.current or ""}
                node.releases -= gone
                return NodeFacts(node.current, removed=tuple(sorted(gone)))
            case Step.OBSERVE:
                return NodeFacts(node.current)
            case _:
                pass
        green = True if task.step is not Step.SWITCH or self.looks_at_once else None
        return NodeFacts(node.current, has_release=True, green=green, once_done=task.step is Step.ONCE)
