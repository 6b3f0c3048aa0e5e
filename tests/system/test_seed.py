"""The quickstart of the first sando, word for word: its two TOML files, its curl calls, a crate that cargo builds."""

import json
import subprocess

import simple_websocket

from tests.work.pushing import Clone

# As `seed.md` has them; only the folder and the port are others.
DAEMON_TOML = """\
listen = "127.0.0.1:7766"
db_path = "/tmp/sando-dev/sando.db"
topology_path = "/tmp/sando-dev/sando.toml"
workdir = "/tmp/sando-dev/work"
release_root = "/tmp/sando-dev/releases"
# scratch_db_url = "postgres://you@127.0.0.1/sando_scratch"
"""
SANDO_TOML = """\
[repo]
bare_path = "/tmp/sando-dev/mnw.git"
branch = "main"
[backup]
source = "file:///tmp/sando-dev/fake-backup.sql"
local_path = "/tmp/sando-dev/backup.sql"

[[tier]]
name = "mm"
provisioned = true
gates = [
{ kind = "cargo_test" },
{ kind = "migration_dry_run" },
{ kind = "boot_smoke" },
]

[[tier]]
name = "a"
provisioned = true
canary = "sequential"
gates = [
{ kind = "boot_smoke" },
{ kind = "manual_confirm" },
]
[[tier.node]]
name = "a-local"
ssh_target = "local"
release_root = "/tmp/sando-dev/a-node"
"""
CARGO_TOML = '[package]\nname = "server"\nversion = "{version}"\nedition = "2021"\n'
MAIN = """\
use std::io::Write;

fn greeting() -> &'static str {
    concat!("hello from ", env!("CARGO_PKG_VERSION"))
}

fn main() {
    let port = std::env::var("PORT").unwrap_or_else(|_| "0".into());
    let listener = std::net::TcpListener::bind(format!("127.0.0.1:{port}")).expect("a free port");
    for stream in listener.incoming().flatten() {
        let mut stream = stream;
        let _ = write!(stream, "HTTP/1.0 200 OK\\r\\n\\r\\n{}", greeting());
    }
}

#[test]
fn greets() {
    assert!(greeting().starts_with("hello"));
}
"""


def curl(sandod, *words):
    """As a person types it; answers status and what came."""
    *options, path = words
    done = subprocess.run(
        ["curl", "-s", "-w", "\n%{http_code}", *options, sandod.url + path],
        capture_output=True, text=True, timeout=70, check=True,
    )  # fmt: skip
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def push(clone, version):
    clone.put("server/Cargo.toml", CARGO_TOML.format(version=version))
    sha = clone.commit(f"version {version}")
    return sha, clone.push()


def promote(sandod, version):
    header = "Content-Type: application/json"
    return curl(
        sandod, "-X", "POST", "-H", header, "-d", json.dumps({"version": version}), "/promote/a?wait=60"
    )


def test_the_quickstart_of_the_seed_works_as_it_is_written(sandod):
    for path, text in ((sandod.config, DAEMON_TOML), (sandod.topology, SANDO_TOML)):
        path.write_text(text.replace("/tmp/sando-dev", str(sandod.root)).replace("7766", str(sandod.port)))
    sandod.start()
    live = simple_websocket.Client.connect(f"ws://127.0.0.1:{sandod.port}/events")
    clone = Clone(sandod.root / "checkout", sandod.root / "mnw.git")
    clone.put("server/src/main.rs", MAIN)

    sha, printed = push(clone, "0.8.2")
    assert f"remote: sando: build 1 of {sha[:7]} started" in printed
    sandod.wait_event("BuildOk", version="0.8.2", seconds=100)
    assert (sandod.root / "releases/0.8.2/server").stat().st_mode & 0o111
    status, body = curl(
        sandod,
        "-X",
        "POST",
        "-H",
        "Content-Type: application/json",
        "-d",
        '{"version":"0.8.2"}',
        "/promote/a",
    )
    assert (status, json.loads(body)["kind"]) == (202, "promote")
    sandod.wait_event("PromoteComplete", tier="a", version="0.8.2")
    sandod.wait_event("GateDone", tier="a", gate="boot_smoke", outcome="passed")
    status, body = curl(sandod, "-X", "POST", "/confirm/a")
    assert (status, json.loads(body)["outcome"]) == (200, "passed")

    status, body = curl(sandod, "-X", "POST", "/rollback/a")
    assert (status, json.loads(body)["code"]) == (409, "no_previous_version")
    push(clone, "0.8.3")
    sandod.wait_event("BuildOk", version="0.8.3", seconds=100)
    assert promote(sandod, "0.8.3")[0] == 200
    assert (sandod.root / "a-node/current").readlink().name == "0.8.3"
    status, body = curl(sandod, "-X", "POST", "/rollback/a")
    assert (status, json.loads(body)["version"]) == (202, "0.8.2")
    assert sandod.ended(json.loads(body)["id"])["status"] == "succeeded"
    assert (sandod.root / "a-node/current").readlink().name == "0.8.2"

    (sandod.root / "fake-backup.sql").write_text("select 1;\n")
    assert curl(sandod, "-X", "POST", "/backup/fetch")[0] == 202
    sandod.wait_event("BackupFetched")
    assert (sandod.root / "backup.sql").read_text() == "select 1;\n"

    state = json.loads(curl(sandod, "/state")[1])
    assert [(t["name"], t["current_version"]) for t in state["tiers"]] == [("mm", "0.8.3"), ("a", "0.8.2")]
    status, metrics = curl(sandod, "/metrics")
    assert status == 200
    assert 'sando_builds_total{result="ok"} 2.0' in metrics
    told = [json.loads(live.receive(timeout=60)) for _ in range(sandod.seq - 1)]  # DaemonStarted came before
    live.close()
    assert [e["seq"] for e in told] == list(range(2, sandod.seq + 1))
    types = {e["type"] for e in told}
    assert types > {
        "RebuildRequested", "BuildStart", "BuildOk", "GateStart", "GateDone", "DeployStart", "DeployOk",
        "PromoteComplete", "Rollback", "BackupFetched", "ManualConfirm",
    }  # fmt: skip
