"""Commands that are not contained: their own group is killed, a service that they started is never hunted down."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from sando.model.errors import Cancelled, WorkError
from sando.work.cancel import CancelToken
from sando.work.log import OpLog
from sando.work.process import run_plain
from tests.work.wild import Mark, until

SERVICE = "setsid sleep 300 >/dev/null 2>&1 & echo started"


@pytest.fixture
def mark():
    mark = Mark()
    yield mark
    for pid in mark.alive():
        os.kill(pid, signal.SIGKILL)


def plain(*argv, **options):
    return run_plain(argv, **{"log": None, "cancel": CancelToken(), "timeout": 30, "step": "git"} | options)


def test_without_a_log_the_text_is_what_it_wrote_to_stdout():
    ended, text = plain("sh", "-c", "echo hint >&2; echo value")
    assert (ended.ok, text) == (True, "value\n")


def test_a_failing_command_shows_its_errors_too():
    ended, text = plain("sh", "-c", "echo value; echo fatal >&2; exit 2")
    assert (ended.code, text) == (2, "value\nfatal\n")


def test_with_a_log_both_streams_go_there(tmp_path):
    log = OpLog(tmp_path / "1.log")
    _, text = plain("sh", "-c", "echo hint >&2; echo value", log=log, cwd=tmp_path)
    assert (text, log.path.read_text()) == ("hint\nvalue\n", "hint\nvalue\n")


def test_of_commands_that_are_at_work_on_one_log_each_has_its_own_output_and_no_line_is_cut(tmp_path):
    log = OpLog(tmp_path / "1.log")

    def one(name, other):
        script = f"printf '{name} be'; touch {name}; until [ -e {other} ]; do sleep 0.01; done; echo gins; echo {name} ends"
        return plain("sh", "-c", script, log=log, cwd=tmp_path)[1]

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(one, "a", "b"), pool.submit(one, "b", "a")
        assert (first.result(20), second.result(20)) == ("a begins\na ends\n", "b begins\nb ends\n")
    assert sorted(log.path.read_text().splitlines()) == ["a begins", "a ends", "b begins", "b ends"]


def test_what_it_says_stands_in_the_log_while_it_runs_and_a_flood_stays_within_its_cap(tmp_path):
    cancel, log = CancelToken(), OpLog(tmp_path / "1.log", 2**20)
    script = "echo ready; until [ -e go ]; do sleep 0.01; done; yes"
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(plain, "sh", "-c", script, log=log, cancel=cancel, cwd=tmp_path)
        until(lambda: log.path.exists() and log.path.read_text() == "ready\n")
        (tmp_path / "go").touch()
        until(lambda: log.size() > 2**20)
        cancel.cancel()
        with pytest.raises(Cancelled):
            future.result(20)
    assert log.path.stat().st_blocks * 512 < 2**21


def test_stdin_is_closed_and_secrets_stay_outside(monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/somewhere")
    _, text = plain("sh", "-c", "cat; env")
    assert "GIT_DIR" not in text


def test_a_service_that_it_left_in_another_session_survives_its_end(mark):
    begun = time.monotonic()
    ended, _ = plain("sh", "-c", SERVICE, env=mark.env)
    assert ended.ok
    assert time.monotonic() - begun < 60
    assert len(until(mark.alive)) >= 1


def test_a_service_that_it_left_in_another_session_survives_its_timeout(mark):
    with pytest.raises(WorkError, match="git: git timed out after") as caught:
        plain("sh", "-c", SERVICE + "; sleep 200", env=mark.env, timeout=0.5)
    assert (caught.value.errored, caught.value.tail) == (False, "started")
    until(lambda: commands_of(mark) == ["sleep\x00300\x00"])


def commands_of(mark):
    """A process that is being killed has no command line any more, and may be gone before it is read."""
    found = []
    for pid in mark.alive():
        with suppress(OSError):
            found.append(Path(f"/proc/{pid}/cmdline").read_text())
    return [command for command in found if command]


def test_its_own_group_is_killed_on_cancel(mark, tmp_path):
    cancel, log = CancelToken(), OpLog(tmp_path / "1.log")
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(
            plain, "sh", "-c", "echo ready; sleep 300 & sleep 300", env=mark.env, cancel=cancel, log=log
        )
        until(lambda: log.size() > 0)
        cancel.cancel()
        with pytest.raises(Cancelled):
            future.result(20)
    until(lambda: mark.alive() == [])


def test_a_cancelled_token_starts_nothing(tmp_path):
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        plain("touch", str(tmp_path / "here"), cancel=cancel)
    assert not (tmp_path / "here").exists()


def test_a_command_that_cannot_be_started_says_why(tmp_path):
    with pytest.raises(WorkError, match="command not found: no-such-tool") as caught:
        plain("no-such-tool")
    assert (caught.value.step, caught.value.errored) == ("git", True)
    with pytest.raises(WorkError, match="cannot enter the folder"):
        plain("true", cwd=tmp_path / "gone")


def test_it_leaves_no_descriptor_open():
    plain("true")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        plain("true")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
