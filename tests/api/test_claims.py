"""Idempotency-Key: the same request again is answered as before and does nothing; on the real actors, through deaths."""

import hashlib
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from actors.messages import Rebuild
from api.routes import ROUTES
from sando.model.answers import Accepted
from sando.model.claim import KEPT, MOST, Claim
from sando.model.topology import TokenSpec
from tests.api.house import House
from tests.api.room import NOON, Room, an_operation


def key(word: str = "one") -> dict[str, str]:
    return {"Idempotency-Key": word}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def made(house: House) -> tuple[int, int]:
    """How many operations and events there are, tests of notifiers included."""
    return len(house.stage.store.operations(limit=500)), house.stage.store.last_seq() + len(house.tried)


def running_build(house: House) -> None:
    house.all_end = False
    house.push("1.0")
    house.post("/rebuild")


ACTS: dict[str, Callable[[House], Any]] = {
    "/rebuild": lambda house: house.push("9.9"),
    "/promote/a": lambda house: house.green("1.0"),
    "/rollback/a": lambda house: house.on("a", "1.0", "1.1"),
    "/confirm/a": lambda house: house.on("a", "1.0"),
    "/reject/a": lambda house: house.on("a", "1.0"),
    "/gates/mm/cargo_test/run": lambda house: house.green("1.0"),
    "/lock/a": lambda _: None,
    "/backup/fetch": lambda _: None,
    "/reload": lambda _: None,
    "/operations/1/abort": running_build,
    "/notify/test": lambda house: setattr(house, "notifiers", ("chat",)),
}
BODIES = {"/lock/a": {"reason": "audit"}}


def test_every_act_of_the_table_is_tried_here() -> None:
    known = {"{tier}": "a", "{operation}": "1"}
    paths = {r.path for r in ROUTES if r.acts}
    tried = set(ACTS)
    for path in paths:
        concrete = path.replace("/gates/{tier}/{gate}", "/gates/mm/cargo_test")
        for name, value in known.items():
            concrete = concrete.replace(name, value)
        assert concrete in tried, path


@pytest.mark.parametrize("path", ACTS)
@pytest.mark.parametrize("restarted", [False, True])
def test_the_same_request_again_is_answered_as_before_and_does_nothing(house, path, restarted):
    ACTS[path](house)
    first = house.post(path, BODIES.get(path), headers=key())
    assert first.status_code in {200, 202}, first.text
    assert "idempotent-replayed" not in first.headers
    if restarted:
        house.restart()
    before = made(house)
    again = house.post(path, BODIES.get(path), headers=key())
    assert again.status_code == first.status_code
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json.get("id") == first.json.get("id")
    if "id" not in first.json:
        assert again.json == first.json
    assert made(house) == before


def test_a_delete_has_keys_too(house):
    house.post("/lock/all", {"reason": "audit"})
    first = house.delete("/lock/a", headers=key())
    house.post("/lock/a", {"reason": "again"})
    again = house.delete("/lock/a", headers=key())
    assert again.json == first.json == {"unlocked": ["a"]}
    assert house.stage.tier("a")["lock"]["reason"] == "again", "what was locked since stays so"


def test_without_a_key_the_same_request_is_another_one(house):
    house.green("1.0").all_end = False
    assert house.post("/promote/a").status_code == 202
    assert house.post("/promote/a").json["code"] == "tier_busy"


def test_an_operation_is_told_as_it_stands_now(house):
    house.green("1.0").all_end = False
    first = house.post("/promote/a", headers=key())
    assert first.json["status"] == "running"
    house.all_end = True
    house.settle()
    again = house.post("/promote/a", headers=key())
    assert (again.status_code, again.json["status"]) == (202, "succeeded")
    waited = house.post("/promote/a?wait=1", headers=key())
    assert (waited.status_code, waited.json["id"]) == (200, first.json["id"])


@pytest.mark.parametrize(
    "path, body",
    [
        ("/promote/a", {"version": "1.0", "reason": "another"}),
        ("/promote/a", {"version": "1.0", "force": True}),
        ("/promote/a", None),
        ("/promote/b", {"version": "1.0"}),
        ("/rollback/a", {"version": "1.0"}),
    ],
)
def test_another_request_with_the_same_key_is_refused(house, path, body):
    house.green("1.0")
    assert house.post("/promote/a", {"version": "1.0"}, headers=key()).status_code == 202
    before = made(house)
    answer = house.post(path, body, headers=key())
    assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key_reused")
    assert made(house) == before


def test_how_a_request_is_written_makes_no_other_of_it(house):
    house.green("1.0")
    kind = {"Content-Type": "application/json"} | key()
    first = house.client.simulate_post("/promote/a", body=b'{"version":"1.0","force":false}', headers=kind)
    again = house.client.simulate_post("/promote/a?wait=1", body=b'{ "version": "1.0" }', headers=kind)
    assert (again.status_code, again.json["id"]) == (200, first.json["id"])


def test_a_refusal_is_decided_anew(house):
    assert house.post("/promote/a", headers=key()).json["code"] == "nothing_to_promote"
    house.green("1.0")
    assert house.post("/promote/a", headers=key()).status_code == 202


def test_what_was_found_and_not_made_is_the_same_answer_too(house):
    house.all_end = False
    first = house.post("/backup/fetch").json["id"]
    assert house.post("/backup/fetch", headers=key()).json["code"] == "already_running"
    house.all_end = True
    house.settle()
    again = house.post("/backup/fetch", headers=key())
    assert (again.status_code, again.json["id"], again.json["code"]) == (200, first, "already_running")
    assert again.json["status"] == "succeeded"


def test_while_the_first_is_decided_the_second_waits_and_then_hears_its_answer(house):
    house.green("1.0").silent = True
    assert house.post("/promote/a", headers=key()).json["code"] == "outcome_unknown"
    assert house.post("/promote/a", headers=key()).json["code"] == "request_in_progress"
    assert house.post("/promote/a", {"force": True}, headers=key()).json["code"] == "idempotency_key_reused"
    house.silent = False
    house.settle()
    answer = house.post("/promote/a", headers=key())
    assert (answer.status_code, answer.json["id"]) == (202, 2)
    assert len(house.stage.store.operations(kind="promote")) == 1


def test_what_was_found_after_nobody_waited_any_more_is_kept_all_the_same(house):
    house.all_end = False
    first = house.post("/backup/fetch").json["id"]
    house.silent = True
    assert house.post("/backup/fetch", headers=key()).json["code"] == "outcome_unknown"
    house.silent, house.all_end = False, True
    house.settle()
    answer = house.post("/backup/fetch", headers=key())
    assert (answer.json["id"], answer.headers["idempotent-replayed"]) == (first, "true")


def test_after_a_death_in_between_the_key_finds_what_was_made(house):
    house.green("1.0").all_end = False
    house.stage.store.bug_after = 1
    answer = house.post("/promote/a", headers=key())
    assert answer.json["code"] == "restarting"
    again = house.post("/promote/a", headers=key())
    assert (again.status_code, again.json["kind"], again.json["status"]) == (202, "promote", "running")
    assert len(house.stage.store.operations(kind="promote")) == 1


def test_a_death_before_anything_was_made_leaves_the_key_free(house):
    house.green("1.0").stage.store.away = 1
    assert house.post("/promote/a", headers=key()).json["code"] == "store_unavailable"
    assert house.post("/promote/a", headers=key()).status_code == 202


@pytest.mark.campaign
def test_a_key_is_forgotten_after_a_day(house):
    house.green("1.0")
    first = house.post("/promote/a", headers=key()).json["id"]
    house.stage.advance((KEPT - timedelta(seconds=1)).total_seconds())
    assert house.post("/promote/a", headers=key()).json["id"] == first
    house.stage.advance(2)
    assert house.post("/promote/a", headers=key()).json["code"] == "already_current"


def test_keys_are_the_actors_own(house):
    house.tokens = [
        TokenSpec(name, "operate", hashlib.sha256(name.encode()).hexdigest()) for name in ("max", "eva")
    ]
    house.all_end = False
    told = [
        house.post("/backup/fetch", {"reason": who}, headers=key() | {"Authorization": f"Bearer {who}"})
        for who in ("max", "eva")
    ]
    assert [t.status_code for t in told] == [202, 200]


BAD_KEYS = ["", " ", "a b", "a\tb", "ä", "x" * 129, "one, one", "\x7f", "\x1b[2J"]


@pytest.mark.parametrize("word", BAD_KEYS)
def test_a_key_that_is_none_is_refused_before_anything_is_done(room: Room, word):
    answer = room.client.simulate_post("/backup/fetch", headers=key(word))
    assert (answer.status_code, answer.json["code"], room.told) == (400, "bad_request", [])


@pytest.mark.parametrize("word", ["a", "x" * 128, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "!~"])
def test_a_key_is_1_to_128_visible_characters(room: Room, word):
    assert room.client.simulate_post("/backup/fetch", headers=key(word)).status_code == 202


def test_a_key_on_a_request_that_changes_nothing_is_nothing(room: Room):
    assert room.client.simulate_get("/state", headers=key("a b")).status_code == 200


def test_an_answer_that_cannot_be_kept_is_given_all_the_same(room: Room, caplog):
    room.answer = Accepted(an_operation(7), 200, "already_running")

    def away(_claim: Claim) -> None:
        room.store.broken = True
        room.store._look()

    room.store.keep = away
    assert room.client.simulate_post("/backup/fetch", headers=key()).status_code == 200
    assert "not kept" in caplog.text


def test_no_request_stays_open_whatever_became_of_it(house):
    house.green("1.0")
    for path in ("/promote/a", "/promote/nowhere", "/backup/fetch"):
        house.post(path, headers=key(path))
        house.post(path, headers=key(path))
    house.stage.store.away = 1
    house.post("/backup/fetch", headers=key("away"))
    assert house.claims._open == {}


def test_the_store_keeps_so_many_keys_of_an_actor_and_the_newest(house):
    store, now = house.stage.store, NOON
    rows = [Claim(f"{n}", "r", "max", now + timedelta(seconds=n), 202) for n in range(MOST + 3)]
    with store._db.atomic():
        for row in rows:
            store._put_row(row)
    store.save(
        Claim("last", "r", "max", now + timedelta(seconds=MOST + 9), 202),
        Claim("other", "r", "eva", now, 202),
    )
    kept = {row[0] for row in store._rows("SELECT key FROM claim WHERE actor = 'max'")}
    assert len(kept) == MOST
    assert {"last", str(MOST + 2)} <= kept
    assert "0" not in kept
    assert store.claim("other") is not None
    store.save(Claim("a day later", "r", "eva", now + KEPT, 202))
    assert store.claim("other") is None


def test_many_at_once_with_one_key_are_one_request(room: Room):
    """Nobody answers until all have asked: one is sent, the others are told so."""
    asked, told = threading.Barrier(17), []
    room.answer = None

    def ask() -> None:
        asked.wait()
        told.append(room.client.simulate_post("/rebuild", headers=key()))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    asked.wait()
    for thread in threads:
        thread.join()
    assert len(room.told) == 1
    codes = sorted(t.json["code"] for t in told)
    assert codes == ["outcome_unknown", *["request_in_progress"] * 15]
    assert isinstance(room.told[0], Rebuild)
