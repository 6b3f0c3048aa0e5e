"""GET: state, operations, logs, releases, events, and what every answer has in common."""

import logging

import pytest

from tests.api.room import NOON, Picture, Room, a_release, an_event, an_operation


def test_the_state_is_the_latest_snapshot_with_the_time_of_now(room: Room):
    room.commit(an_event(1))
    answer = room.client.simulate_get("/state")
    assert answer.json == room.board.latest.state | {"now": "2026-11-23T12:00:00.250Z"}
    assert (answer.headers["etag"], answer.headers["content-type"]) == ('"state-1"', "application/json")


@pytest.mark.parametrize(
    "known, status",
    [
        ('"state-0"', 304), ('W/"state-0"', 304), ('"x", "state-0"', 304), ("*", 304),
        ('"state-1"', 200), ("state-0", 200), ("", 200),
    ],
)  # fmt: skip
def test_a_client_that_knows_the_state_is_told_so_without_a_body(room: Room, known, status):
    answer = room.client.simulate_get("/state", headers={"If-None-Match": known})
    assert answer.status_code == status
    assert answer.headers["etag"] == '"state-0"'
    assert (answer.content == b"") is (status == 304)


def test_before_the_first_snapshot_the_state_is_503(room: Room):
    room.board._latest = None
    answer = room.client.simulate_get("/state")
    assert (answer.status_code, answer.json["code"]) == (503, "starting")


def test_operations_come_newest_first_in_pages(room: Room):
    room.store.kept_operations = {n: an_operation(n, "succeeded") for n in range(1, 121)}
    first = room.client.simulate_get("/operations").json
    assert [o["id"] for o in first["operations"]] == list(range(120, 70, -1))
    assert first["next"] == 71
    last = room.client.simulate_get("/operations", params={"cursor": 71, "limit": 70}).json
    assert [o["id"] for o in last["operations"]] == list(range(70, 0, -1))
    assert last["next"] is None
    assert room.client.simulate_get("/operations?before=3").json["operations"][0]["id"] == 2


def test_operations_are_filtered_by_tier_kind_and_status(room: Room):
    room.store.kept_operations = {
        1: an_operation(1, "failed", kind="build", tier="mm"),
        2: an_operation(2),
        3: an_operation(3, "succeeded", tier="b"),
    }

    def ids(query: str) -> list[int]:
        return [
            o["id"] for o in room.client.simulate_get("/operations", query_string=query).json["operations"]
        ]

    assert (ids("tier=b"), ids("kind=build"), ids("status=running")) == ([3], [1], [2])
    assert ids("tier=b&kind=build") == []


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=x", "limit=", "limit=1&limit=2", "limit=1_0", "limit=%D9%A3", "cursor=-1",
     "before=1.5", "cursor=" + "9" * 40, "tier=A", "tier=all", "kind=deploy", "status=done", "cursor=3&before=3"],
)  # fmt: skip
def test_a_bad_filter_is_422_and_names_the_parameter(room: Room, query):
    answer = room.client.simulate_get("/operations", query_string=query)
    assert (answer.status_code, answer.json["code"]) == (422, "bad_field")
    assert answer.json["detail"].startswith(query.partition("=")[0] + ": ")


def test_one_operation_is_found_by_its_number_and_nothing_else(room: Room):
    room.run_operation(44)
    assert room.client.simulate_get("/operations/44").json["status"] == "running"
    for name in ("45", "0", "044", "-44", "4a", "44%20"):
        answer = room.client.simulate_get(f"/operations/{name}")
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")


def test_a_log_is_read_on_from_where_the_last_answer_ended(room: Room):
    room.run_operation(5)
    room.logs[5] = b"one\n"
    first = room.client.simulate_get("/operations/5/log")
    assert (first.text, first.headers["x-next-offset"]) == ("one\n", "4")
    assert first.headers["content-type"] == "text/plain; charset=utf-8"
    room.logs[5] += b"two\n"
    second = room.client.simulate_get("/operations/5/log?offset=4")
    assert (second.text, second.headers["x-next-offset"]) == ("two\n", "8")
    third = room.client.simulate_get("/operations/5/log?offset=8")
    assert (third.text, third.headers["x-next-offset"]) == ("", "8")


def test_a_character_that_is_half_written_is_left_for_the_next_answer(room: Room):
    room.run_operation(5)
    room.logs[5] = "né".encode()[:2]
    first = room.client.simulate_get("/operations/5/log")
    assert (first.text, first.headers["x-next-offset"]) == ("n", "1")
    room.end_operation(5)
    assert room.client.simulate_get("/operations/5/log").text == "n\ufffd"


def test_bytes_that_are_no_text_are_replaced(room: Room):
    room.store.kept_operations[5] = an_operation(5, "failed")
    room.logs[5] = b"\xff\xfeok\x1b[2J"
    assert room.client.simulate_get("/operations/5/log").text == "\ufffd\ufffdok\x1b[2J"


def test_a_log_longer_than_a_piece_is_answered_whole(room: Room):
    room.store.kept_operations[5] = an_operation(5, "succeeded")
    room.logs[5] = "".join(f"zeile {n} ä\n" for n in range(30_000)).encode()
    answer = room.client.simulate_get("/operations/5/log")
    assert answer.content == room.logs[5]
    assert answer.headers["x-next-offset"] == str(len(room.logs[5]))


def test_an_operation_without_a_log_yet_has_an_empty_one_and_an_unknown_one_none(room: Room):
    room.run_operation(5)
    assert room.client.simulate_get("/operations/5/log").content == b""
    assert room.client.simulate_get("/operations/6/log").status_code == 404
    assert room.client.simulate_get("/operations/5/log?offset=-1").status_code == 422
    assert room.client.simulate_get("/operations/5/log?follow=maybe").status_code == 422


def test_releases_come_newest_first_and_one_with_its_manifest(room: Room):
    room.store.kept_releases = [a_release("0.8.1"), a_release("0.8.2+g1a2b3c4")]
    listed = room.client.simulate_get("/releases").json["releases"]
    assert [r["version"] for r in listed] == ["0.8.2+g1a2b3c4", "0.8.1"]
    one = room.client.simulate_get("/releases/0.8.2+g1a2b3c4").json
    assert one["manifest"]["files"][0] == {"path": "server", "size": 3, "mode": 0o755, "sha256": "e" * 64}
    assert one["built_at"] == "2026-11-23T12:00:00.250Z"


@pytest.mark.parametrize(
    "version, code", [("0.9", "unknown_version"), ("..", "not_found"), ("-x", "not_found")]
)
def test_a_release_that_is_not_there_is_404(room: Room, version, code):
    answer = room.client.simulate_get(f"/releases/{version}")
    assert (answer.status_code, answer.json["code"]) == (404, code)


def test_events_are_a_page_after_since_with_the_place_to_go_on_from(room: Room):
    room.happen(120)
    page = room.client.simulate_get("/events?since=10&limit=3").json
    assert [e["seq"] for e in page["events"]] == [11, 12, 13]
    assert page["seq"] == 13
    assert list(page["events"][0]) == [
        "seq", "at", "type", "operation", "tier", "node", "version", "sha", "actor", "data",
    ]  # fmt: skip
    assert room.client.simulate_get("/events").json["seq"] == 50
    assert room.client.simulate_get("/events?since=120").json == {"events": [], "seq": 120}


def test_a_since_that_is_gone_or_never_was_is_told_so(room: Room):
    room.happen(20)
    del room.store.kept_events[:10]
    gone = room.client.simulate_get("/events?since=5").json
    assert (gone["reset"], gone["events"][0]["seq"]) == (True, 11)
    assert room.client.simulate_get("/events?since=21&wait=60").json == {
        "events": [],
        "seq": 20,
        "reset": True,
    }


@pytest.mark.parametrize("path", ["/operations", "/operations/4", "/events?since=1"])
def test_a_store_that_cannot_be_read_is_503_with_its_own_code(room: Room, path):
    room.store.broken = True
    answer = room.client.simulate_get(path)
    assert (answer.status_code, answer.json["code"]) == (503, "store_unavailable")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "BREW"])
@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
def test_a_wrong_method_is_405_with_those_that_are_right(room: Room, method):
    answer = room.client.simulate_request(method, "/state")
    assert (answer.status_code, answer.json["code"]) == (405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]
    answer = room.client.simulate_get("/promote/a")
    assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")


def test_a_method_override_header_overrides_nothing(room: Room):
    answer = room.client.simulate_post("/state", headers={"X-HTTP-Method-Override": "GET"})
    assert answer.status_code == 405


def test_head_answers_like_get_without_a_body(room: Room):
    answer = room.client.simulate_head("/state")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["etag"] == '"state-0"'


def test_an_unknown_path_says_what_was_asked_for(room: Room):
    answer = room.client.simulate_get("/stat")
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert "/stat" in answer.json["detail"]


def test_a_tier_of_a_query_is_told_with_the_form_that_is_wanted(room: Room):
    answer = room.client.simulate_get("/operations?tier=all")
    wanted = "1 to 32 lower-case letters, digits and - with a letter first, and not all"
    assert answer.json["detail"] == f"tier: 'all' is no tier; wanted: {wanted}"


@pytest.mark.parametrize(
    "path, told",
    [
        ("/x%1b%5b31mred%e2%80%aeabc", "/x\\x1b[31mred\\u202eabc"),
        ("/state%00", "/state\\x00"),
        ("/x%0d%0a%09y", "/x\\x0d\\n\\ty"),
        ("/gr%c3%bcn", "/gr\u00fcn"),
    ],
)
def test_a_path_is_told_with_its_control_and_bidi_characters_made_visible(room: Room, path, told):
    assert room.client.simulate_get(path).json["detail"] == f"nothing is at {told}"


def test_an_error_of_our_own_leaks_nothing_and_is_logged_whole(room: Room, caplog):
    room.store.operations = lambda **_: 1 / 0
    with caplog.at_level(logging.ERROR, "api"):
        answer = room.client.simulate_get("/operations")
    assert (answer.status_code, answer.json["code"]) == (500, "internal")
    assert "ZeroDivision" not in answer.text
    assert "ZeroDivisionError" in caplog.text


def test_half_a_surrogate_in_what_is_stored_breaks_no_answer(room: Room):
    room.store.kept_operations[1] = an_operation(1, reason="x\ud800y")
    assert room.client.simulate_get("/operations/1").json["reason"] == "x?y"


def test_metrics_and_health_answer_as_they_are(room: Room):
    answer = room.client.simulate_get("/metrics")
    assert (answer.text, answer.headers["content-type"]) == (
        "sando_up 1\n",
        "text/plain; version=0.0.4; charset=utf-8",
    )
    assert room.client.simulate_get("/healthz").json == {"status": "ok"}


def test_without_the_seam_a_request_waits_in_its_thread(room: Room):
    room.run_operation(44)
    assert room.client.simulate_get("/operations/44?wait=0.05").json["status"] == "running"
    assert room.client.simulate_post("/promote/a?wait=0.05").status_code == 202
    assert room.client.simulate_get("/events?wait=0.05").json == {"events": [], "seq": 0}


def test_the_board_tells_nobody_who_has_left_and_survives_who_fails(room: Room, caplog):
    heard = []
    leave = room.board.subscribe(heard.append)
    room.board.subscribe(lambda _: 1 / 0)
    room.board.publish(Picture(1), (), ())
    leave()
    room.board.publish(Picture(2), (), ())
    assert [n.snapshot.seq for n in heard] == [1]
    assert room.board.latest.seq == 2
    assert caplog.text.count("ZeroDivisionError") == 2


def test_the_time_of_an_answer_is_the_clock_that_was_given(room: Room):
    assert room.client.simulate_get("/state").json["now"].startswith(NOON.date().isoformat())
