"""POST /notify/test: what a person hears of it. The notifiers themselves are tested in tests/notify."""

import threading

import msgspec
import pytest

from sando.notify import Trial
from tests.api.room import Room, ask, read_all, serving, until


class Trials:
    def __init__(self) -> None:
        self.ended: list[Trial] | None = None

    def done(self):
        return self.ended


@pytest.fixture
def notified(room: Room) -> Room:
    """Two notifiers; `asked` has who wanted which tested."""
    room.asked, room.trials = [], Trials()

    def test(names, actor):
        room.asked.append((list(names), actor))
        return room.trials

    room.configure(notifiers=lambda: ("chat", "pager"), test_notifiers=test)
    return room


def post(room: Room, body: dict | None = None):
    return room.client.simulate_post("/notify/test", json=body)


def test_without_notifiers_there_is_nothing_to_test(room):
    assert (post(room).status_code, post(room).json["code"]) == (409, "no_notifiers")


def test_a_name_that_none_has_is_told_with_those_that_there_are(notified):
    answer = post(notified, {"name": "chatt"})
    assert (answer.status_code, answer.json["code"]) == (404, "unknown_notifier")
    assert answer.json["hint"] == "there are: chat, pager"
    assert notified.asked == []


@pytest.mark.parametrize("body", [{"name": 5}, {"nam": "chat"}, {"name": "x" * 33}])
def test_a_body_that_is_none_is_refused(notified, body):
    assert post(notified, body).status_code == 422


@pytest.mark.parametrize(
    "body, names", [(None, []), ({}, []), ({"name": None}, []), ({"name": "chat"}, ["chat"])]
)
def test_all_are_tried_or_the_one_that_is_named(notified, body, names):
    notified.trials.ended = [Trial("chat", ok=True, detail="delivered", seconds=0.1)]
    answer = post(notified, body)
    assert answer.status_code == 200
    assert answer.json == {"notifiers": [{"name": "chat", "ok": True, "detail": "delivered", "seconds": 0.1}]}
    assert notified.asked == [(names, "anonymous")]


def test_who_waits_for_receivers_holds_no_thread(notified):
    with serving(notified, threads=1) as server:
        waiting = [ask(server, "/notify/test", "POST", b"{}") for _ in range(5)]
        until(lambda: len(server._streams._all) == 5)
        notified.trials.ended = [Trial("chat", ok=False, detail="chat answered 500", seconds=9.0)]
        for sock in waiting:
            head, _, body = read_all(sock).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert msgspec.json.decode(body)["notifiers"][0]["ok"] is False


def test_without_the_seam_it_waits_where_it_is(notified):
    def end() -> None:
        notified.trials.ended = []
        notified.happen(1)

    timer = threading.Timer(0.1, end)
    timer.start()
    until(lambda: post(notified, {}).json == {"notifiers": []})
    timer.join()
