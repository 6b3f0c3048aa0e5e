"""The runner: a job ends in one outcome, told to the owner of the moment, and is held until that is committed."""

import queue
import threading

import pytest

from sando.model.errors import Cancelled, WorkError
from sando.work import runner as module
from sando.work.outcome import Aborted, Done, Failed
from sando.work.runner import YOUNG, Runner


@pytest.fixture
def runner():
    runner = Runner()
    yield runner
    assert runner.close(10) == ()


@pytest.fixture
def slow_pace(monkeypatch):
    monkeypatch.setattr(module, "YOUNG_S", 5.0)


class Owner:
    def __init__(self):
        self.heard = queue.Queue()

    def __call__(self, key, outcome):
        self.heard.put((key, outcome, threading.current_thread().name))

    def outcome(self):
        return self.heard.get(timeout=10)[1]


def until_cancelled(token):
    token.wait(60)
    token.check()


def test_a_job_runs_on_a_thread_of_its_own_and_tells_its_value(runner):
    owner = Owner()
    runner.start("build 1", lambda _: threading.current_thread().name, owner)
    assert owner.heard.get(timeout=10) == ("build 1", Done("job build 1"), "job build 1")
    assert runner.held() == ("build 1",)
    runner.forget("build 1")
    assert runner.held() == ()


def test_a_key_that_is_held_is_refused_also_after_its_end(runner):
    owner = Owner()
    runner.start("build 1", lambda _: 1, owner)
    owner.outcome()
    with pytest.raises(RuntimeError, match="build 1"):
        runner.start("build 1", lambda _: 2, owner)
    runner.forget("build 1")
    runner.start("build 1", lambda _: 2, owner)
    assert owner.outcome() == Done(2)


def test_a_cancelled_job_is_aborted(runner):
    owner = Owner()
    runner.start("build 1", until_cancelled, owner)
    assert runner.cancel("build 1")
    assert owner.outcome() == Aborted()
    assert not runner.cancel("build 1")
    assert not runner.cancel("unknown")


def test_work_that_says_no_is_failed_with_its_own_words(runner):
    owner, error = Owner(), WorkError("compile", "exit status 1", tail="oops")

    def work(_):
        raise error

    runner.start("build 1", work, owner)
    assert owner.outcome() == Failed(error)


@pytest.mark.parametrize("raised", [ValueError("a bug"), SystemExit(3), KeyboardInterrupt()])
def test_any_other_raise_in_work_is_an_errored_step_and_is_logged(runner, caplog, raised):
    owner = Owner()

    def work(_):
        raise raised

    runner.start("build 1", work, owner)
    failed = owner.outcome()
    assert (failed.error.step, failed.error.errored) == ("internal", True)
    assert type(raised).__name__ in failed.error.detail
    assert "Traceback" in caplog.text


def test_work_that_stops_by_itself_is_aborted_too(runner):
    owner = Owner()

    def work(_):
        raise Cancelled("told to stop")

    runner.start("build 1", work, owner)
    assert owner.outcome() == Aborted()


def test_a_restarted_owner_that_asks_for_an_unknown_job_is_told_so(runner):
    assert not runner.adopt("build 1", Owner())


def test_a_restarted_owner_of_a_running_job_hears_its_end_and_the_old_one_does_not(runner):
    old, new, go = Owner(), Owner(), threading.Event()
    runner.start("build 1", lambda _: go.wait(10), old)
    assert runner.adopt("build 1", new)
    go.set()
    assert new.outcome() == Done(True)
    assert old.heard.empty()


def test_a_restarted_owner_of_an_ended_job_is_told_at_once_from_its_own_thread(runner):
    old, new = Owner(), Owner()
    runner.start("build 1", lambda _: 7, old)
    old.outcome()
    assert runner.adopt("build 1", new)
    assert new.heard.get_nowait() == ("build 1", Done(7), threading.current_thread().name)


def test_every_adoption_around_the_end_hears_of_it_exactly_once(runner):
    for number in range(200):
        old, new = Owner(), Owner()
        runner.start(f"job {number}", lambda _: None, old)
        assert runner.adopt(f"job {number}", new)
        assert new.outcome() == Done(None)
        assert new.heard.empty()
        assert old.heard.qsize() <= 1


def test_an_owner_that_raises_is_logged_and_the_job_stays_held(runner, caplog):
    def done(_key, _outcome):
        raise ValueError("dead")

    runner.start("build 1", lambda _: 1, done)
    owner = Owner()
    runner._jobs["build 1"].thread.join(10)
    assert runner.adopt("build 1", owner)
    assert owner.outcome() == Done(1)
    assert "could not be told" in caplog.text


def test_forgetting_a_job_that_runs_is_refused(runner):
    runner.start("build 1", until_cancelled, Owner())
    with pytest.raises(RuntimeError, match="still running"):
        runner.forget("build 1")
    runner.forget("unknown")


def test_held_jobs_are_found_by_prefix_in_their_order(runner):
    for key in ("node a-2 1", "node a-1 1", "build 1"):
        runner.start(key, until_cancelled, Owner())
    assert runner.held("node ") == ("node a-2 1", "node a-1 1")


def test_close_cancels_all_and_names_what_still_runs_after_the_deadline():
    runner, go, owner = Runner(), threading.Event(), Owner()
    runner.start("deaf", lambda _: go.wait(30), owner)
    runner.start("good", until_cancelled, owner)
    assert runner.close(0.1) == ("deaf",)
    go.set()
    assert runner.close(10) == ()


def test_a_job_started_after_close_is_cancelled_from_the_beginning():
    runner, owner = Runner(), Owner()
    runner.close(0)
    runner.start("late", until_cancelled, owner)
    assert owner.outcome() == Aborted()


def test_what_the_work_says_reaches_whoever_owns_it_now_and_nobody_after_its_end(runner):
    first, second, go, done = Owner(), Owner(), threading.Event(), Owner()

    def work(_):
        runner.say("fetch 1", "a tenth")
        go.wait(10)
        runner.say("fetch 1", "a half")
        return "all"

    runner.start("fetch 1", work, done, first)
    assert first.outcome() == "a tenth"
    assert runner.adopt("fetch 1", done, second)
    go.set()
    assert second.outcome() == "a half"
    assert done.outcome() == Done("all")
    runner.say("fetch 1", "late")
    runner.say("unknown", "lost")
    runner.forget("fetch 1")
    assert first.heard.empty()
    assert second.heard.empty()


def test_nobody_has_to_hear_what_the_work_says_and_an_owner_that_raises_ends_nothing(runner):
    done = Owner()
    runner.start("fetch 1", lambda _: runner.say("fetch 1", "a tenth"), done)
    assert done.outcome() == Done(None)

    def broken(key, said):
        raise ValueError(said)

    runner.start("fetch 2", lambda _: runner.say("fetch 2", "a tenth"), done, broken)
    assert done.outcome() == Done(None)


# -- hundreds in one moment ------------------------------------------------------------------------------------


def start_blocked(runner, count):
    """So many jobs that are at work and stay there; answers what lets them go, and whom they tell."""
    go, owner, begun = threading.Event(), Owner(), threading.Barrier(count + 1)

    def work(_):
        begun.wait(10)
        go.wait(30)

    for number in range(count):
        runner.start(f"blocked {number}", work, owner)
    begun.wait(10)
    return go, owner


def test_jobs_that_last_hold_nobody_up(runner):
    go, owner = start_blocked(runner, 5 * YOUNG)  # each of them waits until all have begun
    go.set()
    assert [owner.outcome() for _ in range(5 * YOUNG)] == [Done(None)] * (5 * YOUNG)


def test_the_next_begins_when_one_that_has_just_begun_ends(runner, slow_pace):
    go, _ = start_blocked(runner, YOUNG)
    late, after = Owner(), threading.Event()
    runner.start("late", lambda _: after.set(), late)
    assert not after.is_set()
    go.set()
    assert late.outcome() == Done(None)


def test_one_that_waits_and_is_cancelled_is_never_begun(runner, slow_pace):
    go, _ = start_blocked(runner, YOUNG)
    owner, begun = Owner(), []
    runner.start("late", begun.append, owner)
    assert runner.cancel("late")
    assert owner.outcome() == Aborted()
    assert not runner.cancel("late")
    assert (runner.held("late"), begun) == (("late",), [])
    go.set()


def test_those_that_wait_are_over_with_the_close_and_are_never_begun(slow_pace):
    runner = Runner()
    go, _ = start_blocked(runner, YOUNG)
    owner, begun = Owner(), []
    runner.start("late", begun.append, owner)
    assert len(runner.close(0)) == YOUNG
    assert (owner.outcome(), begun) == (Aborted(), [])
    go.set()
    assert runner.close(10) == ()


def test_where_there_is_no_thread_for_those_that_wait_each_says_so(runner, slow_pace, monkeypatch):
    go, _ = start_blocked(runner, YOUNG)

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    owner = Owner()
    runner.start("late", lambda _: None, owner)
    outcome = owner.outcome()
    assert isinstance(outcome, Failed)
    assert "no thread for job late" in str(outcome.error)
    go.set()


def test_where_threads_run_out_while_a_thousand_wait_each_of_them_says_so(runner, slow_pace, monkeypatch):
    go, _ = start_blocked(runner, YOUNG)
    owner = Owner()
    for number in range(1000):
        runner.start(f"late {number}", lambda _: None, owner)

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    go.set()
    assert all("no thread for job" in str(owner.outcome().error) for _ in range(1000))
