"""`sando` while something goes wrong or on: deploys that go back, aborts, and a sandod that is killed in the middle."""

import json
import shutil

import pytest

from tests.system.cli import Cli
from tests.system.sandod import until
from tests.system.workspace import SICK, tier


@pytest.fixture
def begin(sandod):
    """Configured with these tiers and started; 1.0 is green."""

    def begun(*tiers: str) -> Cli:
        sandod.configure(*tiers).start()
        sandod.green("1.0")
        return Cli(sandod.url)

    return begun


def test_a_deploy_that_went_back_is_5(sandod, begin):
    cli = begin(tier("a", 2, SICK))
    assert cli.run("promote", "a", "--wait").code == 0
    sandod.green("1.1")
    sandod.spoil("a-2", "1.1")
    ended = cli.run("promote", "a", "--wait")
    assert ended.code == 5, ended
    assert "promote 4 of 1.1 to a: failed, rolled back" in ended.out
    assert "node a-1 reverted (1.0)" in ended.err
    assert "a-2 is sick" in ended.err
    assert cli.run("wait", "4").code == 5
    assert sandod.links("a", 2) == ["1.0", "1.0"]


def test_every_exit_code_of_the_contract_comes_from_a_real_sandod_with_its_document(sandod, begin, tmp_path):
    """SPEC 16; 5 and an abort have tests of their own."""
    always = '\n[[freeze]]\ntiers = ["c"]\nhours = "00:00-24:00"\n'
    confirm = 'gates = [ { kind = "manual_confirm" } ]\n'
    cli = begin(tier("a", 2, SICK + 'on_failure = "halt"\n' + confirm), tier("c"), always)
    assert cli.json("promote", "a", "--wait")["status"] == "succeeded"  # 0
    sandod.green("1.1")
    sandod.spoil("a-2", "1.1")
    halted = cli.json("promote", "a", "--wait", code=1)
    assert (halted["status"], halted["rolled_back"]) == ("failed", False)
    assert cli.json("rollback", "a", "--wait")["version"] == "1.0"  # it is made whole
    assert cli.json("promote", "nowhere", "--wait", code=2)["code"] == "unknown_tier"
    assert cli.run("promote", "--wait", "--json").code == 2
    assert cli.json("promote", "c", "--wait", code=3)["code"] == "gates_not_passed"
    assert cli.json("confirm", "a")["outcome"] == "passed"
    assert cli.json("promote", "c", "--wait", code=4)["code"] == "frozen"
    assert cli.json("lock", "c", "-m", "audit", "--expires", "30m")["locked"] == ["c"]
    assert cli.json("promote", "c", "--override-freeze", "-m", "now", "--wait", code=4)["code"] == "locked"
    assert cli.json("unlock", "c")["unlocked"] == ["c"]
    assert cli.json("promote", "c", "--override-freeze", "-m", "now", "--wait")["status"] == "succeeded"
    assert cli.json("abort", "999", code=2)["code"] == "not_found"
    sandod.stop()
    assert cli.json("promote", "c", "--wait", code=6)["code"] == "unreachable"
    assert cli.json("status", code=6)["code"] == "unreachable"


def test_a_promotion_that_runs_is_busy_for_others_and_ends_when_it_is_aborted(sandod, begin, tmp_path):
    cli = begin(tier("a", 2, sandod.waiting("before_switch")))
    with cli.start(tmp_path, "promote", "a", "--wait", "--json") as running:
        sandod.reached("before_switch")
        assert cli.json("promote", "a", code=4)["code"] == "tier_busy"
        assert cli.json("wait", "2", "--timeout", "0.2", code=1)["status"] == "running"
        assert cli.json("abort", "2", "-m", "wrong one")["id"] == 2
        _told_to_stop(cli)
        sandod.go("before_switch")
        ended = running.end()
    assert ended.document["status"] == "aborted"
    assert ended.code == (5 if ended.document["rolled_back"] else 1)
    assert cli.json("abort", "2", code=3)["code"] == "not_running"
    assert sandod.links("a", 2) == [None, None]


def test_what_a_rollback_asks_for_beside_another_one_steps_back_no_second_time(sandod, begin, tmp_path):
    """It names what is current while it asks: that is refused whether the other one runs still or has just ended."""
    hold = tmp_path / "hold"
    cli = begin(tier("a", 2, f"restart = '''[ ! -e {hold} ] || {{ {sandod.stop_at('restart')}; }}'''\n"))
    cli.json("promote", "a", "--wait")
    sandod.bring("1.1", "a")
    sandod.bring("1.2", "a")
    hold.touch()
    with cli.start(tmp_path, "rollback", "a", "--wait", "--json") as first:
        sandod.reached("restart")
        assert cli.json("rollback", "a", code=4)["code"] == "tier_busy"
        sent = cli.json("plan", "rollback", "a", code=4)["from"]
        sandod.go("restart")
        assert first.end().document["version"] == "1.1"
    assert cli.json("rollback", "a", sent, code=3)["code"] == "already_current"
    assert sandod.links("a", 2) == ["1.1", "1.1"]


def _told_to_stop(cli: Cli) -> None:
    told = "promote 2 was told to stop by anonymous (wrong one): it ends at the next node"
    for words in ([], ["a"]):
        out = cli.run("status", *words).out
        assert "promote 2 of 1.0 by anonymous: switch, for " in out
        assert told in out
    assert "running, told to stop" in cli.run("history", "a").out


def test_a_tier_whose_nodes_were_changed_by_hand_says_so_and_the_command_that_it_names_mends_it(
    sandod, begin
):
    cli = begin(tier("a", 3))
    cli.json("promote", "a", "--wait")
    sandod.bring("1.1", "a")
    sandod.stop()
    drifted, gone = (sandod.root / "nodes" / name for name in ("a-2", "a-3"))
    (drifted / "current").unlink()
    (drifted / "current").symlink_to("releases/1.0")
    shutil.rmtree(gone / "releases/1.1")
    sandod.start()
    told = "degraded: a-2 drifted to 1.0, a-3 gone; sando promote a 1.1 repairs it"
    until(lambda: told in cli.run("status", "a").out, what="for both to be found")
    shown = [line.split()[3:5] for line in cli.run("status", "a").out.splitlines() if line.startswith("a-")]
    assert shown == [["●", "ok"], ["●", "drifted"], ["●", "gone"]]
    assert f"tier a: {told}" in cli.run("status").out
    assert cli.json("promote", "a", "1.1", "--wait")["status"] == "succeeded"
    assert sandod.links("a") == ["1.1", "1.1", "1.1"]
    assert (gone / "releases/1.1").is_dir()
    assert "degraded" not in cli.run("status").out


def test_a_sandod_that_is_killed_in_the_middle_is_waited_for(sandod, begin, tmp_path):
    cli = begin(tier("a", 2, sandod.waiting("before_switch")))
    with cli.start(tmp_path, "promote", "a", "--wait", "--json") as running:
        sandod.reached("before_switch")
        sandod.kill()
        running.says("sandod is away")
        sandod.go("before_switch")
        sandod.start()
        ended = running.end()
    operation = sandod.operation(2)
    assert "sandod is back" in ended.err
    assert ended.document == operation
    expected = 5 if operation["rolled_back"] else 0 if operation["status"] == "succeeded" else 1
    assert ended.code == expected


def test_logs_and_events_are_followed_over_a_restart(sandod, begin, tmp_path):
    cli = begin(tier("a"))
    sandod.push("1.1", build=sandod.stop_at("built"))
    (tmp_path / "log").mkdir()
    (tmp_path / "events").mkdir()
    with (
        cli.start(tmp_path / "log", "log", "-f") as log,
        cli.start(tmp_path / "events", "events", "-f", "--since", "0", "--json") as events,
    ):
        log.says("building 1.1")
        events.says('"BuildStart"')
        sandod.go("built")
        assert "built\n" in log.end().out
        events.says('"BuildOk"')
        sandod.kill()
        events.says("sandod is away")
        sandod.start()
        sandod.post("/lock/a", {"reason": "audit"})
        events.says('"Locked"')
        events.interrupt()
        ended = events.end()
    assert ended.code == 130
    seqs = [json.loads(line)["seq"] for line in ended.out.splitlines()]
    assert seqs == list(range(1, len(seqs) + 1))


def test_the_log_of_a_build_that_dies_with_sandod_goes_on_with_the_one_that_does_it_again(
    sandod, begin, tmp_path
):
    cli = begin(tier("a"))
    sandod.push("1.1", build=sandod.stop_at("built"))
    with cli.start(tmp_path, "log", "2", "-f") as running:
        running.says("building 1.1")
        sandod.reached("built")
        sandod.kill()
        running.says("sandod is away")
        sandod.go("built")
        sandod.start()
        ended = running.end()
    assert ended.code == 0
    assert ended.out.count("building 1.1") == 2
    assert "build 2 of" in ended.err
    assert "was interrupted; build 3 of" in ended.err


def test_a_build_that_dies_with_sandod_is_followed_into_the_one_that_does_it_again(sandod, begin, tmp_path):
    cli = begin(tier("a"))
    sandod.push("1.1", build=sandod.stop_at("built"))
    with cli.start(tmp_path, "wait", "2", "--json") as running:
        running.says("build 2 of")
        sandod.reached("built")
        sandod.kill()
        running.says("sandod is away")
        sandod.go("built")
        sandod.start()
        ended = running.end()
    assert (ended.code, ended.document["id"], ended.document["version"]) == (0, 3, "1.1")
    assert "was interrupted; build 3 of" in ended.err
