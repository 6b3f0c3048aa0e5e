"""A tier of three nodes whose second one does not come up: what the others run, and what is said of it."""

import socket
from datetime import datetime

import pytest

from tests.system.sandod import until
from tests.system.workspace import SICK, tier
from tests.work.sshds import farm


@pytest.fixture(params=["local", "ssh"])
def sandod(sandod, request, tmp_path):
    """The same scenarios over both transports, with equal results."""
    if request.param == "local":
        yield sandod
        return
    with farm(tmp_path) as sshds:
        sandod.sshd = sshds("127.0.0.5")
        yield sandod
        sandod.stop()


@pytest.fixture
def flow(sandod):
    """1.0 runs on the three nodes of a; 1.1 is green on mm and sick on a-2."""

    def begin(more=""):
        sandod.configure(tier("a", 3, SICK + more)).start()
        sandod.bring("1.0", "a")
        sandod.green("1.1")
        sandod.spoil("a-2", "1.1")
        return sandod

    return begin


@pytest.mark.parametrize("canary", ["sequential", "parallel", "first-then-rest"])
def test_all_nodes_are_back_on_their_former_release_when_one_does_not_come_up(flow, canary):
    flow = flow(f'canary = "{canary}"\n')
    answer = flow.post("/promote/a?wait=60")
    assert answer.code == (409, "operation_failed")
    operation = answer.body["operation"]
    assert operation["status"] == "failed"
    assert operation["rolled_back"] is True
    assert "a-2" in operation["error"]
    assert "a-2 is sick" in operation["error"], "the output of the probe belongs to the error"
    assert flow.links("a") == ["1.0"] * 3
    state = flow.tier("a")
    assert (state["current_version"], state["status"]) == ("1.0", "steady")
    assert [n["version"] for n in state["nodes"]] == ["1.0"] * 3
    flow.hear()
    assert flow.wait_event("DeployFailed", operation=operation["id"])["data"]["rolled_back"] is True
    assert not any(e["operation"] == operation["id"] for e in flow.events if e["type"] == "DeployOk")
    if canary == "sequential":
        touched = {e["node"] for e in flow.events if e["operation"] == operation["id"] and e["node"]}
        assert touched == {"a-1", "a-2"}, "a-3 was to be left alone"
    log = flow.get(f"/operations/{operation['id']}/log").body
    assert "a-2 is sick" in log


def test_a_halt_leaves_the_tier_mixed_and_the_same_version_resumes_where_it_stopped(flow):
    flow = flow('on_failure = "halt"\n')
    answer = flow.post("/promote/a?wait=60")
    assert answer.body["operation"]["rolled_back"] is False
    assert flow.links("a") == ["1.1", "1.0", "1.0"]
    assert flow.tier("a")["status"] == "mixed"
    assert flow.tier("a")["current_version"] == "1.0"
    (flow.root / "red" / "a-2.1.1").unlink()
    resumed = flow.post("/promote/a?wait=60", {"version": "1.1"})
    assert resumed.status == 200
    assert [n["name"] for n in resumed.body["nodes"]] == ["a-2", "a-3"]
    assert flow.links("a") == ["1.1"] * 3
    state = flow.tier("a")
    assert (state["status"], state["current_version"], state["previous_version"]) == ("steady", "1.1", "1.0")


def test_a_rollback_after_a_halt_makes_the_tier_whole_and_marks_what_it_half_held(flow):
    flow = flow('on_failure = "halt"\n')
    flow.post("/promote/a?wait=60")
    back = flow.post("/rollback/a?wait=60")
    assert (back.status, back.body["version"]) == (200, "1.0")
    assert flow.links("a") == ["1.0"] * 3
    state = flow.tier("a")
    assert (state["status"], state["current_version"], state["marked_bad"]) == ("steady", "1.0", ["1.1"])
    assert flow.post("/rollback/a").code == (409, "no_previous_version")


def test_a_first_deploy_that_fails_leaves_no_link_and_runs_no_restart_on_the_way_back(sandod):
    restart = "restart = 'echo $SANDO_NODE >> {root}/restarts'\n"
    sandod.configure(tier("a", 2, SICK + restart)).start()
    sandod.green("1.0")
    sandod.spoil("a-2", "1.0")
    assert sandod.post("/promote/a?wait=60").body["operation"]["rolled_back"] is True
    assert sandod.links("a", 2) == [None, None]
    assert not (sandod.root / "nodes/a-1/current").is_symlink()
    assert (sandod.root / "restarts").read_text().split() == ["a-1", "a-2"]
    assert sandod.tier("a")["status"] == "empty"
    (sandod.root / "red" / "a-2.1.0").unlink()
    assert sandod.post("/promote/a?wait=60").status == 200


def test_an_abort_stops_at_the_node_boundary_and_goes_back_as_aborted(sandod):
    second = f"[ $SANDO_VERSION$SANDO_NODE != 1.1a-2 ] || {{ {sandod.stop_at('second')}; }}"
    sandod.configure(tier("a", 3, f"restart = '''{second}'''\n")).start()
    sandod.bring("1.0", "a")
    sandod.green("1.1")
    operation = sandod.post("/promote/a").body
    sandod.reached("second")
    assert sandod.links("a") == ["1.1", "1.1", "1.0"]
    assert sandod.post(f"/operations/{operation['id']}/abort", {"reason": "wrong one"}).status == 202
    assert sandod.operation(operation["id"])["status"] == "running"
    sandod.go("second")
    ended = sandod.ended(operation["id"])
    assert (ended["status"], ended["rolled_back"]) == ("aborted", True)
    assert "wrong one" in ended["error"]
    assert sandod.links("a") == ["1.0"] * 3
    third = [e["type"] for e in sandod.hear() if e["operation"] == operation["id"] and e["node"] == "a-3"]
    assert third == []
    assert sandod.post(f"/operations/{operation['id']}/abort").code == (409, "not_running")


def test_a_node_that_turns_sick_while_it_is_watched_stops_the_rollout(sandod):
    sandod.configure(tier("a", 2, SICK + 'canary_hold = "60s"\n')).start()
    sandod.green("1.0")
    operation = sandod.post("/promote/a").body
    sandod.wait_event("DeployStart", operation=operation["id"])
    until(lambda: sandod.link("a-1") == "1.0")
    sandod.spoil("a-1", "1.0")
    ended = sandod.ended(operation["id"])
    assert (ended["status"], ended["rolled_back"]) == ("failed", True)
    assert sandod.links("a", 2) == [None, None]


def test_a_canary_is_watched_for_its_time_before_the_others_follow(sandod):
    sandod.configure(tier("a", 3, SICK + 'canary = "first-then-rest"\ncanary_hold = "1s"\n')).start()
    sandod.green("1.0")
    operation = sandod.post("/promote/a?wait=60")
    assert operation.status == 200
    deployed = [e for e in sandod.hear() if e["type"] == "NodeDeployed"]
    assert deployed[0]["node"] == "a-1"
    assert {e["node"] for e in deployed} == {"a-1", "a-2", "a-3"}
    first, then = (datetime.fromisoformat(e["at"]) for e in deployed[:2])
    start = datetime.fromisoformat(operation.body["started_at"])
    assert (first - start).total_seconds() >= 1.0
    assert then >= first


def test_a_client_that_goes_away_stops_nothing(sandod):
    sandod.configure(tier("a", 2, sandod.waiting("restart"))).start()
    sandod.green("1.0")
    with socket.create_connection(("127.0.0.1", sandod.port)) as line:
        line.sendall(b"POST /promote/a?wait=60 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n")
        sandod.reached("restart")
    sandod.go("restart")
    sandod.wait_event("PromoteComplete", tier="a")
    assert sandod.links("a", 2) == ["1.0", "1.0"]
