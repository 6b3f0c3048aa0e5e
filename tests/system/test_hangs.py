"""A real sandod of which an actor hangs: it has a successor, and what sandod says and does is as if nothing had been."""

import sys
from pathlib import Path

import pytest

from tests.system.manager import watched
from tests.system.sandod import until
from tests.system.workspace import tier
from tests.work.sshds import farm

HANG = Path(__file__).with_name("hang.py")
AFTER_S = 1.1
TOLD_AS = {"a": "tier", "a-1": "node"}
WORK = {"a-1": "/promote/a", "build": "/rebuild", "journal": "/promote/a"}
"""What has to be asked so that they get a message; the others are looked after, and look themselves."""


@pytest.fixture
def place(sandod, tmp_path):
    """The folder in which files say who hangs, in a sandod that has 1.0 on its build tier."""
    sandod.env |= {"HANG": str(tmp_path), "HANG_AFTER": str(AFTER_S)}
    sandod.before = [sys.executable, str(HANG)]
    sandod.configure(tier("a"))
    return tmp_path


@pytest.fixture
def sshd(sandod, tmp_path):
    with farm(tmp_path) as sshds:
        yield sshds("127.0.0.6")
        sandod.stop()


def replaced(sandod, place, name):
    """It hangs, and is replaced; its thread goes on once `NAME.taken` is removed."""
    before = sandod.state()["seq"]
    (place / f"{name}.once").touch()
    if name in WORK:
        assert sandod.post(WORK[name]).status in {202, 503}
    told = sandod.wait_event("ActorRestarted", after=before)["data"]
    assert told["actor"] == TOLD_AS.get(name, name)
    assert told["error"].startswith(f"{name}: hangs, ")


@pytest.mark.parametrize("name", ["a", "a-1", "build", "journal", "supervisor"])
def test_an_actor_that_hangs_is_replaced_and_what_it_does_later_counts_for_nothing(sandod, place, name):
    sandod.start()
    sandod.green("1.0")
    replaced(sandod, place, name)
    if WORK.get(name) != "/promote/a":
        assert sandod.tier("a")["status"] == "empty"
        assert sandod.post("/promote/a?wait=60").status == 200
    until(lambda: sandod.tier("a")["current_version"] == "1.0")
    (place / f"{name}.taken").unlink()
    until(lambda: f"{name}: is back from " in sandod.log.read_text())
    sandod.bring("1.1", "a")
    assert sandod.link("a-1") == "1.1"
    assert sandod.stop() == 0
    assert sandod.run("fsck").returncode == 0


def test_who_asks_a_tier_that_hangs_is_told_to_try_again(sandod, place):
    sandod.start()
    sandod.green("1.0")
    (place / "a.once").touch()
    until((place / "a.taken").exists)
    assert sandod.post("/rollback/a").code == (503, "restarting")
    assert sandod.post("/rollback/a").code == (409, "no_previous_version")


@pytest.mark.parametrize("name", ["a", "supervisor"])
def test_a_deploy_over_ssh_goes_on_in_its_connection_though_an_actor_above_the_node_hangs(
    sandod, place, sshd, name
):
    sandod.sshd = sshd
    sandod.configure(tier("a", 1, sandod.waiting("restart"))).start()
    sandod.green("1.0")
    operation = sandod.post("/promote/a").body["id"]
    sandod.reached("restart")
    replaced(sandod, place, name)
    (place / f"{name}.taken").unlink()
    until(lambda: f"{name}: is back from " in sandod.log.read_text())
    sandod.go("restart")
    ended = sandod.ended(operation)
    assert (ended["status"], ended["error"]) == ("succeeded", None)
    assert sandod.tier("a")["current_version"] == "1.0"


@pytest.mark.parametrize("manager", ["abstract"], indirect=True)
def test_three_threads_that_are_left_behind_end_the_pings_and_are_named(sandod, place, manager):
    watched(sandod, 0.6)
    sandod.start()
    for _ in range(3):
        last = manager.word("WATCHDOG", after=len(manager.said))
        replaced(sandod, place, "a")
    said = "hangs: 3 actors that were replaced (a, a, a); actor a: has "

    def told(message):
        return message.get("STATUS", "").startswith(said)

    first = manager.heard(told, after=last)
    end = manager.heard(told, after=manager.heard(told, after=first + 1) + 1)
    assert all("WATCHDOG" not in m for m in manager.said[first:end])
    (place / "a.taken").unlink()
    manager.word("WATCHDOG", after=end)


def test_where_no_systemd_listens_the_log_says_that_sandod_is_to_be_restarted(sandod, place):
    sandod.start()
    for _ in range(3):
        replaced(sandod, place, "a")
    until(
        lambda: (
            "restart sandod, there hang: 3 actors that were replaced (a, a, a); " in sandod.log.read_text()
        )
    )
    assert sandod.get("/state").status == 200


def test_sandod_ends_in_good_order_also_with_a_thread_that_is_left_behind(sandod, place):
    sandod.start()
    sandod.green("1.0")
    replaced(sandod, place, "a")
    sandod.post("/promote/a?wait=60")
    assert sandod.stop() == 1, "a thread had to be left"
    said = sandod.log.read_text()
    assert "all stacks, for threads that did not end: Tier-" in said
    assert "in hang_once" in said, "the place where it hangs is shown"
    assert "which is a bug" not in said
    assert sandod.run("fsck").returncode == 0
