"""A store whose disk is full, broken or locked under a real sandod: refused, nothing lost, and well again by itself.

Of the writes and fsyncs of a round some are made to fail; with SANDO_NTH=all it is each of them (ten minutes; `-k nth
--timeout 0`), with SANDO_NTH=3 every third. `tests/store/test_walk.py` does it with each one in every run, without sandod.
"""

import contextlib
import errno
import itertools
import os
import sqlite3

import pytest

from tests.system import faults as fault_tools
from tests.system.cycle import Cycle
from tests.system.faults import Faults
from tests.system.sandod import ENDED, until

fault = fault_tools.fault
SOME = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)


def nths():
    """Which write of a round is the one that fails; where it is said, all of them or so many apart, without an end."""
    asked = os.environ.get("SANDO_NTH", "")
    return itertools.count(1, 1 if asked == "all" else int(asked)) if asked else SOME


@pytest.fixture
def cycle(tmp_path):
    root = tmp_path / "ws"
    root.mkdir()
    made = Cycle(root)
    yield made
    left = made.sandod.finish()
    print(made.sandod.log.read_text(errors="replace")[-8000:])  # noqa: T201
    assert left == []


@pytest.fixture
def faults(cycle, fault):
    made = Faults.of(cycle.sandod, fault)
    cycle.begin()
    cycle.live()
    return made


COMMANDS = (
    ("/promote/a", {"force": True}), ("/rollback/a", {"force": True}), ("/rebuild", {"force": True}),
    ("/lock/b", {"reason": "no"}), ("/backup/fetch", None),
)  # fmt: skip


def told(cycle):
    """What a client has been told: each command's answer, and the status of every operation that has ended."""
    answers = {}
    for path, body in COMMANDS:
        answer = cycle.sandod.post(path, body)
        assert answer.status in {200, 202, 409, 423, 503}, answer
        if answer.status == 202:
            answers[answer.body["id"]] = answer.body["kind"]
    return answers


def stored(cycle):
    return {o["id"]: o["status"] for o in cycle.sandod.every_operation() if o["status"] in ENDED}


@pytest.mark.parametrize("kind", ["write", "fsync"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
def test_the_nth_write_that_fails_loses_nothing_that_was_told_until_a_round_passes(
    cycle, faults, number, kind
):
    promised = {}
    failed = 0
    for nth in nths():
        faults.arm(nth, number, kind)
        promised |= told(cycle)
        cycle.rest()
        reached = faults.failed
        faults.disarm()
        cycle.sandod.ask("DELETE", "/lock/b")
        cycle.check()
        if not reached:
            break
        failed += 1
    print(f"{kind} {os.strerror(number)}: {failed} rounds, the last write that failed was the {nth}th")  # noqa: T201
    assert failed > len(SOME) // 2
    assert cycle.sandod.process.poll() is None
    before = stored(cycle)
    cycle.sandod.kill()
    cycle.begin()
    after = {o["id"]: (o["kind"], o["status"]) for o in cycle.sandod.every_operation()}
    assert {i: k for i, (k, _) in after.items() if i in promised} == promised
    assert before.items() <= {i: s for i, (_, s) in after.items()}.items()
    cycle.check()
    cycle.live()


def test_a_full_disk_refuses_every_command_and_is_well_again_without_a_restart(cycle, faults):
    cycle.push()
    cycle.promote()
    cycle.rest()
    before = cycle.sandod.state()
    faults.arm(1, stays=True)
    for path, body in COMMANDS:
        assert cycle.sandod.post(path, body).code == (503, "store_unavailable"), path
    after = cycle.sandod.state()
    for volatile in ("now", "seq"):
        before.pop(volatile)
        after.pop(volatile)
    assert before == after, "reading goes on, and nothing has changed"
    faults.disarm()
    assert cycle.sandod.post("/rollback/a?wait=30", {"force": True}).status in {200, 409}
    cycle.live()
    cycle.check()


def test_what_ends_while_the_disk_is_full_is_kept_and_stored_when_there_is_room(cycle, faults):
    sandod = cycle.sandod
    sandod.commit("77.0", build=sandod.stop_at("build"))
    sandod.clone.push("main")
    sandod.reached("build")
    faults.arm(1, stays=True)
    sandod.go("build")
    until(lambda: faults.failed > 1, 30, "for the end of the build to be refused")
    assert sandod.state()["build"]["phase"] == "build"
    faults.disarm()
    sandod.wait_event("BuildOk", version="77.0")
    cycle.check()


def test_a_push_while_the_disk_is_full_is_built_when_there_is_room(cycle, faults):
    sandod = cycle.sandod
    faults.arm(1, stays=True)
    sha, said = sandod.push("78.0")
    assert "sando:" in said
    until(lambda: faults.failed, 30, "for the push to be refused")
    faults.disarm()
    assert sandod.post("/rebuild").status in {200, 202}
    sandod.wait_event("BuildOk", sha=sha)
    cycle.check()


def test_a_store_that_another_program_locks_refuses_in_time_and_goes_on(cycle):
    cycle.begin()
    cycle.live()
    with contextlib.closing(sqlite3.connect(cycle.sandod.root / "sando.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        assert cycle.sandod.post("/lock/b", {"reason": "no"}).code[0] == 503
        assert cycle.sandod.get("/state").status == 200
        other.rollback()
    assert cycle.sandod.post("/lock/b", {"reason": "now"}).status == 200
    cycle.sandod.ask("DELETE", "/lock/b")
    cycle.check()
    cycle.live()
