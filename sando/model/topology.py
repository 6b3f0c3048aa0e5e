"""What the team declared: repo, build, backup, tiers with nodes and gates, freezes. Values only, already valid."""

from typing import Literal

from msgspec import Struct

Command = str | tuple[str, ...]
"""A tuple is executed as argv; a string is given to `sh -c`."""

Canary = Literal["sequential", "parallel", "first-then-rest"]
OnFailure = Literal["rollback", "halt"]

LOCAL = "local"


class RepoSpec(Struct, frozen=True):
    bare_path: str
    branch: str = "main"


class BuildSpec(Struct, frozen=True):
    """How a checkout becomes an artifact; paths are relative to `dir`, itself relative to the checkout."""

    dir: str = "server"
    command: Command = ("cargo", "build", "--release")
    artifact: str = "target/release/server"
    extra: tuple[str, ...] = ("migrations",)
    version_from: str = "Cargo.toml"
    timeout_s: float = 1800.0
    idle_timeout_s: float | None = None
    """How long a build, or a gate of the builder, may say nothing; None: until its timeout."""
    env: dict[str, str] = {}
    run: tuple[str, ...] = ()  # empty: ./<name of the artifact>
    runner: tuple[str, ...] = ()

    def start_command(self) -> tuple[str, ...]:
        return self.run or ("./" + self.artifact.rstrip("/").rsplit("/", 1)[-1],)


class BackupSpec(Struct, frozen=True):
    source: str
    local_path: str
    max_age_s: float | None = None
    schedule_s: float | None = None
    identity_file: str | None = None
    known_hosts: str | None = None


class Probe(Struct, frozen=True):
    """Exactly one of `http` (a URL), `tcp` (host:port) and `command`; green or red is all it says."""

    http: str | None = None
    tcp: str | None = None
    command: Command | None = None


class GateSpec(Struct, frozen=True):
    """A gate as declared; the keys that its kind does not know keep their defaults."""

    kind: str
    name: str
    command: Command | None = None
    timeout_s: float | None = None
    idle_timeout_s: float | None = None
    shards: int = 1
    on: Literal["builder", "nodes"] = "builder"
    dir: str = "migrations"
    probe: Probe | None = None
    settle_s: float = 2.0
    env: dict[str, str] = {}
    args: tuple[str, ...] = ()
    min_approvals: int = 1
    duration_s: float = 0.0
    max_age_s: float | None = None

    @property
    def active(self) -> bool:
        """Active gates run when a version arrives; passive ones are judged from what is known."""
        return self.kind not in PASSIVE


PASSIVE = frozenset({"manual_confirm", "burn_in"})
GATE_KINDS = (
    "cargo_test",
    "command",
    "migration_dry_run",
    "boot_smoke",
    "manual_confirm",
    "burn_in",
    "backup_fresh",
)


class NodeSpec(Struct, frozen=True):
    """A machine or local folder of a tier; `restart` and `probe` are the tier's where the node has none."""

    name: str
    ssh_target: str
    release_root: str
    restart: Command | None = None
    probe: Probe | None = None
    identity_file: str | None = None
    known_hosts: str | None = None
    out: bool = False


class TierSpec(Struct, frozen=True):
    name: str
    provisioned: bool
    gates: tuple[GateSpec, ...] = ()
    nodes: tuple[NodeSpec, ...] = ()
    canary: Canary = "sequential"
    canary_hold_s: float = 0.0
    on_failure: OnFailure = "rollback"
    once: Command | None = None
    before_switch: Command | None = None
    keep_releases: int = 5
    timeout_s: float = 300.0
    confirm_within_s: float | None = None

    def gate(self, name: str) -> GateSpec | None:
        return next((g for g in self.gates if g.name == name), None)

    def active_gates(self) -> tuple[GateSpec, ...]:
        return tuple(g for g in self.gates if g.active)

    def node(self, name: str) -> NodeSpec | None:
        return next((n for n in self.nodes if n.name == name), None)

    def nodes_in(self) -> tuple[NodeSpec, ...]:
        """The nodes that take part: those that are not left out by `out = true`."""
        return tuple(n for n in self.nodes if not n.out)


class FreezeSpec(Struct, frozen=True):
    """A recurring window; `start_min` and `end_min` are minutes of the day in `tz`, `end` may lie past midnight."""

    tiers: tuple[str, ...]  # empty: every tier
    days: tuple[int, ...]  # 0 = Monday; empty: every day
    start_min: int = 0
    end_min: int = 1440
    tz: str = "UTC"


class Topology(Struct, frozen=True):
    """sando.toml as a whole. The first tier is the build tier."""

    repo: RepoSpec
    tiers: tuple[TierSpec, ...]
    build: BuildSpec = BuildSpec()
    backup: BackupSpec | None = None
    freezes: tuple[FreezeSpec, ...] = ()

    @property
    def build_tier(self) -> TierSpec:
        return self.tiers[0]

    def tier(self, name: str) -> TierSpec | None:
        return next((t for t in self.tiers if t.name == name), None)

    def predecessor(self, name: str) -> TierSpec | None:
        """The nearest earlier provisioned tier; the build tier has none."""
        found = None
        for tier in self.tiers:
            if tier.name == name:
                return found
            if tier.provisioned:
                found = tier
        return None

    def rehearsal(self) -> GateSpec | None:
        """The gate that rehearses migrations, where one is declared."""
        return next((g for t in self.tiers for g in t.gates if g.kind == "migration_dry_run"), None)

    def successor(self, name: str) -> TierSpec | None:
        """The nearest later provisioned tier, the one that this tier's version may go to."""
        before = ((t, self.predecessor(t.name)) for t in self.tiers if t.provisioned)
        return next((t for t, tier in before if tier and tier.name == name), None)

    def earlier(self, name: str) -> tuple[TierSpec, ...]:
        names = [t.name for t in self.tiers]
        return self.tiers[: names.index(name)] if name in names else ()

    def later(self, name: str) -> tuple[TierSpec, ...]:
        """The provisioned tiers behind it."""
        behind = self.tiers[len(self.earlier(name)) + 1 :] if self.tier(name) else ()
        return tuple(t for t in behind if t.provisioned)


class TokenSpec(Struct, frozen=True):
    name: str
    scope: Literal["read", "build", "operate"]
    sha256: str


class NotifySpec(Struct, frozen=True):
    """Exactly one of `url` and `command`; `name` says where it had got to, over restarts and reloads."""

    name: str
    on: tuple[str, ...]
    url: str | None = None
    command: Command | None = None
    secret: str | None = None

    def __repr__(self) -> str:
        """Its URL, its secret and often its command are nobody's business."""
        return f"NotifySpec({self.name!r})"


class DaemonSpec(Struct, frozen=True):
    """daemon.toml. Paths are absolute; `host` and `port` are `listen` taken apart."""

    host: str
    port: int
    db_path: str
    topology_path: str
    workdir: str
    release_root: str
    scratch_db_url: str | None = None
    allow_anonymous: bool = False
    allowed_hosts: tuple[str, ...] = ()
    log_format: Literal["text", "json"] = "text"
    tokens: tuple[TokenSpec, ...] = ()
    notify: tuple[NotifySpec, ...] = ()

    def url(self, port: int) -> str:
        """Where it listens, once the kernel has given it a port."""
        return f"http://{_in_a_url(self.host)}:{port}"

    def url_from_here(self, port: int) -> str:
        """Where this machine reaches it: nobody can connect to "every address"."""
        own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://{_in_a_url(own)}:{port}"

    def __repr__(self) -> str:
        """`scratch_db_url` may hold a password."""
        return f"DaemonSpec({self.host}:{self.port})"


def _in_a_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
