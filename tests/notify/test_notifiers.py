"""At least once, in order for each notifier; a dead receiver costs nobody else anything; places outlive a restart."""

import socket
import threading
from datetime import timedelta

import msgspec
import pytest

from sando.model import notices
from sando.model.errors import StoreUnavailable
from sando.model.events import EVENT_TYPES, Event
from sando.notify import PLACES
from tests.api.room import until
from tests.notify.post_office import NOON, run, to
from tests.notify.receiver import OK, receiving, status

DAY = timedelta(days=1)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_chosen_events_arrive_in_order_and_the_others_do_not(office):
    with receiving() as there:
        office.adopt(to(there.url, "BuildFailed", "Rollback"))
        office.happen("BuildStart", "BuildFailed", "Locked", "Rollback", "BuildFailed")
        there.wait(3)
        assert [(c.event["type"], c.event["seq"]) for c in there.calls] == [
            ("BuildFailed", 2),
            ("Rollback", 4),
            ("BuildFailed", 5),
        ]
        office.settled()


def test_what_is_sent_is_the_event_as_the_stream_of_events_has_it(office):
    with receiving() as there:
        office.adopt(to(there.url, secret="s" * 20))
        office.happen("GateDone", operation=44, tier="a", version="0.8.2", actor="max", data={"gate": "é"})
        (call,) = there.wait(1)
    assert call.event == {
        "seq": 1, "at": "2026-11-23T12:00:00.000Z", "type": "GateDone", "operation": 44, "tier": "a", "node": None,
        "version": "0.8.2", "sha": None, "actor": "max", "data": {"gate": "é"},
    }  # fmt: skip
    assert call.headers["sando-event"] == "GateDone"
    assert call.headers["sando-signature"].startswith("sha256=")


def test_a_star_stands_for_every_type(office):
    with receiving() as there:
        office.adopt(to(there.url, "*"))
        office.happen(*EVENT_TYPES)
        calls = there.wait(len(EVENT_TYPES))
    assert [c.event["type"] for c in calls] == list(EVENT_TYPES)


def test_a_command_gets_the_event_on_stdin_and_its_names_in_the_environment(office):
    office.adopt(run("Locked"))
    office.happen("Locked", tier="b", actor="max", data={"reason": "no"})
    until(lambda: office.ran)
    ((name, body, env),) = office.ran
    assert (name, msgspec.json.decode(body)["data"]) == ("script", {"reason": "no"})
    assert (env["SANDO_EVENT_TYPE"], env["SANDO_EVENT_TIER"], env["SANDO_EVENT_VERSION"]) == (
        "Locked",
        "b",
        "",
    )


def test_a_new_notifier_hears_of_what_happens_from_then_on(office):
    office.happen("BuildStart", "BuildOk")
    with receiving() as there:
        office.adopt(to(there.url))
        office.happen("Locked")
        there.wait(1)
        office.settled()
        assert there.seqs() == [3]


def test_what_fails_is_sent_again_with_the_same_number_until_it_is_taken_and_the_rest_waits(office):
    with receiving(status(500), status(404), "close", b"junk", status(302), OK) as there:
        office.adopt(to(there.url))
        office.happen("BuildFailed", "Locked")
        calls = there.wait(7)
    assert [c.event["seq"] for c in calls] == [1, 1, 1, 1, 1, 1, 2]
    assert len({c.headers["sando-delivery"] for c in calls[:6]}) == 1
    assert calls[6].headers["sando-delivery"] != calls[0].headers["sando-delivery"]
    assert office.events("NotifyFailed") == []


def test_a_dead_receiver_keeps_no_other_waiting(office):
    with receiving("hang") as dead, receiving() as alive:
        office.adopt(to(dead.url, name="dead"), to(alive.url, name="alive"), run(name="script"))
        office.happen("BuildFailed", "Locked", "Unlocked")
        alive.wait(3)
        until(lambda: len(office.ran) == 3)
        dead.wait(1)
        assert dead.seqs() == [1]


def test_an_event_that_a_receiver_refuses_for_what_it_is_is_given_up_at_once(office):
    with receiving(status(422), OK) as there:
        office.adopt(to(there.url, "BuildFailed", "Locked", name="chat"))
        office.happen("BuildFailed", "Locked")
        there.wait(2)
        assert there.seqs() == [1, 2]
        until(lambda: office.events("NotifyFailed"))
        (told,) = office.events("NotifyFailed")
        assert told.data == {
            "notifier": "chat", "events": 1, "first": 1, "last": 1, "error": "127.0.0.1 answered 422",
        }  # fmt: skip
        assert office.told == 1


def test_after_a_day_all_that_is_so_old_is_given_up_together_and_told_once(office):
    with receiving(status(500)) as there:
        office.adopt(to(there.url, "BuildFailed", "Locked"))
        office.happen("BuildFailed", "Locked", "BuildFailed")
        there.wait(2)
        assert office.events("NotifyFailed") == []
        office.now += DAY
        office.happen("Locked")
        office.now += timedelta(seconds=1)
        until(lambda: office.events("NotifyFailed"))
        there.answers[:] = [OK]
        until(lambda: there.seqs()[-1] == 4)
        office.settled()
    (told,) = office.events("NotifyFailed")
    assert (told.data["events"], told.data["first"], told.data["last"]) == (3, 1, 3)
    assert there.url not in str(told.data)
    assert "of-the-url" not in str(told.data)


def test_an_old_event_is_tried_once_before_it_is_given_up(office):
    with receiving() as there:
        office.adopt(to(there.url))
        office.happen("BuildFailed", ago=3 * DAY)
        assert there.wait(1)[0].event["seq"] == 1
        office.settled()
    assert office.events("NotifyFailed") == []


def test_a_loss_that_cannot_be_told_is_not_told_of(office):
    with receiving(status(400)) as first, receiving(status(400)) as second:
        office.adopt(to(first.url, name="first"), to(second.url, name="second"))
        office.happen("BuildFailed")
        until(lambda: len(office.events("NotifyFailed")) == 2)
        first.wait(3)
        second.wait(3)
        office.settled()
        assert [e.type for e in office.store.events(0, 100)] == [
            "BuildFailed",
            "NotifyFailed",
            "NotifyFailed",
        ]


def test_places_outlive_a_restart_and_nothing_is_lost_meanwhile(office):
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    office.adopt(to(url))
    office.happen("BuildFailed", "Locked")
    office.settled()
    office.restart()
    office.store.save(Event("Rollback", NOON))  # while nobody was there to hear of it
    with receiving(port=port) as there:
        office.adopt(to(url))
        there.wait(3)
        assert there.seqs() == [1, 2, 3]
        office.settled()
        office.restart()
        office.adopt(to(url))
        office.happen("Unlocked")
        there.wait(4)
        assert there.seqs() == [1, 2, 3, 4], "what was taken is not sent again"


def test_a_reload_keeps_the_place_of_those_that_stay_and_forgets_those_that_go(office):
    with receiving(status(500)) as there, receiving() as other:
        office.adopt(to(there.url, name="stays"), to(other.url, name="goes"))
        office.happen("BuildFailed")
        there.wait(1)
        other.wait(1)
        office.settled()
        office.adopt(to(other.url, name="stays"))
        other.wait(2)
        assert other.seqs() == [1, 1], "what the old address did not take goes to the new one"
        office.settled()
        assert list(office.store.fact(PLACES)) == ["stays"]
        office.happen("Locked")
        other.wait(3)
        office.adopt(to(other.url, name="stays"), to(other.url, name="goes"))
        office.happen("Unlocked")
        other.wait(5)
        assert other.seqs()[3:] == [3, 3]


def test_one_that_is_taken_out_is_not_sent_to_any_more_not_even_what_it_still_lacks(office):
    with receiving("hang") as there:
        office.adopt(to(there.url))
        office.happen("BuildFailed", "Locked")
        there.wait(1)
        office.adopt()
        until(lambda: not any(t.name == "notify chat" for t in threading.enumerate()))
        assert len(there.calls) == 1
        assert office.store.fact(PLACES) == {}


def test_what_happened_last_is_still_delivered_at_the_end(office):
    with receiving() as there:
        office.adopt(to(there.url))
        office.happen("Locked", "DaemonStopping")
        office.notifiers.close(5.0)
        assert there.seqs() == [1, 2]


def test_a_receiver_that_hangs_does_not_keep_sandod_from_ending(office):
    with receiving("hang") as there:
        office.adopt(to(there.url))
        office.happen("DaemonStopping")
        there.wait(1)
        office.notifiers.close(0.0)
        assert not any(t.name == "notify chat" for t in threading.enumerate())


def test_a_store_that_is_away_is_asked_again(office, monkeypatch):
    monkeypatch.setattr("sando.notify.queue.AWAY_S", 0.02)
    plain, failures = office.store.save, [3]

    def save(*values):
        if any(getattr(v, "key", "") == PLACES for v in values) and failures[0]:
            failures[0] -= 1
            raise StoreUnavailable("database is locked")
        return plain(*values)

    with receiving() as there:
        office.adopt(to(there.url))
        monkeypatch.setattr(office.store, "save", save)
        office.happen("BuildFailed", "Locked")
        until(lambda: there.seqs()[-1:] == [2])
        assert there.seqs() == [1, 1, 1, 1, 2], "what may not have been kept is sent again"


def test_many_events_that_it_does_not_want_cost_few_commits(office):
    with receiving() as there:
        office.adopt(to(there.url, "BuildFailed"))
        before = office.store.revision
        for _ in range(4):
            office.store.save(*[Event("Locked", NOON)] * 600)
        office.happen("BuildFailed")
        there.wait(1)
        office.settled()
        assert office.store.revision - before < 4 + 1 + 2400 // 500 + 2


def test_pauses_double_up_to_an_hour_and_are_spread(monkeypatch):
    monkeypatch.setattr(notices, "FIRST_S", 1.0)
    monkeypatch.setattr(notices, "LONGEST_S", 3600.0)
    assert [notices.pause(n, 1.0) for n in (1, 2, 3, 4)] == [1.0, 2.0, 4.0, 8.0]
    assert notices.pause(1000, 1.0) == 3600.0
    assert notices.pause(4, 0.0) == 4.0
    assert notices.pause(1, 1.0, asked=30.0) == 30.0
    assert notices.pause(1, 1.0, asked=1e9) == 3600.0


# -- tests of a person -----------------------------------------------------------------------------------------


def trials(office, *names):
    test = office.notifiers.test(names, "max")
    until(lambda: test.done() is not None)
    return test.done()


def test_a_test_is_sent_to_all_or_to_one_and_says_what_came_of_it(office):
    with receiving() as good, receiving(status(500)) as bad:
        office.adopt(to(good.url, "Rollback", name="good"), to(bad.url, name="bad"), run(name="script"))
        told = trials(office)
        assert [(t.name, t.ok, t.detail) for t in told] == [
            ("bad", False, "127.0.0.1 answered 500"),
            ("good", True, "delivered"),
            ("script", True, "delivered"),
        ]
        event = good.calls[0].event
        assert (event["type"], event["seq"], event["actor"]) == ("Test", 0, "max")
        assert office.ran[0][2]["SANDO_EVENT_TYPE"] == "Test"
        assert [t.name for t in trials(office, "good")] == ["good"]
        assert len(good.calls) == 2
        assert office.store.last_seq() == 0, "a test is no event"


def test_a_test_does_not_wait_for_what_waits(office):
    with receiving("hang", OK) as there:
        office.adopt(to(there.url))
        office.happen("BuildFailed")
        there.wait(1)
        assert trials(office)[0].ok


@pytest.mark.parametrize(
    "name", ["type", "seq", "at", "operation", "tier", "node", "version", "sha", "actor"]
)
def test_no_name_in_the_environment_can_carry_more_than_a_line(name):
    event = Event("Locked", NOON, tier="a\nb\x1b[2J\u202e", actor="x\0y")
    env = notices.environment(event)
    assert f"SANDO_EVENT_{name.upper()}" in env
    assert env["SANDO_EVENT_TIER"] == "a b\\x1b[2J\\u202e"
    assert env["SANDO_EVENT_ACTOR"] == "x\\x00y"
