"""Logs and events: whole, once, as they are in a pipe, a document for each line with --json."""

import json

import pytest

from tests.cli.samples import an_operation, done, refused
from tests.client.puppet import Answer, an_event

LOG = "building\n\x1b[31mred\x1b[0m\nprogress 1%\rprogress 100%\n世界\nno end".encode()


def serve(puppet, log: bytes, size: int, **operation) -> None:
    """By pieces of so many bytes, as a log that grows."""

    def answer(asked):
        start = int(asked.query.get("offset", 0))
        piece = log[start : start + size]
        return Answer(raw=piece, headers={"X-Next-Offset": str(start + len(piece))})

    puppet.answers["GET", "/operations/44/log"] = answer
    puppet.answers["GET", "/operations/44"] = Answer(body=an_operation(**operation))


def test_a_pipe_gets_the_log_as_it_is(puppet, run):
    serve(puppet, LOG, 5000)
    ran = run("log", "44")
    assert ran.out.encode() == LOG
    assert ran.code == 0


def test_a_log_as_json_is_a_document_for_each_line(puppet, run):
    serve(puppet, LOG, 5000)
    lines = [json.loads(line) for line in run("log", "44", "--json").out.splitlines()]
    assert [x["line"] for x in lines] == LOG.decode().split("\n")
    assert {x["operation"] for x in lines} == {44}


def test_following_ends_with_the_operation_and_misses_nothing(puppet, run, monkeypatch):
    monkeypatch.setattr("sando.cli.logs.LOOK_S", 0.0)
    serve(puppet, LOG, 7)
    states = [an_operation()] * 3 + [done()]
    puppet.answers["GET", "/operations/44"] = lambda _: Answer(
        body=states.pop(0) if len(states) > 1 else states[0]
    )
    # Pieces end between bytes of a character here; sandod's never do.
    assert run("log", "44", "-f").out.startswith("building\n")
    assert sum(a.path.endswith("/log") for a in puppet.asked) == len(LOG) // 7 + 2


def test_following_goes_on_with_the_build_that_does_an_interrupted_one_again(puppet, run):
    build = {"kind": "build", "tier": "mm", "version": None}
    operations = {44: done("interrupted", **build), 45: done(id=45, details={"again": 44}, **build)}
    for number, text in ((44, b"half"), (45, b"whole\n")):
        at_end = Answer(raw=b"", headers={"X-Next-Offset": str(len(text))})
        first = Answer(raw=text, headers={"X-Next-Offset": str(len(text))})
        puppet.answers["GET", f"/operations/{number}/log"] = lambda asked, first=first, rest=at_end: (
            rest if int(asked.query.get("offset", 0)) else first
        )
        puppet.answers["GET", f"/operations/{number}"] = Answer(body=operations[number])
    puppet.answers["GET", "/operations"] = Answer(body={"operations": [operations[45]], "next": None})
    ran = run("log", "44", "-f")
    assert (ran.code, ran.out) == (0, "halfwhole\n")
    assert ran.err == "build 44 of 1a2b3c4 was interrupted; build 45 of 1a2b3c4 does it again\n"
    assert run("log", "44").out == "half"


def test_following_what_was_interrupted_for_good_is_no_success(puppet, run):
    serve(puppet, b"half", 100, kind="gate", status="interrupted", error="sandod was restarted")
    ran = run("log", "44", "-f")
    assert (ran.code, ran.out) == (1, "half")
    assert ran.err == "gate 44 of 0.8.2 on a: interrupted; sandod was restarted\n"
    assert run("log", "44").code == 0


def test_without_an_id_it_is_what_runs_now(puppet, run):
    serve(puppet, b"here\n", 100)
    puppet.answers["GET", "/operations"] = Answer(
        body={"operations": [done(number=45), an_operation()], "next": None}
    )
    assert run("log").out == "here\n"


@pytest.mark.parametrize("words", [[], ["--tier", "a"]])
def test_where_nothing_was_done_yet_that_is_no_error(run, words):
    ran = run("log", *words)
    assert (ran.code, ran.out, ran.err) == (0, "", "nothing was done yet\n")


@pytest.mark.parametrize("tier", ["zz", ""])
def test_the_log_of_a_tier_that_is_not_there_is_a_2_and_names_those_that_are(run, tier):
    ran = run("log", "--tier", tier)
    assert (ran.code, ran.err) == (2, f"sando: no tier is called '{tier}'\n  there are mm, a\n")


def test_an_operation_that_is_not_there_is_a_2(run):
    assert run("log", "7").code == 2


def test_events_are_told_and_end(puppet, run):
    log = [
        an_event(1, "BuildOk", tier="mm", operation=1, data={"seconds": 2.0}),
        an_event(2),
        an_event(3, "Invented", tier=None),
    ]
    puppet.answers["GET", "/events"] = Answer(body={"events": log, "seq": 3})
    lines = run("events").out.splitlines()
    assert len(lines) == 3
    assert lines[0].split()[0] == "1"
    assert "BuildOk          mm       #1 0.8.2 in 2.0s" in lines[0]
    assert "GateDone         a        #44 0.8.2 boot_smoke passed" in lines[1]


def test_events_as_json_are_the_lines_of_the_api(puppet, run):
    log = [an_event(1) | {"new_key": 1}, an_event(2, tier="b")]
    puppet.answers["GET", "/events"] = Answer(body={"events": log, "seq": 2})
    assert [json.loads(line) for line in run("events", "--json", "--tier", "a").out.splitlines()] == log[:1]


def test_the_last_events_begin_where_the_state_ends(puppet, run):
    puppet.log = [an_event(n) for n in range(1, 8)]
    puppet.answers["GET", "/events"] = Answer(body={"events": puppet.log[5:], "seq": 7})
    assert len(run("events", "-n", "2").out.splitlines()) == 2
    assert puppet.asked[-1].query["since"] == "5"


def test_a_plan_ends_as_the_act_would(puppet, run):
    from tests.cli.samples import a_plan

    puppet.answers["GET", "/plan/promote/a"] = Answer(body=a_plan())
    ran = run("plan", "promote", "a", "0.8.2", "--hotfix")
    assert ran.code == 0
    assert "0.8.1 → 0.8.2   from tier mm" in ran.out
    assert puppet.asked[0].query == {"version": "0.8.2", "hotfix": "1"}
    puppet.answers["GET", "/plan/promote/a"] = Answer(
        body=a_plan(ready=False, status=423, code="locked", detail="it is locked")
    )
    ran = run("plan", "promote", "a", "--json")
    assert (ran.code, ran.document["code"]) == (4, "locked")


def test_who_follows_events_waits_for_a_sandod_that_is_starting_and_not_for_one_that_refuses(
    puppet, run, monkeypatch
):
    monkeypatch.setattr("sando.cli.stream.RETRY_S", 0.0)
    told = Answer(body={"events": [], "seq": 3})
    answers = [told, refused(503, "starting"), refused(503, "starting"), refused(401, "auth_required")]
    puppet.answers["GET", "/events"] = lambda asked: told if asked.headers.get("upgrade") else answers.pop(0)
    ran = run("events", "-f", "--since", "3")
    assert ran.code == 3
    assert ran.err.count("sandod is away (starting is so); waiting for it") == 1
    assert answers == []
