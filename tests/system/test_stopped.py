"""SIGSTOP, SIGCONT, SIGPIPE, SIGCHLD: a sandod that stood still goes on as if it had not, and its deadlines with it."""

import json
import signal
from pathlib import Path

import simple_websocket

from tests.system.sandod import until
from tests.system.workspace import HEAD, tier

HURRY = 'timeout = "5s"\n'


def stand_still(sandod):
    sandod.signal(signal.SIGSTOP)
    until(lambda: "\nState:\tT" in Path(f"/proc/{sandod.pid}/status").read_text())


def test_a_deadline_that_passes_while_sandod_stands_still_is_kept_as_soon_as_it_goes_on(sandod):
    sandod.configure(tier("a"), head=HEAD + HURRY).start()
    late = "touch $ROOT/at/begun; sleep 6; touch $ROOT/at/late; sleep 600"
    sha, _ = sandod.push("1.0", build=late)
    sandod.reached("begun")
    stand_still(sandod)
    sandod.reached("late")
    sandod.signal(signal.SIGCONT)
    failed = sandod.wait_event("BuildFailed", sha=sha)
    assert "5s" in failed["data"]["error"], failed
    sandod.green("1.1")


def test_listeners_miss_nothing_that_happens_around_a_time_in_which_sandod_stands_still(sandod):
    sandod.configure(tier("a"), head=HEAD).start()
    sandod.green("1.0")
    listener = simple_websocket.Client(f"ws://127.0.0.1:{sandod.port}/events?since=0")
    sha = sandod.commit("1.1", build=sandod.stop_at("build") + "; touch $ROOT/at/built")
    sandod.clone.push("main")
    sandod.reached("build")
    stand_still(sandod)
    sandod.go("build")
    sandod.reached("built")  # the build goes on, and ends, while nobody looks
    sandod.signal(signal.SIGCONT)
    heard = []
    while not (heard and heard[-1]["type"] == "BuildOk" and heard[-1]["sha"] == sha):
        heard.append(json.loads(listener.receive(timeout=60)))
    listener.close()
    assert [e["seq"] for e in heard] == list(range(1, len(heard) + 1))
    assert sandod.post("/promote/a?wait=60").status == 200


def test_signals_that_tell_of_pipes_and_children_end_nothing(sandod):
    sandod.configure(tier("a")).start()
    for number in [signal.SIGPIPE, signal.SIGCHLD] * 100:
        sandod.signal(number)
    sandod.bring("1.0", "a")
    assert sandod.process.poll() is None
