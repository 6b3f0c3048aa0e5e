"""A rollback that stops a promotion first, on a real daemon: one answer over HTTP and one exit code for one end (SPEC 7, 16)."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.system.cli import Cli
from tests.system.sandod import until
from tests.system.workspace import tier

STOP = {"abort_running": True}


@pytest.fixture(params=["rollback", "halt"])
def busy(sandod, request):
    """a is on 1.0; 1.1 has come to a-1 and is being restarted on a-2, where it waits."""
    second = f"[ $SANDO_VERSION$SANDO_NODE != 1.1a-2 ] || {{ {sandod.stop_at('second')}; }}"
    sick = 'test ! -e {root}/red/$SANDO_NODE.$SANDO_VERSION || { echo "$SANDO_NODE is sick"; exit 1; }'
    more = f"restart = '''{second}; {sick}'''\non_failure = \"{request.param}\"\n"
    sandod.configure(tier("a", 3, more)).start()
    sandod.bring("1.0", "a")
    sandod.green("1.1")
    sandod.post("/promote/a")
    sandod.reached("second")
    return sandod


def rollbacks(flow):
    return flow.operations("kind=rollback")


def queued(flow):
    """The one that was accepted, from whomever."""
    return until(lambda: next(iter(rollbacks(flow)), None), what="for the rollback to be accepted")


def test_whoever_waits_over_http_waits_for_the_tier_to_be_whole(busy):
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(busy.post, "/rollback/a?wait=60", STOP)
        waits = queued(busy)
        assert (waits["status"], waits["step"], waits["started_at"]) == ("queued", "waiting", None)
        again = busy.post("/rollback/a", STOP)
        assert (again.code, again.body["operation"]["id"]) == ((409, "tier_busy"), waits["id"])
        assert busy.post(f"/operations/{waits['id']}/abort").code == (409, "not_abortable")
        assert busy.run("fsck", "--online").returncode == 0
        busy.go("second")
        ended = answer.result()
    assert (ended.status, ended.body["id"], ended.body["status"]) == (200, waits["id"], "succeeded")
    assert busy.links("a") == ["1.0"] * 3
    assert busy.operation(ended.body["details"]["after"])["status"] == "aborted"
    state = busy.tier("a")
    assert (state["current_version"], state["status"], state["operation"]) == ("1.0", "steady", None)
    assert [o["id"] for o in rollbacks(busy)] == [waits["id"]]
    assert busy.run("fsck", "--online").returncode == 0


def test_the_same_request_again_gets_the_same_rollback(busy):
    first = busy.ask("POST", "/rollback/a", STOP, headers={"Idempotency-Key": "one"})
    busy.go("second")
    again = busy.ask("POST", "/rollback/a?wait=60", STOP, headers={"Idempotency-Key": "one"})
    assert (first.status, first.body["code"]) == (202, "aborting")
    assert (again.status, again.body["id"], again.body["status"]) == (200, first.body["id"], "succeeded")


def test_the_command_line_says_0_when_the_rollback_succeeded(busy, tmp_path):
    with Cli(busy.url).start(tmp_path, "rollback", "a", "--abort-running", "--wait") as sando:
        number = queued(busy)["id"]
        sando.says("waiting")
        busy.go("second")
        ended = sando.end()
    assert ended.code == 0, ended
    assert ended.out.startswith(f"rollback {number} of 1.0 on a: succeeded in ")
    assert busy.links("a") == ["1.0"] * 3


def test_the_command_line_says_1_when_a_node_does_not_come_back(busy, tmp_path):
    busy.spoil("a-1", "1.0")
    with Cli(busy.url).start(tmp_path, "rollback", "a", "--abort-running", "--wait") as sando:
        number = queued(busy)["id"]
        busy.go("second")
        ended = sando.end()
    assert ended.code == 1, ended
    assert ended.out.startswith(f"rollback {number} of 1.0 on a: failed")
    assert "a-1 is sick" in busy.operation(number)["error"]
    assert busy.links("a")[1:] == ["1.0", "1.0"], "the others are not left behind"


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_what_was_accepted_is_done_after_a_restart(busy, how):
    number = busy.post("/rollback/a", STOP).body["id"]
    if how == "killed":
        busy.kill()
        busy.go("second")
    else:
        busy.signal(signal.SIGTERM)
        busy.go("second")
        assert busy.wait() == 0
    busy.start()
    ended = busy.ended(number)
    assert (ended["status"], ended["version"]) == ("succeeded", "1.0")
    assert busy.links("a") == ["1.0"] * 3
    busy.hear()
    told = [e["type"] for e in busy.events if e["operation"] == number and e["node"] is None]
    assert told == ["DeployStart", "DeployOk", "Rollback"]
