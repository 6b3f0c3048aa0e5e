"""How sandod begins and ends: what it refuses, what it finishes, what it leaves for the next start."""

import os
import signal

from sando import __version__
from tests.system.cli import Cli
from tests.system.workspace import tier


def test_sigterm_during_a_build_leaves_nothing_and_it_is_built_again_at_the_next_start(sandod):
    sandod.configure().start()
    sha, _ = sandod.push("1.0", build=f"export MARK=1; (setsid sleep 300 &)\n{sandod.stop_at('build')}")
    sandod.reached("build")
    assert sandod.stop() == 0
    assert sandod.left() == []
    sandod.go("build")
    sandod.start()
    done = sandod.wait_event("BuildOk", sha=sha)
    first = sandod.operation(1)
    assert first["status"] == "interrupted"
    types = sandod.told("DaemonStarted", "DaemonStopping", "BuildStart", "BuildAborted", "BuildOk")
    assert types == [
        "DaemonStarted", "BuildStart", "DaemonStopping", "BuildAborted", "DaemonStarted", "BuildStart", "BuildOk",
    ]  # fmt: skip
    assert done["operation"] != 1


def test_sigterm_during_a_promotion_finishes_the_node_in_work_and_the_next_start_settles_it(sandod):
    slow = f"[ $SANDO_VERSION != 1.1 ] || {{ {sandod.stop_at('probe')}; }}"
    sandod.configure(tier("a", 2, f"restart = '''{slow}'''\n")).start()
    sandod.bring("1.0", "a")
    sandod.green("1.1")
    operation = sandod.post("/promote/a").body["id"]
    sandod.reached("probe")
    sandod.signal(signal.SIGTERM)
    sandod.wait_event("DaemonStopping")
    refused = sandod.post("/promote/a")
    assert refused.code == (503, "draining")
    assert sandod.post("/rebuild").code == (503, "draining")
    assert sandod.state()["daemon"]["draining"] is True
    sandod.go("probe")
    assert sandod.wait() == 0
    assert sandod.left() == []
    assert sandod.links("a", 2) == ["1.1", "1.0"], "the node in work was finished, the next one not begun"
    sandod.start()
    ended = sandod.ended(operation)
    assert (ended["status"], ended["rolled_back"]) == ("interrupted", True)
    assert sandod.links("a", 2) == ["1.0", "1.0"]
    assert sandod.tier("a")["status"] == "steady"
    ends = [
        e["type"]
        for e in sandod.hear()
        if e["operation"] == operation and e["type"] in {"DeployOk", "DeployFailed"}
    ]
    assert ends == ["DeployFailed"]
    assert sandod.post("/promote/a?wait=60").status == 200


def test_a_second_sandod_on_the_same_state_ends_at_once_and_names_the_first(sandod):
    sandod.configure().start()
    second = sandod.run()
    assert second.returncode == 1
    assert f"pid {sandod.pid}" in second.stderr
    assert sandod.get("/state").status == 200


def test_a_port_that_is_taken_ends_it_with_the_address(sandod, tmp_path):
    sandod.configure().start()
    (tmp_path / "other").mkdir()
    text = sandod.config.read_text()
    for mine in ("sando.db", "work", "releases"):
        text = text.replace(f"/ws/{mine}", f"/other/{mine}")
    other = tmp_path / "other" / "daemon.toml"
    other.write_text(text)
    sandod.config, mine = other, sandod.config
    second = sandod.run()
    sandod.config = mine
    assert second.returncode == 1
    assert f"127.0.0.1:{sandod.port}" in second.stderr
    assert "Traceback" not in second.stderr


def test_check_says_what_is_wrong_and_starts_nothing(sandod):
    sandod.configure(tier("a"))
    good = sandod.run("--check")
    assert (good.returncode, good.stderr.count("warning")) == (0, len(good.stderr.splitlines()))
    assert not (sandod.root / "sando.db").exists()
    assert not (sandod.root / "mnw.git").exists()
    line = sandod.topology.read_text().count("\n") + 1
    with sandod.topology.open("a") as file:
        file.write("keep_release = 3\n")
    bad = sandod.run("--check")
    assert bad.returncode == 1
    assert f"sando.toml:{line}" in bad.stderr
    assert "keep_release" in bad.stderr
    assert sandod.run().returncode == os.EX_CONFIG


def test_the_version_is_told_without_a_configuration(sandod):
    said = sandod.run("--version")
    assert (said.returncode, said.stdout.split()[0]) == (0, "sandod")


def test_a_second_sigterm_does_not_wait_for_the_node_in_work(sandod):
    sandod.configure(tier("a", 1, sandod.waiting("restart"))).start()
    sandod.green("1.0")
    operation = sandod.post("/promote/a").body["id"]
    sandod.reached("restart")
    sandod.signal(signal.SIGTERM)
    sandod.wait_event("DaemonStopping")
    os.kill(sandod.pid, signal.SIGTERM)
    assert sandod.wait() == 0
    sandod.go("restart")
    sandod.start()
    assert sandod.ended(operation)["status"] in {"succeeded", "interrupted"}
    version = sandod.tier("a")["current_version"]
    assert sandod.links("a", 1) == [version]


def test_on_ipv6_the_hook_the_command_line_and_the_api_find_it_at_the_address_that_it_has(sandod):
    sandod.host = "::1"
    sandod.configure(tier("a")).start()
    sandod.green("1.0")
    assert f"sandod {__version__} listens on {sandod.url}" in sandod.log.read_text()
    cli = Cli(sandod.url)
    assert cli.json("promote", "a", "--wait")["status"] == "succeeded"
    assert cli.json("status")["tiers"][1]["current_version"] == "1.0"
    assert sandod.ask("GET", "/state", headers={"Host": "elsewhere.example"}).status == 403
