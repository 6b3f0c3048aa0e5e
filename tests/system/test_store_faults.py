"""A store whose disk is full, broken or locked under a real sandod: refused, nothing lost, and well again by itself.

Of the writes and fsyncs of a round some are made to fail; with SANDO_NTH=all it is each of them (ten minutes; `-k nth
--timeout 0`), with SANDO_NTH=3 every third. `tests/store/test_walk.py` does it with each one in every run, without sandod.
"""

import contextlib
import errno
import itertools
import os
import secrets
import sqlite3
import time

import pytest

from tests.system import faults as fault_tools
from tests.system.cycle import Cycle
from tests.system.faults import Faults
from tests.system.manager import Manager, watched
from tests.system.sandod import ENDED, until

fault = fault_tools.fault
SOME = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
MINUTE_S = 60.0


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
    until(lambda: faults.failed > 1, 60, "for the end of the build to be refused")
    assert sandod.state()["build"]["phase"] == "build"
    faults.disarm()
    sandod.wait_event("BuildOk", version="77.0")
    cycle.check()


def test_a_push_while_the_disk_is_full_is_built_when_there_is_room(cycle, faults):
    sandod = cycle.sandod
    faults.arm(1, stays=True)
    sha, said = sandod.push("78.0")
    assert "sando:" in said
    until(lambda: faults.failed, 60, "for the push to be refused")
    faults.disarm()
    assert sandod.post("/rebuild").status in {200, 202}
    sandod.wait_event("BuildOk", sha=sha)
    cycle.check()


@pytest.mark.long
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


@pytest.fixture
def manager(cycle):
    """systemd's end: it waits for pings as long as the shipped unit says."""
    address = f"@sando-{os.getpid()}-{secrets.token_hex(4)}"
    listening = Manager(address)
    watched(cycle.sandod, 60)
    cycle.sandod.env["NOTIFY_SOCKET"] = address
    yield listening
    cycle.sandod.finish()
    listening.close()


def refused_for(sandod, seconds):
    """Every command, again and again, as long as that; each waits for the store before it is refused."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for path, body in COMMANDS:
            answer = sandod.post(path, body)
            assert answer.code in {(503, "store_unavailable"), (503, "outcome_unknown")}, (path, answer)
            assert sandod.get("/state").status == 200


@pytest.mark.timeout(300)
@pytest.mark.long
def test_a_store_that_is_locked_for_a_minute_loses_neither_the_build_that_ends_nor_the_push_that_comes(
    cycle, manager
):
    cycle.begin()
    cycle.live()
    cycle.promote()
    sandod, before = cycle.sandod, cycle.sandod.tier("a")
    built, _ = sandod.push("70.0", build=sandod.stop_at("build"))
    sandod.reached("build")
    with contextlib.closing(sqlite3.connect(sandod.root / "sando.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        sandod.go("build")
        pushed, said = sandod.push("71.0")
        assert "sando:" in said
        refused_for(sandod, MINUTE_S)
        assert sandod.state()["build"]["sha"] == built, "its end could not be told"
        assert sandod.tier("a")["current_version"] == before["current_version"]
        other.rollback()
    sandod.ask(
        "DELETE", "/lock/b"
    )  # the last one may have come through just now: nobody was told that it did not
    back = until(lambda: _settled(sandod.post("/rollback/a?wait=30")), what="for R to work again")
    assert back.status == 200, back
    assert sandod.tier("a")["current_version"] == before["previous_version"]
    assert sandod.link("a-1") == before["previous_version"]
    sandod.wait_event("BuildOk", sha=pushed)
    first = next(o for o in sandod.operations() if o["sha"] == built)
    assert first["status"] in {"succeeded", "superseded"}, first
    cycle.check()
    assert "no ping for the watchdog" not in sandod.log.read_text(), "to wait for the store is no hang"
    assert manager.words("WATCHDOG")
    cycle.live()


def _settled(answer):
    """Not the refusal of a command that had still waited for the store before it."""
    return answer if answer.status != 503 else None
