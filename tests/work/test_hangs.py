"""Commands that never end, in every way that we know of: each is gone soon after its deadline, and told by its step."""

import contextlib
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sando.model.errors import WorkError
from sando.work.cancel import CancelToken
from sando.work.log import OpLog
from sando.work.process import clean_env, run_plain
from tests.work.wild import Mark, until

DEADLINE_S = 1.0
LATE_S = 5.0
"""SPEC 11 by the letter of its tests: nothing runs later than this after its deadline."""
HANGS = {
    "sleeps": "sleep 300",
    "hears no SIGTERM": "trap '' TERM; while :; do sleep 300; done",
    "stops itself": "kill -STOP $$; sleep 300",
    "turns in a circle": "while :; do :; done",
    "floods": "yes",
    "writes one endless line": "tr '\\0' x </dev/zero",
    "writes what is no text": "cat /dev/urandom",
    "waits for a pipe that nobody opens": "mkfifo $MARK_DIR/pipe; cat $MARK_DIR/pipe",
    "waits for a child that left its session": "trap '' TERM; setsid sleep 300 & wait",
    "leaves one behind that writes on": "(trap '' TERM; setsid sh -c 'while :; do echo x; sleep 0.1; done' &) ; sleep 300",
}
STEPS = ("build", "cargo_test", "restart")


def ends(run, step):
    """The error of what must not end by itself, once its time is over."""
    with pytest.raises(WorkError) as told:
        run()
    assert told.value.step == step
    assert "timed out after 1s" in str(told.value)
    return str(told.value)


@pytest.mark.parametrize("contained", [True, False], ids=["of the builder", "of a node"])
@pytest.mark.parametrize("step", STEPS)
def test_ten_ways_to_hang_end_soon_after_their_deadline_and_name_their_step(
    keepers, tmp_path, step, contained
):
    marks = {how: Mark() for how in HANGS}

    def hang(how):
        folder = tmp_path / str(list(HANGS).index(how))
        folder.mkdir()
        argv, log = ("sh", "-c", HANGS[how]), OpLog(folder / "1.log")
        env = marks[how].env | {"MARK_DIR": str(folder)}
        options = {"cwd": folder, "log": log, "cancel": CancelToken(), "step": step, "timeout": DEADLINE_S}
        if contained:
            return ends(lambda: keepers.run(argv, env=env, **options), step)
        return ends(lambda: run_plain(argv, env=clean_env(env), **options), step)

    with ThreadPoolExecutor(len(HANGS)) as pool:
        futures = {how: pool.submit(hang, how) for how in HANGS}
        for how, future in futures.items():
            assert step in future.result(DEADLINE_S + LATE_S), how
    left = {how: mark.alive() for how, mark in marks.items() if mark.alive()}
    if contained:
        assert left == {}
    else:  # what a command on a node leaves running is the node's own (SPEC 6)
        for pid in (pid for mark in marks.values() for pid in mark.alive()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    until(lambda: threading.active_count() < 10)


def test_a_command_that_says_nothing_is_told_apart_from_one_that_is_slow(keepers, tmp_path):
    options = {"cwd": tmp_path, "env": clean_env(), "cancel": CancelToken(), "step": "build", "timeout": 60}
    silent = OpLog(tmp_path / "1.log")
    with pytest.raises(WorkError, match="no output for 1s"):
        keepers.run(("sh", "-c", "echo begun; sleep 300"), log=silent, idle_timeout=1.0, **options)
    chatty = OpLog(tmp_path / "2.log")
    text = "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.2; done"
    assert keepers.run(("sh", "-c", text), log=chatty, idle_timeout=5.0, **options).ok
