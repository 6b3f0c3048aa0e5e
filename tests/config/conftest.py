"""A daemon.toml and a sando.toml that use every key, and the problems that a text gives."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sando.config import load_daemon, load_topology
from sando.model.errors import ConfigError

DAEMON = """\
listen = "127.0.0.1:7766"
db_path = "/var/lib/sando/sando.db"
topology_path = "/etc/sando/sando.toml"
workdir = "/var/lib/sando/work"
release_root = "/var/lib/sando/releases"
scratch_db_url = "postgres://you@127.0.0.1/sando_scratch?sslmode=disable&connect_timeout=5"
allow_anonymous = false
allowed_hosts = ["sando.example", "100.64.0.1"]
log_format = "json"

[[token]]
name = "max"
scope = "operate"
sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

[[notify]]
on = ["BuildFailed", "DeployFailed"]
url = "https://chat.example/hook"

[[notify]]
name = "pager"
on = ["*"]
url = "https://someone:pass@pager.example/hook?key=1"
secret = "0123456789abcdef"

[[notify]]
on = ["Rollback"]
command = ["logger", "sando"]
"""

TOPOLOGY = """\
[repo]
bare_path = "/srv/git/mnw.git"
branch = "release/1.0"

[build]
dir = "server"
command = "make release"
artifact = "out/server"
extra = ["migrations", "static"]
version_from = "git"
timeout = "45m"
idle_timeout = "10m"
env = { RUSTFLAGS = "-Dwarnings", EMPTY = "" }
run = ["./server", "--quiet"]
runner = ["nice"]

[backup]
source = "ssh://backup@prod-1:22/var/backups/mnw.sql"
local_path = "/var/lib/sando/backup.sql"
max_age = "48h"
schedule = "24h"
identity_file = "/etc/sando/id"
known_hosts = "/etc/sando/known_hosts"

[[tier]]
name = "mm"
provisioned = true
gates = [
  { kind = "cargo_test" },  # comment with ] and }
  { kind = "command", name = "lint", command = "make lint", timeout = "5m", shards = 4, on = "builder" },
  { kind = "migration_dry_run", dir = "db", command = ["migrate"], timeout = "2h" },
  { kind = "boot_smoke", probe = { http = "http://127.0.0.1:{port}/health" }, settle = "500ms",
    timeout = 20, env = { LOG = "1" }, args = ["--port", "{port}"] },
  { kind = "backup_fresh" },
]

[[tier]]
name = "b"
provisioned = true
canary = "first-then-rest"
canary_hold = "1m30s"
on_failure = "halt"
once = "./server migrate"
before_switch = ["./warm"]
restart = "systemctl restart mnw"
probe = { tcp = "127.0.0.1:8080" }
keep_releases = 3
timeout = "2m"
confirm_within = "60s"
gates = [ { kind = "burn_in", duration = "24h" }, { kind = "manual_confirm", min_approvals = 2 } ]

[[tier.node]]
name = "prod-1"
ssh_target = "deploy@prod-1.example:22"
release_root = "/srv/mnw"

[[tier.node]]
name = "prod-2"
ssh_target = "deploy@[2001:db8::1]:2222"
release_root = "/srv/mnw/"
restart = ["sv", "restart", "mnw"]
probe.command = "./healthy"
identity_file = "/etc/sando/id"
known_hosts = "/etc/sando/known_hosts"
out = true

[[tier]]
name = "c"
provisioned = false

[[freeze]]
tiers = ["b", "c"]
days = ["fri", "sat"]
hours = "22:00-06:00"
tz = "Europe/Berlin"
"""

Problems = Callable[..., tuple[str, ...]]


@pytest.fixture
def daemon_text() -> str:
    return DAEMON


@pytest.fixture
def topology_text() -> str:
    return TOPOLOGY


@pytest.fixture
def daemon_problems(tmp_path: Path) -> Problems:
    """The problems of a daemon.toml, without the folder in front."""

    def load(text: str) -> tuple[str, ...]:
        return _problems(tmp_path / "daemon.toml", text, load_daemon)

    return load


@pytest.fixture
def problems(tmp_path: Path) -> Problems:
    """The problems of a sando.toml, without the folder in front."""

    def load(text: str, *, tokens: bool = True, store: str = "") -> tuple[str, ...]:
        return _problems(
            tmp_path / "sando.toml", text, lambda path: load_topology(path, tokens=tokens, store=store)
        )

    return load


def _problems(path: Path, text: str, load: Callable[[Path], object]) -> tuple[str, ...]:
    path.write_text(text, encoding="utf-8")
    try:
        load(path)
    except ConfigError as error:
        return tuple(problem.removeprefix(f"{path.parent}/") for problem in error.problems)
    return ()
