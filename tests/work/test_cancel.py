"""The cancel token: one way, once, from any thread."""

import threading

import pytest

from sando.model.errors import Cancelled
from sando.work.cancel import CancelToken


def test_a_new_token_lets_work_go_on():
    token = CancelToken()
    token.check()
    assert not token.cancelled
    assert not token.wait(0.0)


def test_a_cancelled_token_stops_work_at_its_next_check():
    token = CancelToken()
    token.cancel()
    assert token.cancelled
    assert token.wait(60)
    with pytest.raises(Cancelled):
        token.check()


def test_every_hook_runs_exactly_once_however_often_and_from_where_it_is_cancelled():
    token, calls = CancelToken(), []
    for number in range(20):
        token.on_cancel(lambda number=number: calls.append(number))
    threads = [threading.Thread(target=token.cancel) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(calls) == list(range(20))


def test_a_hook_that_comes_late_runs_at_once():
    token, calls = CancelToken(), []
    token.cancel()
    token.on_cancel(lambda: calls.append(1))
    assert calls == [1]


def test_an_unregistered_hook_does_not_run():
    token, calls = CancelToken(), []
    drop = token.on_cancel(lambda: calls.append(1))
    drop()
    drop()
    token.cancel()
    assert calls == []


def test_a_hook_that_raises_keeps_no_other_from_running(caplog):
    token, calls = CancelToken(), []
    token.on_cancel(lambda: 1 / 0)
    token.on_cancel(lambda: calls.append(1))
    token.cancel()
    assert calls == [1]
    assert "hook raised" in caplog.text


def test_a_wait_ends_when_the_token_is_cancelled_from_another_thread():
    token, answers = CancelToken(), []
    thread = threading.Thread(target=lambda: answers.append(token.wait(60)))
    thread.start()
    token.cancel()
    thread.join(10)
    assert answers == [True]
