"""The timer: in order, once, cancellable, and not disturbed by a call that raises."""

import queue
import threading

import pytest

from sando.work.timer import Timer


@pytest.fixture
def timer():
    timer = Timer()
    yield timer
    timer.close()


def test_calls_come_in_the_order_of_their_times_and_not_of_their_orders(timer):
    heard = queue.Queue()
    for seconds in (0.09, 0.03, 0.06, 0.0):
        timer.after(seconds, lambda seconds=seconds: heard.put(seconds))
    assert [heard.get(timeout=10) for _ in range(4)] == [0.0, 0.03, 0.06, 0.09]


def test_a_cancelled_call_is_never_made_and_cancelling_late_is_harmless(timer):
    heard = queue.Queue()
    drop = timer.after(0.02, lambda: heard.put("no"))
    drop()
    keep = timer.after(0.05, lambda: heard.put("yes"))
    assert heard.get(timeout=10) == "yes"
    keep()
    drop()
    assert heard.empty()


def test_a_call_that_raises_is_logged_and_the_next_one_is_made(timer, caplog):
    heard = threading.Event()
    timer.after(0.0, lambda: 1 / 0)
    timer.after(0.01, heard.set)
    assert heard.wait(10)
    assert "a call raised" in caplog.text


def test_an_earlier_call_overtakes_a_wait_that_has_begun(timer):
    heard = threading.Event()
    timer.after(3600, lambda: None)
    timer.after(0.0, heard.set)
    assert heard.wait(10)


def test_timers_that_are_armed_anew_again_and_again_do_not_pile_up(timer):
    for _ in range(10_000):
        timer.after(86400, lambda: None)()
    assert len(timer._heap) < 500


def test_nothing_is_called_after_close():
    timer, heard = Timer(), []
    timer.after(0.01, lambda: heard.append(1))
    timer.close()
    timer.after(0.0, lambda: heard.append(2))
    assert not timer._thread.is_alive()
    assert heard == []


def test_a_call_may_close_its_own_timer():
    timer, closed = Timer(), threading.Event()
    timer.after(0.0, lambda: (timer.close(), closed.set()))
    assert closed.wait(10)
    timer._thread.join(10)
    assert not timer._thread.is_alive()


def test_the_clock_reads_utc_and_names_this_boot():
    from sando.work.now import read_clock

    first, second = read_clock(), read_clock()
    assert first.boot == second.boot != ""
    assert second.since(first) >= 0
    assert first.at.utcoffset().total_seconds() == 0
