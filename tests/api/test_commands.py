"""POST and DELETE: from bodies to messages, from answers to responses."""

from datetime import UTC, datetime

import pytest

from actors import messages as m
from sando.model.answers import Accepted, Check, Refusal, restarting
from tests.api.room import Room, an_operation

NEST = b"[" * 60000
MADE = m.Rebuild | m.Promote | m.Rollback | m.RunGate | m.FetchBackup | m.AbortOperation
COMMANDS = [
    ("/rebuild", {"sha": "1a2b3c4", "force": True}, m.Rebuild("1a2b3c4", force=True)),
    ("/promote/a", {"version": "0.8.2"}, m.Promote("a", "0.8.2")),
    (
        "/promote/b",
        {"hotfix": True, "reset_burn_in": True, "force": True, "override_freeze": True, "reason": "fire"},
        m.Promote(
            "b", None, hotfix=True, reset_burn_in=True, force=True, override_freeze=True, reason="fire"
        ),
    ),
    ("/rollback/b", {"abort_running": True}, m.Rollback("b", abort_running=True)),
    ("/confirm/b", {"version": "1+g2", "reason": "seen"}, m.Confirm("b", "1+g2", reason="seen")),
    ("/reject/b", {"version": None}, m.Reject("b")),
    ("/gates/mm/cargo_test/run", None, m.RunGate("mm", "cargo_test")),
    ("/backup/fetch", None, m.FetchBackup()),
    ("/lock/all", {"reason": "audit"}, m.LockTier("all", "audit")),
    (
        "/lock/b",
        {"reason": "x", "expires": "2026-11-24T00:00:00Z"},
        m.LockTier("b", "x", datetime(2026, 11, 24, tzinfo=UTC)),
    ),
    ("/reload", {"force": True}, m.Reload(force=True)),
    ("/operations/44/abort", {"reason": "wrong one"}, m.AbortOperation(44, reason="wrong one")),
]


@pytest.mark.parametrize("path, body, message", COMMANDS)
def test_a_command_becomes_its_message_and_answers_with_the_operation(room: Room, path, body, message):
    options = {} if body is None else {"json": body}
    answer = room.client.simulate_post(path, **options)
    assert room.told == [message]
    if isinstance(message, MADE):
        assert (answer.status_code, answer.json["id"], answer.json["log"]) == (202, 44, "/operations/44/log")
    else:
        assert answer.status_code == 200


def test_an_operation_is_shown_with_every_key_of_the_contract_and_times_in_utc(room: Room):
    shown = room.client.simulate_post("/backup/fetch").json
    assert {
        "id", "kind", "tier", "version", "sha", "actor", "reason", "status", "step", "nodes", "started_at",
        "finished_at", "error", "superseded_by", "rolled_back", "recovered", "log",
    } <= shown.keys()  # fmt: skip
    assert shown["started_at"] == "2026-11-23T12:00:00.250Z"
    assert shown["finished_at"] is None


def test_an_unlock_is_a_delete_and_answers_what_it_was_told(room: Room):
    answer = room.client.simulate_delete("/lock/b")
    assert (answer.status_code, answer.json) == (200, {"unlocked": ["b"]})
    assert room.told == [m.UnlockTier("b")]


def test_an_operation_that_was_found_answers_200_and_says_why_none_was_made(room: Room):
    room.answer = Accepted(an_operation(7, "succeeded"), 200, "already_built")
    answer = room.client.simulate_post("/rebuild")
    assert (answer.status_code, answer.json["id"], answer.json["code"]) == (200, 7, "already_built")


def test_a_refusal_is_a_problem_document_with_what_blocks_and_what_would_clear_it(room: Room):
    check = Check("gate:burn_in", "blocked", "21h of 24h", gate="burn_in", outcome="pending", clears="hotfix")
    room.answer = Refusal(409, "gates_not_passed", "burn_in: 21h of 24h", "wait", an_operation(3), (check,))
    answer = room.client.simulate_post("/promote/b")
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json
    assert told.keys() == {"type", "title", "status", "code", "detail", "hint", "operation", "blocking"}
    assert (told["status"], told["code"], told["title"]) == (409, "gates_not_passed", "Gates not passed")
    assert told["operation"]["id"] == 3
    assert told["blocking"] == [
        {"check": "gate:burn_in", "verdict": "blocked", "detail": "21h of 24h", "gate": "burn_in",
         "outcome": "pending", "clears": "hotfix"}
    ]  # fmt: skip


def test_keys_without_a_value_are_left_out_of_a_problem(room: Room):
    room.answer = restarting()
    told = room.client.simulate_post("/reload").json
    assert told.keys() == {"type", "title", "status", "code", "detail", "hint"}


def test_no_answer_from_inside_is_an_unknown_outcome_and_not_a_failure(room: Room):
    room.answer = None
    answer = room.client.simulate_post("/promote/a")
    assert (answer.status_code, answer.json["code"]) == (503, "outcome_unknown")
    assert len(room.told) == 1


ODD = [
    (b"", 202, None),
    (b"{}", 202, None),
    (b"[]", 422, "bad_field"),
    (b'"x"', 422, "bad_field"),
    (b"null", 422, "bad_field"),
    (b"7", 422, "bad_field"),
    (NEST, 400, "bad_json"),
    (b'{"a":' * 12000, 400, "bad_json"),
    (b"{", 400, "bad_json"),
    (b" ", 400, "bad_json"),
    (b'{"version": NaN}', 400, "bad_json"),
    (b'{"version": -Infinity}', 400, "bad_json"),
    (b'{"version": 1e999}', 422, "version"),
    (b'{"version": "0.8.2", "version": "0.8.3"}', 400, "bad_json"),
    (b'{"version": "0.8.2", "\\u0076ersion": "0.8.3"}', 400, "bad_json"),
    (b'{"reason": "\\ud800"}', 422, "reason"),
    (b'{"version": "\\ud800"}', 422, "version"),
    (b'{"\\ud800": 1}', 422, "unknown key"),
    (b'{"version": "a\\u0000b"}', 422, "version"),
    (b'{"version": "0.8.2\\n"}', 422, "version"),
    (b'{"version": "../../etc"}', 422, "version"),
    (b'{"version": ""}', 422, "version"),
    (b'{"version": 8}', 422, "version"),
    (b'{"version": {"a": []}}', 422, "version"),
    (b'{"version": ' + b"9" * 5000 + b"}", 400, "bad_json"),
    (b'{"version": ' + b"9" * 300 + b"}", 422, "version"),
    (b'{"hotfix": "true"}', 422, "hotfix"),
    (b'{"hotfix": 1}', 422, "hotfix"),
    (b'{"hotfix": null}', 422, "hotfix"),
    (b'{"hotfx": true}', 422, "hotfx"),
    (b'{"reason": "' + b"x" * 1000 + b'"}', 202, None),
    (b'{"reason": "' + b"x" * 1001 + b'"}', 422, "reason"),
    (b'{"reason": "\\u001b[2J\\u0000"}', 202, None),
    (b"\xff\xfe", 400, "bad_json"),
    (b'\xef\xbb\xbf{"hotfix": true}', 400, "bad_json"),
    (b'{"reason": "' + b"x" * 65536 + b'"}', 413, "too_large"),
]


@pytest.mark.parametrize(
    "body, status, names", ODD, ids=[f"{i}-{b[:20]!r}" for i, (b, _, _) in enumerate(ODD)]
)
def test_an_odd_body_is_refused_with_a_word_and_changes_nothing(room: Room, body, status, names):
    answer = room.client.simulate_post("/promote/a", body=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert len(room.told) == (1 if status == 202 else 0)
    if status != 202:
        assert answer.headers["content-type"] == "application/problem+json"
        assert names in (answer.json["code"], *answer.json["detail"].replace(":", ": ").split(": ")) or (
            names in answer.json["detail"]
        )


VERSIONS = "1 to 64 letters, digits and any of .+_- with a letter or digit first"
BODIES = [
    ("/promote/b", {"version": "../etc\x1b[2J"}, rf"version: '../etc\x1b[2J' is no version; wanted: {VERSIONS}"),
    ("/rollback/b", {"version": ""}, f"version: '' is no version; wanted: {VERSIONS}"),
    ("/confirm/b", {"version": "v" * 65}, f"version: '{'v' * 60}'… is no version; wanted: {VERSIONS}"),
    ("/rebuild", {"sha": "HEAD"}, "sha: 'HEAD' is no sha; wanted: 4 to 40 hexadecimal digits in lower case"),
    ("/lock/b", {"reason": " \n"}, r"reason: ' \n' is no reason; wanted: more than blanks"),
    ("/rollback/b", {"versions": "1"}, "versions: unknown key; there are version, force, abort_running, reason"),
    ("/lock/b", {"reason": "x", "until": "9"}, "until: unknown key; there are reason, expires"),
]  # fmt: skip


@pytest.mark.parametrize("path, body, told", BODIES)
def test_a_field_that_is_refused_is_told_with_its_value_and_with_what_is_wanted(room: Room, path, body, told):
    answer = room.client.simulate_post(path, json=body)
    assert (answer.status_code, answer.json["detail"], room.told) == (422, told, [])


def test_the_body_of_a_delete_takes_no_key(room: Room):
    answer = room.client.simulate_delete("/lock/b", json={"reason": "x"})
    assert answer.json["detail"] == "reason: unknown key; the body takes none"


def test_control_characters_of_a_reason_are_kept_as_they_were_typed(room: Room):
    room.client.simulate_post("/confirm/a", json={"reason": "\x1b[2J"})
    assert room.told[0].reason == "\x1b[2J"


@pytest.mark.parametrize(
    "kind",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp",
     "application/json; charset=utf-16"],
)  # fmt: skip
def test_a_body_that_is_not_called_json_is_415(room: Room, kind):
    answer = room.client.simulate_post(
        "/promote/a", body=b'{"hotfix": true}', headers={"Content-Type": kind} if kind else {}
    )
    assert (answer.status_code, room.told) == (415, [])
    assert answer.json["code"] == "unsupported_media_type"


def test_a_compressed_body_is_415(room: Room):
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert room.client.simulate_post("/promote/a", body=b"\x1f\x8b", headers=headers).status_code == 415


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_is_json_with_its_charset_named_and_in_any_case(room: Room, kind):
    answer = room.client.simulate_post("/promote/a", body=b"{}", headers={"Content-Type": kind})
    assert answer.status_code == 202


@pytest.mark.parametrize("kind", ["text/plain", "application/json"])
def test_where_there_is_no_body_its_type_does_not_matter(room: Room, kind):
    assert room.client.simulate_post("/rollback/a", headers={"Content-Type": kind}).status_code == 202


@pytest.mark.parametrize(
    "path, code",
    [
        ("/promote/%2e%2e", "unknown_tier"),
        ("/promote/%00", "unknown_tier"),
        ("/promote/a%0d%0ax", "unknown_tier"),
        ("/promote/%ff", "unknown_tier"),
        ("/promote/%1b[2J", "unknown_tier"),
        ("/promote/a;jsp=x", "unknown_tier"),
        ("/promote/A", "unknown_tier"),
        ("/promote/a.", "unknown_tier"),
        ("/promote/" + "a" * 5000, "unknown_tier"),
        ("/promote/all", "unknown_tier"),
        ("/confirm/all", "unknown_tier"),
        ("/gates/mm/..%00/run", "not_found"),
        ("/gates/MM/boot_smoke/run", "unknown_tier"),
        ("/operations/0x1/abort", "not_found"),
        ("/operations/%D9%A3/abort", "not_found"),
        ("/operations/" + "9" * 30 + "/abort", "not_found"),
        ("//promote/a", "not_found"),
        ("/promote/a/", "not_found"),
        ("/promote/a/RPC2", "not_found"),
        ("/promote/..%2fa", "not_found"),
        ("/Promote/a", "not_found"),
        ("/promote", "not_found"),
    ],
)
def test_a_path_that_names_nothing_is_404_before_anybody_hears_of_it(room: Room, path, code):
    answer = room.client.simulate_post(path)
    assert (answer.status_code, answer.json["code"], room.told) == (404, code, [])


def test_a_lock_needs_a_reason_and_an_end_that_is_still_to_come(room: Room):
    post = room.client.simulate_post
    assert "reason" in post("/lock/a").json["detail"]
    for expires in ("2026-11-24T00:00:00", "2020-01-01T00:00:00Z", "tomorrow", 5):
        answer = post("/lock/a", json={"reason": "x", "expires": expires})
        assert (answer.status_code, answer.json["code"]) == (422, "bad_field")
        assert "expires" in answer.json["detail"]
    assert room.told == []


@pytest.mark.parametrize("reason", ["", "   ", "\t\n", "\u00a0\u2003"])
def test_blanks_are_no_reason_for_a_lock(room: Room, reason):
    answer = room.client.simulate_post("/lock/c", json={"reason": reason})
    assert (answer.status_code, answer.json["code"], room.told) == (422, "bad_field", [])
    assert answer.json["detail"].startswith("reason: ")


@pytest.mark.parametrize("wait", ["61", "-1", "x", "1e2", "", "nan", "1&wait=2"])
def test_a_bad_wait_is_refused_before_anything_is_done(room: Room, wait):
    answer = room.client.simulate_post("/promote/a", query_string=f"wait={wait}")
    assert (answer.status_code, answer.json["code"], room.told) == (422, "bad_field", [])
