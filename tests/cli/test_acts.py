"""What acts: what exactly is sent, once, under which key; and that nobody is asked where nobody can answer."""

import pytest

from sando.cli import asking, session
from tests.cli.samples import a_plan, an_operation, done, refused
from tests.client.puppet import Answer


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(session, "AGAIN_S", (0.0, 0.0))


SENT = [
    (["promote", "a"], "POST", "/promote/a", {}),
    (["promote", "a", "0.8.2+g1a2b3c4"], "POST", "/promote/a", {"version": "0.8.2+g1a2b3c4"}),
    (
        ["promote", "a", "--hotfix", "--reset-burn-in", "--force", "--override-freeze", "-m", "why"],
        "POST",
        "/promote/a",
        {"hotfix": True, "reset_burn_in": True, "force": True, "override_freeze": True, "reason": "why"},
    ),
    (
        ["rollback", "a", "0.8.1", "--abort-running"],
        "POST",
        "/rollback/a",
        {"version": "0.8.1", "abort_running": True},
    ),
    (["rebuild"], "POST", "/rebuild", {}),
    (["rebuild", "1a2b3c4", "--force"], "POST", "/rebuild", {"sha": "1a2b3c4", "force": True}),
    (["backup"], "POST", "/backup/fetch", {}),
    (["gate", "run", "a", "boot_smoke"], "POST", "/gates/a/boot_smoke/run", {}),
    (["abort", "44", "-m", "wrong one"], "POST", "/operations/44/abort", {"reason": "wrong one"}),
]


@pytest.mark.parametrize(("words", "method", "path", "body"), SENT, ids=[" ".join(w[0]) for w in SENT])
def test_each_act_sends_what_was_said_and_nothing_else(puppet, run, words, method, path, body):
    puppet.answers[method, path] = Answer(202, an_operation())
    ran = run(*words)
    assert ran.code == 0
    (asked,) = puppet.asked
    assert (asked.method, asked.path, asked.query, asked.body or {}) == (method, path, {}, body)
    assert len(asked.headers["idempotency-key"]) == 32


@pytest.mark.parametrize(("status", "code"), [("succeeded", 0), ("failed", 1), ("interrupted", 1)])
def test_a_rollback_that_stops_a_promotion_ends_as_the_rollback_does(puppet, run, status, code):
    waits = an_operation(id=45, kind="rollback", status="queued", step="waiting")
    puppet.answers["POST", "/rollback/a"] = Answer(202, waits | {"code": "aborting"})
    puppet.answers["GET", "/operations/45"] = Answer(200, done(id=45, kind="rollback", status=status))
    puppet.answers["GET", "/events"] = Answer(200, {"events": [], "seq": 1})
    ran = run("rollback", "a", "--abort-running", "--wait")
    assert ran.code == code
    assert "it begins when the promotion that runs has been stopped" in ran.err


def test_nobody_is_told_to_abort_a_rollback(puppet, run):
    puppet.answers["POST", "/rollback/a"] = Answer(202, an_operation(kind="rollback"))
    assert "sando wait 44" in (ran := run("rollback", "a")).err
    assert "sando abort" not in ran.err


def test_what_was_started_is_said_with_the_ways_to_go_on(puppet, run):
    puppet.answers["POST", "/promote/a"] = Answer(202, an_operation())
    ran = run("promote", "a")
    assert ran.out == "promote 44 of 0.8.2 to a: running\n"
    assert "sando wait 44" in ran.err
    assert "sando abort 44" in ran.err


def test_an_abort_says_that_it_was_asked_for_and_names_no_second_one(puppet, run):
    puppet.answers["POST", "/operations/44/abort"] = Answer(202, an_operation(details={"abort": "max"}))
    ran = run("abort", "44")
    assert ran.out.startswith("promote 44 of 0.8.2 to a: told to stop by max: it ends at the next node")
    assert "sando wait 44" in ran.err
    assert "sando abort" not in ran.err


def test_what_was_found_is_said(puppet, run):
    puppet.answers["POST", "/rebuild"] = Answer(200, done(kind="build") | {"code": "already_built"})
    ran = run("rebuild")
    assert ran.code == 0
    assert "it was built, and is green, already" in ran.err


def test_bytes_that_are_no_text_are_sent_as_what_stands_for_them(puppet, run):
    puppet.answers["POST", "/promote/a"] = Answer(202, an_operation())
    assert run("promote", "a", "-m", "caf\udce9").code == 0
    assert puppet.asked[0].body == {"reason": "caf\ufffd"}


def test_each_act_has_a_key_of_its_own_unless_one_is_given(puppet, run):
    puppet.answers["POST", "/promote/a"] = Answer(202, an_operation())
    for words in ([], [], ["--key", "job-7"]):
        run("promote", "a", *words)
    first, second, third = (a.headers["idempotency-key"] for a in puppet.asked)
    assert first != second
    assert third == "job-7"


def test_a_lost_answer_is_asked_for_again_under_the_same_key(puppet, run):
    answers = [Answer(hang_up=True), refused(409, "request_in_progress"), Answer(202, an_operation())]
    puppet.answers["POST", "/promote/a"] = lambda _: answers.pop(0)
    ran = run("promote", "a", "--json")
    assert (ran.code, ran.document["id"]) == (0, 44)
    assert "it was sent, and not answered" in ran.err
    assert len({a.headers["idempotency-key"] for a in puppet.asked}) == 1
    assert len(puppet.asked) == 3


def test_who_never_answers_leaves_it_open_and_that_is_said(puppet, run):
    puppet.answers["POST", "/promote/a"] = Answer(hang_up=True)
    ran = run("promote", "a", "--key", "job-7", "--json")
    assert (ran.code, ran.document["code"]) == (6, "outcome_unknown")
    assert "it was sent, and may have been done: see `sando status`" in ran.err
    assert "with --key job-7 it can be sent again and acts once" in ran.err


def test_who_is_gone_after_it_was_sent_leaves_it_open_too(puppet, run):
    def die(_):
        puppet.stop()
        return Answer(hang_up=True)

    puppet.answers["POST", "/promote/a"] = die
    ran = run("promote", "a")
    assert ran.code == 6
    assert "it may have been done" in ran.err.replace("and may", "it may")


def test_who_was_never_there_got_nothing(puppet, run):
    puppet.stop()
    ran = run("promote", "a")
    assert ran.code == 6
    assert "sent" not in ran.err


# -- what a rollback means -----------------------------------------------------------------------------------

BACK = {"act": "rollback", "source": None, "from": "0.8.2", "to": "0.8.1", "marks_bad": "0.8.2"}
BUSY = {"ready": False, "status": 409, "code": "tier_busy", "detail": "rollback 43 runs on tier a"}
STARTED = Answer(202, an_operation(kind="rollback", version="0.8.1"))


PROMOTING = BUSY | {"whole": True, "from": "0.8.3", "to": "0.8.2"}


@pytest.mark.parametrize(
    ("more", "version"),
    [({}, "0.8.1"), (BUSY, "0.8.2"), (PROMOTING, "0.8.2")],
    ids=["free", "a rollback runs", "a promotion runs"],
)
def test_a_rollback_that_asks_nobody_names_a_version_so_that_two_step_back_once(puppet, run, more, version):
    puppet.answers["GET", "/plan/rollback/a"] = Answer(body=a_plan(**BACK | more))
    puppet.answers["POST", "/rollback/a"] = STARTED
    assert run("rollback", "a", "--abort-running", "-m", "slow").code == 0
    planned, acted = puppet.asked
    assert planned.query == {"abort_running": "1", "reason": "slow"}
    assert acted.body == {"version": version, "abort_running": True, "reason": "slow"}


NO_PLAN = {
    "away for a moment": refused(503, "restarting"),
    "hung up": Answer(hang_up=True),
    "nowhere to go": Answer(
        body=a_plan(**BACK | {"to": None, "ready": False, "code": "no_previous_version"})
    ),
}


@pytest.mark.parametrize("plan", NO_PLAN.values(), ids=NO_PLAN)
def test_a_rollback_without_a_plan_is_answered_by_the_act_itself(puppet, run, plan):
    puppet.answers["GET", "/plan/rollback/a"] = plan
    puppet.answers["POST", "/rollback/a"] = refused(409, "no_previous_version")
    ran = run("rollback", "a", "--yes")
    assert (ran.code, "no_previous_version is so" in ran.err) == (3, True)
    assert not puppet.asked[-1].body


def test_under_a_key_of_a_job_a_rollback_is_the_same_request_however_often_it_comes(puppet, run):
    puppet.answers["GET", "/plan/rollback/a"] = Answer(body=a_plan(**BACK))
    puppet.answers["POST", "/rollback/a"] = STARTED
    assert run("rollback", "a", "--key", "job-7").code == 0
    assert [(a.method, a.body or {}) for a in puppet.asked] == [("POST", {})]


# -- questions -----------------------------------------------------------------------------------------------


@pytest.fixture
def person(monkeypatch):
    """Somebody at a terminal, who answers this."""
    answers: list[str] = []
    monkeypatch.setattr(asking, "on_terminal", lambda: True)
    monkeypatch.setattr("sys.stdin.readline", lambda: answers.pop(0), raising=False)
    return answers


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "no\n", "ja\n", "yy\n", "y es\n"])
def test_all_but_a_yes_is_a_no(puppet, run, person, answer):
    person.append(answer)
    puppet.answers["GET", "/plan/promote/a"] = Answer(body=a_plan())
    ran = run("promote", "a")
    assert ran.code == 1
    assert "nothing was done" in ran.err
    assert [a.method for a in puppet.asked] == ["GET"]


@pytest.mark.parametrize("answer", ["y\n", "Yes\n", " y \n"])
def test_a_yes_sends_the_version_that_the_question_has_shown(puppet, run, person, answer):
    person.append(answer)
    puppet.answers["GET", "/plan/promote/a"] = Answer(body=a_plan())
    puppet.answers["POST", "/promote/a"] = Answer(202, an_operation())
    ran = run("promote", "a", "--hotfix")
    assert ran.code == 0
    for words in ("0.8.1 → 0.8.2   from tier mm", "a-1: 0.8.1, switches, the release is sent first", "1a2b3c4 Max: faster",
                  "0042_more.sql", "0.8.1 runs on", "Promote 0.8.2 into tier a (with --hotfix)? [y/N]"):  # fmt: skip
        assert words in ran.err
    assert puppet.asked[0].query == {"hotfix": "1"}
    assert puppet.asked[1].body == {"version": "0.8.2", "hotfix": True}


def test_what_is_blocked_is_not_even_asked(puppet, run, person):
    checks = [{"check": "gate:burn_in", "verdict": "blocked", "detail": "3h of 24h", "clears": "hotfix"}]
    plan = a_plan(
        ready=False,
        status=409,
        code="gates_not_passed",
        detail="not yet",
        hint="clears by hotfix",
        checks=checks,
    )
    puppet.answers["GET", "/plan/promote/a"] = Answer(body=plan)
    ran = run("promote", "a")
    assert ran.code == 3
    assert "sando: not yet\n  blocked  burn_in: 3h of 24h" in ran.err
    assert [a.method for a in puppet.asked] == ["GET"]


def test_a_rollback_says_what_happens_where_the_promotion_that_it_stops_is_quicker(puppet, run, person):
    person.append("n\n")
    puppet.answers["GET", "/plan/rollback/a"] = Answer(body=a_plan(act="rollback", whole=True, operation=7))
    ran = run("rollback", "a", "--abort-running")
    assert "this makes the tier whole; it does not step back yet" in ran.err
    assert "if promote 7 succeeds before it is stopped, this steps back from it and marks it bad" in " ".join(
        ran.err.split()
    )


def test_a_rollback_asks_with_what_is_taken_back(puppet, run, person):
    person.append("y\n")
    plan = a_plan(act="rollback", source=None, to="0.8.1", marks_bad="0.8.2", **{"from": "0.8.2"},
                  migrations_back=["0042_more.sql"])  # fmt: skip
    puppet.answers["GET", "/plan/rollback/a"] = Answer(body=plan)
    puppet.answers["POST", "/rollback/a"] = Answer(202, an_operation(kind="rollback"))
    ran = run("rollback", "a")
    assert ran.code == 0
    assert "Roll back tier a to 0.8.1?" in ran.err
    assert "0.8.2 is marked bad here" in ran.err
    assert puppet.asked[1].body == {"version": "0.8.1"}


@pytest.mark.parametrize(
    ("release", "code", "told"),
    [
        (refused(404, "unknown_version"), 2, "unknown_version is so"),
        (Answer(body={"version": "0.8.1"}), 3, "not_rollbackable is so"),
        (refused(503, "starting"), 3, "not_rollbackable is so"),
        (Answer(hang_up=True), 3, "not_rollbackable is so"),
    ],
    ids=["unknown", "not in the history", "nobody can say", "away"],
)
def test_a_rollback_to_a_version_that_is_no_release_is_a_wrong_name(puppet, run, release, code, told):
    puppet.answers["POST", "/rollback/a"] = refused(409, "not_rollbackable")
    puppet.answers["GET", "/releases/0.8.1"] = release
    ran = run("rollback", "a", "0.8.1")
    assert ran.code == code
    assert told in ran.err
    assert (puppet.asked[0].method, puppet.asked[0].path) == ("POST", "/rollback/a")


def test_an_abort_names_what_it_would_stop(puppet, run, person):
    person.append("\n")
    puppet.answers["GET", "/operations/44"] = Answer(
        body=an_operation(nodes=[{"name": "a-1", "status": "ok"}])
    )
    ran = run("abort", "44")
    assert ran.code == 1
    assert "promote 44 of 0.8.2 to a by max is running" in ran.err
    assert "Abort promote 44 of 0.8.2 to a?" in ran.err
    assert [a.method for a in puppet.asked] == ["GET"]


@pytest.mark.parametrize(
    "words", [["promote", "a", "--yes"], ["rollback", "a", "0.8.1", "-y"], ["abort", "44", "--yes"]]
)
def test_with_yes_nothing_is_asked(puppet, run, person, words):
    for path in ("/promote/a", "/rollback/a", "/operations/44/abort"):
        puppet.answers["POST", path] = Answer(202, an_operation())
    assert run(*words).code == 0
    assert [a.method for a in puppet.asked] == ["POST"]


# -- people and locks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["confirm", "reject"])
def test_a_word_is_on_the_version_that_is_current_now(puppet, run, verb):
    told = {"version": "0.8.2", "gate": "manual_confirm", "outcome": "passed", "actor": "max"}
    puppet.answers["POST", f"/{verb}/a"] = Answer(body=told)
    ran = run(verb, "a", "-m", "looks good")
    assert (ran.code, ran.out) == (0, "tier a, 0.8.2: manual_confirm passed, by max\n")
    assert puppet.asked[-1].body == {"version": "0.8.2", "reason": "looks good"}


def test_a_yes_that_is_not_the_last_one_says_how_many_there_are(puppet, run):
    told = {
        "version": "0.8.2",
        "gate": "manual_confirm",
        "outcome": "pending",
        "actor": "max",
        "message": "1 of 2 approvals",
    }
    puppet.answers["POST", "/confirm/a"] = Answer(body=told)
    assert run("confirm", "a").out == "tier a, 0.8.2: manual_confirm pending, by max: 1 of 2 approvals\n"


def test_a_word_on_a_version_that_is_named_needs_no_look(puppet, run):
    puppet.answers["POST", "/confirm/a"] = refused(412, "not_current")
    assert run("confirm", "a", "0.8.1").code == 3
    assert [a.path for a in puppet.asked] == ["/confirm/a"]


def test_a_word_on_a_tier_that_is_not_there_is_a_2(run, puppet):
    ran = run("confirm", "b")
    assert ran.code == 2
    assert [a.method for a in puppet.asked] == ["GET"]


def test_a_lock_has_a_reason_and_an_end_with_a_zone(puppet, run):
    puppet.answers["POST", "/lock/all"] = Answer(body={"locked": ["a", "b"]})
    ran = run("lock", "all", "-m", "audit", "--expires", "2026-11-24T18:00+01:00")
    assert ran.out.startswith("locked: a, b until ")
    assert puppet.asked[-1].body == {"reason": "audit", "expires": "2026-11-24T18:00:00+01:00"}


@pytest.mark.parametrize(
    ("said", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("2h", 7200), ("1.5h", 5400), ("1d", 86400)]
)
def test_a_lock_may_end_after_a_while(puppet, run, said, seconds):
    from datetime import UTC, datetime, timedelta

    puppet.answers["POST", "/lock/a"] = Answer(body={"locked": ["a"]})
    before = datetime.now(UTC)
    run("lock", "a", "-m", "audit", "--expires", said)
    until = datetime.fromisoformat(puppet.asked[-1].body["expires"])
    assert timedelta(seconds=seconds - 1) <= until - before < timedelta(seconds=seconds + 60)


@pytest.mark.parametrize(
    "said", ["tomorrow", "", "2026-13-01", "2w", "-1h", "99999999999d", "2026-11-27 10h"]
)
def test_an_end_that_cannot_be_read_is_refused_with_the_forms_that_can(puppet, run, said):
    ran = run("lock", "a", "-m", "audit", "--expires", said)
    assert ran.code == 2
    assert (
        f"{said!r} is no end of a lock; write how long (30m, 2h, 1d) or when (2026-11-27T10:00:00Z)"
        in ran.err
    )
    assert not puppet.asked


@pytest.mark.parametrize(("lifted", "said"), [(["a"], "unlocked: a\n"), ([], "nothing was locked\n")])
def test_unlocking_says_what_was_locked(puppet, run, lifted, said):
    puppet.answers["DELETE", "/lock/a"] = Answer(body={"unlocked": lifted})
    assert run("unlock", "a").out == said
