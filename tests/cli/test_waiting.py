"""Waiting for an end: each step is told once, whatever happens to sandod meanwhile."""

import msgspec
import pytest

from sando.cli import waiting
from sando.cli.progress import reached
from sando.cli.waiting import StillRunning, Watch
from sando.client.caller import Refused, Unreachable
from sando.client.shapes import Operation, Problem
from tests.cli.samples import an_operation, done
from tests.client.puppet import Answer, an_event


def of(**more) -> Operation:
    return msgspec.convert(an_operation(**more), Operation)


class Script:
    """A daemon that answers this, one after the other; an exception is raised. The clock runs as it is slept and asked."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers)
        self.now = 0.0
        self.told: list[str] = []

    def operation(self, number, seconds):
        self.now += seconds
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def line(self, *pieces):
        self.told.append("".join(p.text for p in pieces))

    def far(self, operation):
        pass

    def sleep(self, seconds):
        self.now += seconds

    def watch(self, timeout=None) -> Operation:
        return Watch(self, self, None, lambda: self.now, self.sleep).watch(of(), timeout)


NODES = [
    {"name": "a-1", "status": "ok", "version": "0.8.2"},
    {"name": "a-2", "status": "failed", "detail": "sick\nvery"},
]
AWAY = Unreachable("nothing listens there")


def test_each_step_and_node_is_told_once():
    script = Script(
        of(),
        of(step="upload"),
        of(step="upload"),
        of(step="switch", nodes=NODES),
        msgspec.convert(done(nodes=NODES), Operation),
    )
    assert script.watch().status == "succeeded"
    assert script.told == [
        "promote 44 of 0.8.2 to a runs", "preflight", "upload", "switch", "node a-1 ok (0.8.2)", "node a-2 failed: sick",
    ]  # fmt: skip


def test_a_restart_of_sandod_is_waited_for_and_told_once():
    draining = Refused(Problem(503, "draining", "sandod is stopping"))
    script = Script(of(), draining, AWAY, AWAY, of(step="switch"), msgspec.convert(done(), Operation))
    assert script.watch().status == "succeeded"
    assert script.told[2:] == [
        "sandod is away (sandod is stopping); waiting for it",
        "sandod is back",
        "switch",
    ]


def test_a_sandod_that_stays_away_is_given_up():
    script = Script(of(), AWAY)
    with pytest.raises(Unreachable):
        script.watch()
    assert waiting.AWAY_S < script.now < waiting.AWAY_S + 10


def test_a_refusal_that_no_restart_explains_ends_the_wait():
    script = Script(Refused(Problem(401, "auth_required", "the token is unknown")))
    with pytest.raises(Refused):
        script.watch()


@pytest.mark.parametrize("answers", [[of()], [AWAY]])
def test_the_time_may_be_over_before_the_operation_is(answers):
    script = Script(*answers)
    with pytest.raises(StillRunning, match="still runs; sando wait 44 goes on watching it"):
        script.watch(timeout=30)
    assert 30 <= script.now < 32


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            {"nodes": [{"name": "a-1", "status": "ok"}, {"name": "a-2", "status": "pending"}]},
            (1, 2, "1 of 2 nodes"),
        ),
        ({"details": {"bytes": 2048, "of": 4096}}, (2048, 4096, "2.0 KiB of 4.0 KiB")),
        ({"details": {"bytes": 2048, "of": None}}, (0, None, "2.0 KiB")),
        ({}, (0, None, "")),
    ],
)
def test_a_bar_is_as_long_as_what_is_done(more, expected):
    assert reached(of(**more)) == expected


def test_a_build_that_was_interrupted_is_followed_into_the_next(puppet, run):
    first, second = done("interrupted", kind="build"), done(number=45, kind="build", details={"again": 44})
    puppet.answers["GET", "/operations/44"] = Answer(body=first)
    puppet.answers["GET", "/operations/45"] = Answer(body=second)
    puppet.answers["GET", "/operations"] = Answer(body={"operations": [second, first], "next": None})
    puppet.answers["POST", "/rebuild"] = Answer(202, an_operation(kind="build"))
    puppet.answers["GET", "/events"] = Answer(body={"events": [], "seq": 0})
    ran = run("rebuild", "--wait", "--json")
    assert (ran.code, ran.document["id"]) == (0, 45)
    assert "build 44 of 0.8.2 was interrupted; build 45 of 0.8.2 does it again" in ran.err


# -- the command ---------------------------------------------------------------------------------------------


def test_promote_wait_tells_steps_on_stderr_and_the_end_on_stdout(puppet, run):
    answers = [an_operation(step="upload"), done(nodes=NODES[:1])]
    puppet.log.append(an_event(1, operation=44))  # long ago
    puppet.answers["POST", "/promote/a"] = Answer(202, an_operation())
    puppet.answers["GET", "/operations/44"] = lambda _: Answer(body=answers.pop(0))
    gate = an_event(
        2, operation=44, data={"gate": "boot_smoke", "outcome": "passed", "seconds": 3.2, "message": ""}
    )
    puppet.answers["GET", "/events"] = lambda asked: Answer(
        body={"events": [e for e in (gate,) if e["seq"] > int(asked.query["since"])], "seq": 2}
    )
    ran = run("promote", "a", "--wait")
    assert (ran.code, ran.out) == (0, "promote 44 of 0.8.2 to a: succeeded in 3.2s\n")
    assert ran.err.splitlines() == [
        "  promote 44 of 0.8.2 to a runs", "  preflight", "  gate boot_smoke passed in 3.2s", "  upload", "  node a-1 ok (0.8.2)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("end", "code"),
    [(done(), 0), (done("failed", error="a-1: probe: red\nlast line"), 1), (done("errored"), 1), (done("superseded", superseded_by=45), 1),
     (done("failed", rolled_back=True), 5)],
)  # fmt: skip
def test_the_end_is_the_exit_code_and_with_json_the_document(puppet, run, end, code):
    puppet.answers["POST", "/promote/a"] = Answer(202, end)
    puppet.answers["GET", "/operations/44"] = Answer(body=end)
    puppet.answers["GET", "/events"] = Answer(body={"events": [], "seq": 0})
    ran = run("promote", "a", "--wait", "--json")
    assert (ran.code, ran.document["status"]) == (code, end["status"])
    if end["error"]:
        assert ran.err.endswith("sando: a-1: probe: red\n  last line\n  sando log 44 shows its output\n")


def test_a_timeout_waits_and_says_how_to_go_on(puppet, run):
    puppet.answers["POST", "/promote/a"] = Answer(202, an_operation())
    puppet.answers["GET", "/operations/44"] = Answer(body=an_operation())
    puppet.answers["GET", "/events"] = Answer(body={"events": [], "seq": 0})
    ran = run("promote", "a", "--timeout", "0.1", "--json")
    assert (ran.code, ran.document["status"]) == (1, "running")
    assert "sando wait 44 goes on watching it" in ran.err


@pytest.mark.parametrize(
    ("end", "code"), [(done("aborted"), 0), (done("aborted", rolled_back=True), 0), (done(), 1)]
)
def test_an_abort_that_stopped_it_is_done(puppet, run, end, code):
    puppet.answers["POST", "/operations/44/abort"] = Answer(202, an_operation())
    puppet.answers["GET", "/operations/44"] = Answer(body=end)
    puppet.answers["GET", "/events"] = Answer(body={"events": [], "seq": 0})
    assert run("abort", "44", "--wait").code == code


def test_wait_takes_up_what_was_left(puppet, run):
    puppet.answers["GET", "/operations/44"] = Answer(body=done("failed", rolled_back=True))
    ran = run("wait", "44")
    assert (ran.code, ran.out) == (5, "promote 44 of 0.8.2 to a: failed, rolled back in 3.2s\n")
