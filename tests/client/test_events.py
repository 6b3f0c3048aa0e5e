"""The events as a WebSocket: from a place on, in order, and with a reason when they end."""

import json
import threading

import pytest

from sando.client import events as module
from sando.client.address import parse
from sando.client.caller import Refused, Unreachable
from sando.client.events import Feed
from tests.client.puppet import Answer, problem
from tests.ports import free_port
from tests.system.sandod import until


def first(feed: Feed, count: int, since: int = 0) -> list:
    """The next so many; the connection is closed then."""
    heard: list = []
    for events in feed.listen(since):
        heard += events
        if len(heard) >= count:
            feed.close()
    return heard


def test_events_come_from_the_place_on_in_their_order(puppet):
    puppet.happen(5)
    assert [e.seq for e in first(Feed(parse(puppet.url)), 3, since=2)] == [3, 4, 5]


def test_what_comes_in_one_packet_with_the_greeting_is_heard(puppet):
    puppet.greeting = [json.dumps({"type": "Reset", "state": puppet.state()})]
    (reset,) = first(Feed(parse(puppet.url)), 1)
    assert reset.type == "Reset"
    assert reset.state
    assert [t.name for t in reset.state.tiers] == ["mm", "a"]


def test_a_connection_that_lives_is_told_before_anything_happens(puppet):
    feed = Feed(parse(puppet.url))
    told = feed.listen(0)
    assert next(told) == ()
    until(lambda: puppet.listeners == 1)
    puppet.happen()
    assert next(told)[0].seq == 1
    feed.close()
    assert list(told) == []


def test_many_that_come_together_are_told_together_and_all_of_them(puppet):
    puppet.happen(3000)
    heard = first(Feed(parse(puppet.url)), 3000)
    assert [e.seq for e in heard] == list(range(1, 3001))


def test_a_connection_that_is_cut_is_an_error_that_says_so(puppet):
    told = Feed(parse(puppet.url)).listen(0)
    next(told)
    until(lambda: puppet.listeners == 1)
    puppet.cut()
    with pytest.raises(Unreachable, match="closed"):
        list(told)


def test_the_token_is_sent_and_a_refusal_is_told_in_the_daemons_words(puppet):
    puppet.answers["GET", "/events"] = problem(401, "auth_required", "the token is unknown")
    with pytest.raises(Refused, match="the token is unknown"):
        list(Feed(parse(puppet.url, "s3cret")).listen(0))
    assert {a.headers.get("authorization") for a in puppet.asked} == {"Bearer s3cret"}


@pytest.mark.parametrize("frame", ["not json", "[]", '{"type": 3}', '{"type": "GateDone", "seq": "x"}'])
def test_what_is_no_event_is_not_from_sandod(puppet, frame):
    puppet.greeting = [frame]
    with pytest.raises(Unreachable, match="no events"):
        list(Feed(parse(puppet.url)).listen(0))


def test_who_serves_no_websocket_is_told_apart(puppet):
    puppet.answers["GET", "/events"] = Answer(body={"events": []})
    with pytest.raises(Unreachable, match="no WebSocket there"):
        list(Feed(parse(puppet.url)).listen(0))


def test_nobody_there_is_said_in_words():
    with pytest.raises(Unreachable, match="nothing listens there"):
        list(Feed(parse(f"http://127.0.0.1:{free_port()}")).listen(0))


def test_a_line_that_is_silent_for_too_long_is_given_up(puppet, monkeypatch):
    monkeypatch.setattr(module, "SILENT_S", 0.1)
    with pytest.raises(Unreachable, match=r"silent for 0\.1 s"):
        list(Feed(parse(puppet.url)).listen(0))


def test_a_feed_that_was_closed_before_it_began_ends_at_once(puppet):
    feed = Feed(parse(puppet.url))
    feed.close()
    assert list(feed.listen(0)) == []


def test_it_can_be_closed_from_another_thread(puppet):
    feed = Feed(parse(puppet.url))
    ended = threading.Event()

    def listen() -> None:
        for _ in feed.listen(0):
            pass
        ended.set()

    threading.Thread(target=listen, daemon=True).start()
    until(lambda: puppet.listeners == 1)
    feed.close()
    assert ended.wait(10)


def test_a_name_with_two_addresses_is_tried_at_both(puppet):
    """`localhost` is often ::1 first, where sandod does not listen."""
    assert first(Feed(parse(f"http://localhost:{puppet.port}")), 0) == []
