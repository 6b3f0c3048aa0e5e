"""What a command ends with: every code of sandod has an exit code, and a command ends with it."""

import os
import signal
import subprocess
import sys

import pytest

from sando.cli import acting, codes
from sando.client.shapes import Operation, Problem
from sando.model.codes import CODES, NOTES
from tests.cli.samples import an_operation, done, refused
from tests.client.puppet import Answer

OURS = {"unreachable", "not_sandod"}
"""What this end says when that one has not."""


def test_every_code_of_the_contract_has_an_exit_code_and_no_other_has():
    assert set(codes.BY_CODE) - OURS == set(CODES)


def test_every_note_on_what_was_found_is_told_in_words():
    assert set(acting._NOTES) == set(NOTES)


# SPEC 6 to 9 and 12, each as SPEC 16 reads it.
TABLE = [
    *((code, codes.USAGE) for code in ("unknown_tier", "unknown_version", "unknown_sha", "unknown_gate", "unknown_notifier",
       "not_found", "bad_field", "bad_json", "bad_request", "too_large", "headers_too_large", "unsupported_media_type",
       "method_not_allowed", "upgrade_required", "idempotency_key_reused")),
    *((code, codes.REFUSED) for code in ("not_promotable", "not_provisioned", "nothing_to_promote", "gates_not_passed",
       "release_missing", "release_corrupt", "already_current", "version_marked_bad", "tier_mixed", "not_rollbackable",
       "no_previous_version", "schema_incompatible", "not_current", "tier_empty", "no_such_gate", "not_abortable",
       "empty_repository", "auth_required", "scope_required", "host_not_allowed", "origin_not_allowed", "not_running",
       "no_nodes", "nothing_new", "repository_unusable", "gate_not_active", "no_backup_configured", "no_notifiers",
       "needs_restart", "still_running", "degraded")),
    *((code, codes.BUSY) for code in ("tier_busy", "locked", "frozen", "build_running", "store_unavailable", "draining",
       "restarting", "request_in_progress", "request_timeout", "starting", "too_many_streams", "too_many_connections")),
    *((code, codes.FAILED) for code in ("config_rejected", "internal", "not_implemented", "operation_failed",
       "operation_errored", "operation_aborted", "operation_superseded", "operation_interrupted")),
    ("outcome_unknown", codes.UNREACHABLE),
]  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), TABLE)
def test_each_code_of_the_contract_ends_as_the_contract_says(code, expected):
    assert codes.of_code(code) == expected


def test_the_table_above_has_every_code():
    assert {code for code, _ in TABLE} == set(CODES)


def test_no_code_stands_twice_in_the_table():
    words = [code for row in codes._TABLE.values() for code in row.split()]
    assert sorted(words) == sorted(set(words))


@pytest.mark.parametrize(
    ("status", "expected"),
    [(400, 2), (401, 3), (403, 3), (404, 2), (409, 3), (412, 3), (422, 2), (423, 4), (503, 4), (500, 1)],
)
def test_a_code_of_a_newer_sandod_ends_as_its_status_says(status, expected):
    assert codes.of_code("something_new", status) == expected


@pytest.mark.parametrize(
    ("status", "rolled_back", "expected"),
    [("succeeded", False, 0), ("failed", False, 1), ("errored", False, 1), ("aborted", False, 1), ("superseded", False, 1),
     ("interrupted", False, 1), ("failed", True, 5), ("aborted", True, 5)],
)  # fmt: skip
def test_an_operation_ends_by_its_status_and_a_rolled_back_one_never_well(status, rolled_back, expected):
    operation = Operation(1, "promote", "a", status, rolled_back=rolled_back)
    assert codes.of_operation(operation) == expected
    assert codes.of_problem(Problem(409, f"operation_{status}", operation=operation)) == (
        expected or codes.DONE
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refused(404, "unknown_tier"), 2),
        (refused(409, "gates_not_passed"), 3),
        (refused(401, "auth_required"), 3),
        (refused(403, "host_not_allowed"), 3),
        (refused(423, "locked"), 4),
        (refused(409, "tier_busy", operation=an_operation()), 4),
        (Answer(502, raw=b"<html>Bad Gateway</html>"), 6),
        (Answer(200, raw=b"hello"), 6),
    ],
)
def test_a_command_ends_with_the_code_of_its_refusal(puppet, run, answer, expected):
    puppet.answers["POST", "/promote/a"] = answer
    assert run("promote", "a").code == expected


def test_nobody_there_is_6_and_says_which_address_and_how_to_name_another(run, puppet):
    puppet.stop()
    ran = run("status")
    assert ran.code == 6
    assert f"sando: {puppet.url}: nothing listens there" in ran.err
    assert "SANDO_DAEMON" in ran.err
    assert ran.out == ""


def test_with_json_a_refusal_is_the_document_that_was_sent(puppet, run):
    puppet.answers["POST", "/promote/a"] = refused(423, "locked", extra={"later": "kept"})
    ran = run("promote", "a", "--json")
    assert (ran.code, ran.document["code"], ran.document["extra"]) == (4, "locked", {"later": "kept"})
    assert "locked is so" in ran.err


def test_with_json_what_never_came_is_a_document_too(puppet, run):
    puppet.stop()
    ran = run("promote", "a", "--json")
    assert (ran.code, ran.document["code"]) == (6, "unreachable")


@pytest.mark.parametrize(
    ("token", "hint"),
    [("", "set SANDO_TOKEN to a token"), ("wrong", "SANDO_TOKEN is set, and is no token of this sandod")],
)
def test_a_token_that_is_missing_or_wrong_says_so(puppet, run, monkeypatch, token, hint):
    monkeypatch.setenv("SANDO_TOKEN", token)
    puppet.answers["GET", "/state"] = refused(401, "auth_required")
    ran = run("status")
    assert ran.code == 3
    assert hint in ran.err


def test_a_host_that_is_refused_is_told_in_the_words_of_sandod(puppet, run):
    hint = "use the address that sandod listens on, or add the name to allowed_hosts in daemon.toml"
    puppet.answers["GET", "/state"] = refused(403, "host_not_allowed", hint=hint)
    ran = run("status")
    assert (ran.code, ran.err) == (3, f"sando: host_not_allowed is so\n  {hint}\n")


def test_an_error_of_somebody_else_is_told_with_what_names_the_address(puppet, run):
    puppet.answers["POST", "/promote/a"] = Answer(501, raw=b"<!DOCTYPE HTML>\n<html>")
    ran = run("promote", "a")
    assert ran.code == 6
    assert ran.err.splitlines() == [
        "sando: status 501: <!DOCTYPE HTML>",
        "  what answers is no sandod, or a proxy that does not reach it; SANDO_DAEMON says where sandod is asked for",
    ]


@pytest.mark.parametrize("words", [["status"], ["promote", "a"]])
def test_an_address_with_a_folder_that_sandod_is_not_in_is_6_and_names_what_to_look_at(
    run, puppet, monkeypatch, words
):
    puppet.answers["POST", "/x/promote/a"] = refused(404, "not_found", detail="nothing is at /x/promote/a")
    monkeypatch.setenv("SANDO_DAEMON", f"{puppet.url}/x/")
    ran = run(*words)
    assert ran.code == 6
    assert ran.err.splitlines()[0].startswith("sando: nothing is at /x/")
    assert "look at SANDO_DAEMON, which ends in /x\n" in ran.err
    ran = run(*words, "--json")
    assert (ran.code, ran.document["code"]) == (6, "not_sandod")


def test_what_is_not_found_behind_a_proxy_with_a_folder_is_still_a_name(run, puppet, monkeypatch):
    puppet.answers["GET", "/x/operations/7"] = refused(404, "not_found", detail="there is no operation 7")
    monkeypatch.setenv("SANDO_DAEMON", f"{puppet.url}/x")
    assert run("log", "7").code == 2


@pytest.mark.parametrize("words", [["history"], ["history", "--json"], ["--help"], ["promote", "--help"]])
def test_who_has_read_enough_ends_it_without_a_word(puppet, words):
    puppet.answers["GET", "/operations"] = Answer(body={"operations": [done()], "next": None})
    reads, writes = os.pipe()
    os.close(reads)
    env = {**os.environ, "SANDO_DAEMON": puppet.url}
    ended = subprocess.run(
        [sys.executable, "-m", "sando.cli", *words],
        env=env,
        stdout=writes,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writes)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize("body", [b"<html>welcome</html>", b"[]", b'{"tiers": 1}'])
def test_somebody_else_who_answers_is_said_to_be(puppet, run, body):
    puppet.answers["GET", "/state"] = Answer(raw=body)
    ran = run("status")
    assert ran.code == 6
    assert "what answers is not sandod, or another version of it" in ran.err


@pytest.mark.parametrize("address", ["ftp://x", "http://", "http://user:secret@h:1"])
def test_an_address_that_is_none_is_a_usage_error(run, monkeypatch, address):
    monkeypatch.setenv("SANDO_DAEMON", address)
    ran = run("status")
    assert ran.code == 2
    assert "secret" not in ran.err


def test_what_blocks_is_listed_in_the_words_of_the_command_line(puppet, run):
    blocking = [
        {"check": "gate:burn_in", "verdict": "blocked", "detail": "3h of 24h", "clears": "hotfix"},
        {"check": "gate:manual_confirm", "verdict": "blocked", "detail": "pending on tier a", "clears": "POST /confirm/a"},
    ]  # fmt: skip
    puppet.answers["POST", "/promote/b"] = refused(409, "gates_not_passed", blocking=blocking)
    ran = run("promote", "b")
    assert ran.err.splitlines() == [
        "sando: gates_not_passed is so",
        "  do something else",
        "  blocked  burn_in: 3h of 24h; to clear it: hotfix",
        "  blocked  manual_confirm: pending on tier a; to clear it: sando confirm a",
    ]


def test_done_is_0(puppet, run):
    puppet.answers["POST", "/promote/a"] = Answer(200, done())
    ran = run("promote", "a")
    assert (ran.code, ran.out) == (0, "promote 44 of 0.8.2 to a: succeeded in 3.2s\n")
