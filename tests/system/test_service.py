"""What systemd hears of a real sandod, in which order, and when it hears nothing any more."""

import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
import simple_websocket

from tests.system.manager import watched
from tests.system.sandod import until
from tests.system.workspace import tier

HANG = Path(__file__).with_name("hang.py")
LOOPS = {
    "journal": "root/journal", "supervisor": "root/supervisor", "tier": "root/supervisor/a", "timer": "timer",
    "server": "server", "runner": "runner",
}  # fmt: skip
"""What can be made to hang, and what it is called then."""


def closed_with(listener):
    """The code that it hears at the end, after all events."""
    while True:
        try:
            assert listener.receive(timeout=60)
        except simple_websocket.ConnectionClosed as closed:
            return closed.reason


DUMPED = "actors live; oldest message in hand"


def ready(message):
    return "READY" in message


def hangs(message):
    return message.get("STATUS", "").startswith("hangs: ")


def test_ready_is_said_once_all_is_there_and_stopping_before_anything_stops(sandod, manager):
    sandod.configure(tier("a")).start()
    first = manager.said[manager.heard(ready)]
    assert first["STATUS"] == f"sandod 1.0.0 on {sandod.url}: mm empty, a empty; idle"
    assert manager.words("READY", "RELOADING", "STOPPING", "WATCHDOG") == ["READY"], "nobody waits for pings"
    sandod.bring("1.0", "a")
    manager.heard(lambda m: m.get("STATUS", "").endswith("mm 1.0, a 1.0; idle"))
    assert sandod.stop() == 0
    assert manager.words("READY", "STOPPING") == ["READY", "STOPPING"]
    stopping = manager.word("STOPPING")
    assert all("READY" not in m and "RELOADING" not in m for m in manager.said[stopping:])


def test_the_first_request_after_ready_is_answered(sandod, manager):
    """Asked at the very moment at which READY comes, and not before."""
    sandod.configure(tier("a"))
    sandod._answers = lambda: bool(manager.words("READY"))
    sandod.start()
    assert sandod.get("/state").status == 200


@pytest.mark.parametrize("manager", ["abstract"], indirect=True)
def test_a_start_that_fails_is_never_ready(sandod, manager):
    sandod.configure(tier("a")).start()
    manager.word("READY")
    second = sandod.run()
    assert second.returncode == 1
    sandod.configure(tier("a"), daemon="listn = 1")
    assert sandod.run().returncode == os.EX_CONFIG, "systemd does not start it again for this"
    assert manager.words("READY") == ["READY"]


@pytest.mark.parametrize("manager", ["abstract"], indirect=True)
def test_a_reload_is_told_from_its_beginning_to_its_end_also_when_it_is_refused(sandod, manager):
    sandod.configure(tier("a")).start()
    at = manager.word("READY") + 1
    for text in (sandod.topology.read_text(), "broken = ["):
        sandod.topology.write_text(text)
        sandod.signal(signal.SIGHUP)
        begun = manager.word("RELOADING", after=at)
        assert int(manager.said[begun]["MONOTONIC_USEC"]) > 0
        at = manager.heard(ready, after=begun) + 1
    sandod.wait_event("ConfigRejected")
    assert manager.words("READY", "RELOADING") == ["READY", "RELOADING", "READY", "RELOADING", "READY"]


@pytest.mark.parametrize("manager", ["abstract"], indirect=True)
def test_a_build_can_not_speak_for_the_daemon(sandod, manager):
    watched(sandod, 60)
    sandod.env |= {"CREDENTIALS_DIRECTORY": "/nowhere", "WATCHDOG_PID": "1", "LISTEN_FDS": "0"}
    sandod.configure(tier("a", 1, f"restart = '''env > {sandod.root}/node-env'''\n")).start()
    sandod.green("1.0", build=f"env > {sandod.root}/build-env")
    assert sandod.post("/promote/a?wait=60").status == 200
    for name in ("build-env", "node-env"):
        text = (sandod.root / name).read_text()
        assert "PATH=" in text
        for secret in ("NOTIFY_SOCKET", "WATCHDOG", "LISTEN_", "CREDENTIALS_DIRECTORY"):
            assert secret not in text
    assert manager.words("WATCHDOG") == [], "the pings are for another process"


@pytest.mark.parametrize("manager", ["abstract"], indirect=True)
def test_any_loop_that_hangs_is_named_and_stops_the_pings_until_it_turns_again(sandod, manager, tmp_path):
    watched(sandod, 0.6)
    sandod.env["HANG"] = str(tmp_path)
    sandod.before = [sys.executable, str(HANG)]
    sandod.configure(tier("a")).start()
    at = manager.word("WATCHDOG")
    for file, name in LOOPS.items():
        (tmp_path / file).touch()

        def named(message, name=name):
            return hangs(message) and name in message["STATUS"]

        first = manager.heard(named, after=at)
        last = manager.heard(named, after=manager.heard(named, after=first + 1) + 1)
        assert all("WATCHDOG" not in m for m in manager.said[first:last])
        (tmp_path / file).unlink()
        at = manager.word("WATCHDOG", after=last)
    assert sandod.get("/state").status == 200
    assert sandod.log.read_text().count("all stacks, for a loop that hangs") >= len(LOOPS)


@pytest.mark.parametrize("manager", ["abstract"], indirect=True)
def test_a_stopped_process_pings_again_once_it_goes_on(sandod, manager):
    watched(sandod, 0.6)
    sandod.configure(tier("a")).start()
    manager.word("WATCHDOG")
    sandod.signal(signal.SIGSTOP)
    until(lambda: "\nState:\tT" in Path(f"/proc/{sandod.pid}/status").read_text())
    at = len(manager.said)
    sandod.signal(signal.SIGCONT)
    manager.word("WATCHDOG", after=at)
    sandod.bring("1.0", "a")


@pytest.mark.parametrize("manager", ["abstract"], indirect=True)
def test_a_long_drain_asks_for_the_time_that_it_needs_and_listeners_hear_1001_at_its_end(sandod, manager):
    sandod.configure(tier("a", 1, sandod.waiting("restart"))).start()
    sandod.green("1.0")
    sandod.post("/promote/a")
    sandod.reached("restart")
    listener = simple_websocket.Client(f"ws://127.0.0.1:{sandod.port}/events?since=0")
    sandod.signal(signal.SIGTERM)
    more = manager.word("EXTEND_TIMEOUT_USEC")
    assert manager.word("STOPPING") < more
    assert manager.said[more]["EXTEND_TIMEOUT_USEC"] == "10000000"
    assert "deploys to a" in manager.said[more]["STATUS"]
    sandod.go("restart")
    assert sandod.wait() == 0
    assert closed_with(listener) == 1001


def test_sigusr1_prints_every_thread_with_its_actor_and_what_it_has_in_hand(sandod):
    sandod.configure(tier("a", 2)).start()

    def dump():
        """The last one, once it is there."""
        before = sandod.log.read_text().count(DUMPED)
        sandod.signal(signal.SIGUSR1)
        until(lambda: sandod.log.read_text().count(DUMPED) > before)
        return sandod.log.read_text().rpartition("all stacks, for SIGUSR1")[2]

    actors = ("root", "supervisor", "journal", "build", "backup", "mm", "a", "a-1", "a-2")
    idle = [f"actor {name}: has nothing in hand, 0 messages wait" for name in actors]
    text = until(lambda: all(line in (said := dump()) for line in idle) and said, what="for all to be idle")
    assert "thread MainThread (0x" in text
    assert "loop.py" in text
    assert sandod.get("/state").status == 200
    assert sandod.stop() == 0


def test_an_actor_that_hangs_does_not_keep_the_process_from_its_end(sandod, tmp_path):
    sandod.env["HANG"] = str(tmp_path)
    sandod.before = [sys.executable, str(HANG)]
    sandod.configure(tier("a")).start()
    (tmp_path / "journal").touch()
    sandod.signal(signal.SIGTERM)
    until(lambda: "stopping: new work is refused" in sandod.log.read_text())
    sandod.signal(signal.SIGTERM)
    assert sandod.wait(60) == 1
    assert "all stacks, for threads that did not end: " in sandod.log.read_text()
    assert "in hang" in sandod.log.read_text(), "the place where it hangs is shown"


def test_where_nobody_listens_all_is_the_same_and_the_journal_gets_its_priorities(sandod):
    sandod.log.touch()
    found = sandod.log.stat()
    sandod.env |= {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
    sandod.env |= {"NOTIFY_SOCKET": str(sandod.root / "gone"), "WATCHDOG_USEC": "300000"}
    sandod.configure(tier("a")).start()
    until(lambda: "systemd could not be told" in sandod.log.read_text())
    sandod.bring("1.0", "a")
    assert sandod.stop() == 0
    lines = sandod.log.read_text().splitlines()
    assert any(line.startswith("<4>sando.sd: systemd could not be told") for line in lines)
    assert all(line[0] == "<" and line[2] == ">" for line in lines)


DEAF = """import os, sys
read, write = os.pipe()
os.set_inheritable(read, True)
os.set_blocking(write, False)
try:
    while os.write(write, b"." * 4096):
        pass
except BlockingIOError:
    os.set_blocking(write, True)
os.dup2(write, 2)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_log_that_nobody_takes_holds_nobody_up(sandod):
    sandod.before = [sys.executable, "-c", DEAF]
    sandod.configure(tier("a")).start()
    sandod.bring("1.0", "a")
    assert sandod.post("/rollback/a").code == (409, "no_previous_version")
    assert sandod.stop() == 0
    assert sandod.log.read_text() == "", "all of it went into the pipe"


@pytest.mark.parametrize("manager", ["abstract"], indirect=True)
def test_a_start_waits_for_a_store_that_cannot_be_written_and_says_so_to_systemd(sandod, manager):
    sandod.configure().start()
    sandod.green("1.0")
    sandod.kill()
    with closing(sqlite3.connect(sandod.root / "sando.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        before = len(manager.said)
        sandod.launch()
        patient = manager.word("EXTEND_TIMEOUT_USEC", after=before)
        assert manager.said[patient]["STATUS"] == (
            f"{sandod.root}/sando.db cannot be written (database is locked): make room there, or end the program that "
            "locks it"
        )
        again = manager.word("EXTEND_TIMEOUT_USEC", after=patient + 1)
        assert all("READY" not in message for message in manager.said[before:again])
    manager.word("READY", after=again)
    assert sandod.tier("mm")["current_version"] == "1.0"
