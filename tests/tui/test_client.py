"""The threads that ask for the screen, against a daemon that is well, away, back, slow, another one, or says no."""

import json
import threading

import pytest

from sando.client import events as wire
from sando.client.address import parse
from tests.client.puppet import Answer, a_tier, problem
from tests.system.sandod import until
from tui.client import errands, hearer, poller, reader
from tui.client.crew import Crew
from tui.model.effects import AskHistory, AskOperation, AskOutcome, AskPlan, FollowLog, Refresh, Send, StopLog
from tui.model.messages import (
    Answered,
    Arrived,
    Broken,
    Feed,
    Heard,
    HistoryPage,
    LogMore,
    Lost,
    Outcome,
    Planned,
)

OPERATION = {
    "id": 44, "kind": "promote", "tier": "a", "version": "0.8.2", "sha": None, "actor": "max", "reason": "", "status": "running",
    "step": "upload", "nodes": [], "created_at": "2026-11-23T12:00:00.000Z", "started_at": None, "finished_at": None, "error": None,
}  # fmt: skip


class Ear:
    """Keeps what is posted, from whatever thread."""

    def __init__(self) -> None:
        self.heard: list = []

    def __call__(self, message) -> None:
        self.heard.append(message)

    def of(self, kind: type) -> list:
        return [m for m in list(self.heard) if isinstance(m, kind)]

    def wait(self, kind: type, count: int = 1, **fields):
        """The one that makes it so many of that kind, with these fields."""

        def found():
            fit = [m for m in self.of(kind) if all(getattr(m, k) == v for k, v in fields.items())]
            return fit[count - 1] if len(fit) >= count else None

        return until(found, 20, f"for {kind.__name__} {fields}; there were {self.heard[-20:]}")

    @property
    def seqs(self) -> list[int]:
        return [e.seq for m in self.of(Heard) for e in m.events]


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def crew(puppet, ear, monkeypatch):
    """Impatient, so that what takes seconds for people takes none here."""
    for module, name, value in [
        (poller, "EVERY_S", 0.1), (poller, "AT_MOST_EVERY_S", 0.01), (poller, "SLOWEST_S", 0.2), (poller, "REFUSED_S", 0.2),
        (hearer, "SLOWEST_S", 0.1), (reader, "LOOK_S", 0.02), (reader, "RETRY_S", 0.05),
    ]:  # fmt: skip
        monkeypatch.setattr(module, name, value)
    made = Crew(parse(puppet.url, "s3cret"), ear)
    yield made
    made.stop()
    assert ear.of(Broken) == []


# -- the state ------------------------------------------------------------------------------------------------------


def test_the_state_is_asked_for_again_and_again_and_not_sent_again_while_it_is_the_same(crew, puppet, ear):
    puppet.answers["GET", "/state"] = lambda asked: (
        Answer(304, raw=b"")
        if asked.headers.get("if-none-match") == '"7"'
        else Answer(body=puppet.state(), headers={"ETag": '"7"'})
    )
    crew.start()
    first = ear.wait(Arrived)
    assert [t.name for t in first.state.tiers] == ["mm", "a"]
    ear.wait(Arrived, 2, state=None)
    assert puppet.asked[0].headers["authorization"] == "Bearer s3cret"


def test_how_far_operations_are_is_told_with_the_state(crew, puppet, ear):
    puppet.tiers = [a_tier("mm"), a_tier("a", operation=44)]
    puppet.answers["GET", "/operations/44"] = Answer(body=OPERATION)
    crew.start()
    (operation,) = ear.wait(Arrived).operations
    assert (operation.id, operation.step) == (44, "upload")


def test_an_operation_that_cannot_be_read_is_left_out_and_the_state_is_told_all_the_same(crew, puppet, ear):
    puppet.tiers = [a_tier("mm", operation=43), a_tier("a", operation=44)]
    puppet.answers["GET", "/operations/43"] = Answer(body={"id": "x"})
    puppet.answers["GET", "/operations/44"] = Answer(body=OPERATION)
    crew.start()
    assert [o.id for o in ear.wait(Arrived, 2).operations] == [44]


def test_what_happens_is_followed_by_a_new_state_at_once(crew, puppet, ear, monkeypatch):
    monkeypatch.setattr(poller, "EVERY_S", 1000.0)
    crew.start()
    ear.wait(Feed, up=True)
    before = len(puppet.sent("GET", "/state"))
    puppet.happen()
    until(lambda: len(puppet.sent("GET", "/state")) > before)
    before = len(puppet.sent("GET", "/state"))
    crew.do(Refresh())
    until(lambda: len(puppet.sent("GET", "/state")) > before)


@pytest.mark.parametrize(
    ("answer", "detail", "refused"),
    [
        (problem(401, "auth_required", "a token is required"), "a token is required (401)", True),
        (problem(403, "host_not_allowed", "the Host is not one"), "the Host is not one (403)", True),
        (
            problem(503, "starting", "sandod has not read its store yet"),
            "sandod has not read its store yet (503)",
            False,
        ),
        (Answer(502, raw=b"<html>"), "status 502: <html> (502)", False),
        (Answer(raw=b"hello"), "what answers is not sandod", False),
        (Answer(body={"seq": "x"}), "what answers is not sandod", False),
        (Answer(hang_up=True), "the connection was closed", False),
    ],
)
def test_what_is_wrong_is_told_and_tried_again_until_it_is_right(crew, puppet, ear, answer, detail, refused):
    puppet.answers["GET", "/state"] = answer
    crew.start()
    lost = ear.wait(Lost)
    assert detail in lost.trouble.detail
    assert lost.trouble.refused == refused
    assert lost.trouble.answered == (isinstance(answer.body, dict) and "code" in answer.body)
    ear.wait(Lost, 2)
    assert ear.of(Arrived) == []
    del puppet.answers["GET", "/state"]
    ear.wait(Arrived)


def test_who_is_away_is_asked_ever_more_rarely_and_at_once_when_a_person_wants_it(
    crew, puppet, ear, monkeypatch
):
    monkeypatch.setattr(poller, "SLOWEST_S", 1000.0)
    puppet.stop()
    crew.start()
    waits = [ear.wait(Lost).retry_s]
    for n in range(2, 6):
        crew.do(Refresh())
        waits.append(ear.wait(Lost, n).retry_s)
    assert waits == sorted(waits)
    assert waits[-1] > 8
    puppet.start()
    crew.do(Refresh())
    ear.wait(Arrived)


# -- the events -----------------------------------------------------------------------------------------------------


def test_what_was_before_is_told_and_then_what_happens(crew, puppet, ear):
    puppet.happen(500)
    crew.start()
    ear.wait(Feed, up=True)
    puppet.happen(10)
    until(lambda: len(ear.seqs) >= 210)
    assert ear.seqs == list(range(301, 511))


def test_after_each_loss_the_events_go_on_where_they_ended(crew, puppet, ear):
    puppet.happen(3)
    crew.start()
    for n in range(1, 6):
        ear.wait(Feed, n, up=True)
        puppet.happen(7)
        until(lambda n=n: len(ear.seqs) >= 3 + 7 * n)
        puppet.cut()
        ear.wait(Feed, n, up=False)
    assert ear.seqs == list(range(1, 39))


def test_a_daemon_that_was_restarted_goes_on_where_it_ended_what_happened_meanwhile_included(
    crew, puppet, ear
):
    crew.start()
    ear.wait(Feed, up=True)
    puppet.happen(2)
    until(lambda: len(ear.seqs) == 2)
    puppet.stop()
    ear.wait(Lost)
    puppet.happen(5)
    puppet.start()
    ear.wait(Feed, 2, up=True)
    until(lambda: len(ear.seqs) == 7)
    assert ear.seqs == list(range(1, 8))


def test_a_daemon_that_is_back_is_heard_at_once_also_where_its_state_is_the_same(
    crew, puppet, ear, monkeypatch
):
    puppet.answers["GET", "/state"] = lambda asked: (
        Answer(304, raw=b"")
        if asked.headers.get("if-none-match") == '"7"'
        else Answer(body=puppet.state(), headers={"ETag": '"7"'})
    )
    crew.start()
    ear.wait(Feed, up=True)
    monkeypatch.setattr(hearer, "SLOWEST_S", 1000.0)
    monkeypatch.setattr(hearer, "FIRST_S", 1000.0)
    puppet.stop()
    ear.wait(Feed, up=False)
    ear.wait(Lost)
    puppet.start()
    ear.wait(Feed, 2, up=True)


def test_after_a_reset_the_events_go_on_from_its_place(crew, puppet, ear):
    puppet.happen(300)
    state = puppet.state()
    puppet.greeting = [json.dumps({"type": "Reset", "state": state})]
    crew.start()
    ear.wait(Heard)
    puppet.greeting = []
    puppet.cut()
    ear.wait(Feed, 2, up=True)
    puppet.happen()
    until(lambda: 301 in ear.seqs)
    assert [a.query["since"] for a in puppet.asked if a.path == "/events"] == ["100", "300"]


def test_why_no_events_come_is_told(crew, puppet, ear):
    puppet.answers["GET", "/events"] = problem(
        503, "too_many_streams", "too many clients wait or follow already"
    )
    crew.start()
    assert ear.wait(Feed, up=False).detail == "too many clients wait or follow already"
    assert ear.wait(Arrived).state


def test_a_daemon_that_falls_silent_is_left_and_found_again(crew, puppet, ear, monkeypatch):
    monkeypatch.setattr(wire, "SILENT_S", 0.1)
    crew.start()
    ear.wait(Feed, 3, up=True)
    assert "silent" in ear.wait(Feed, up=False).detail


# -- what is wanted -------------------------------------------------------------------------------------------------


@pytest.fixture
def working(crew):
    crew.start()
    return crew


def test_a_plan_is_asked_for_with_its_version_and_options(working, puppet, ear):
    plan = {
        "act": "promote",
        "tier": "b",
        "ready": True,
        "status": 202,
        "to": "0.8.2",
        "from": "0.8.1",
        "new_key": 1,
    }
    puppet.answers["GET", "/plan/promote/b"] = Answer(body=plan)
    working.do(AskPlan(7, "promote", "b", "0.8.2", ("hotfix",)))
    told = ear.wait(Planned)
    assert (told.number, told.options, told.plan.to, told.plan.from_) == (7, ("hotfix",), "0.8.2", "0.8.1")
    assert puppet.sent("GET", "/plan/promote/b")[0].query == {"version": "0.8.2", "hotfix": "1"}


def test_an_operation_and_a_page_of_history_are_asked_for(working, puppet, ear):
    puppet.answers["GET", "/operations/44"] = Answer(body=OPERATION)
    puppet.answers["GET", "/operations"] = Answer(body={"operations": [OPERATION], "next": 44})
    working.do(AskOperation(1, 44))
    working.do(AskHistory(2, "a", 50))
    assert ear.wait(Planned).operation.id == 44
    page = ear.wait(HistoryPage).page
    assert ([o.id for o in page.operations], page.next) == ([44], 44)
    assert puppet.sent("GET", "/operations")[0].query == {"tier": "a", "limit": "50", "cursor": "50"}


def test_how_an_operation_ended_is_asked_for(working, puppet, ear):
    puppet.answers["GET", "/operations/44"] = Answer(body=OPERATION | {"status": "failed"})
    puppet.answers["GET", "/operations/45"] = problem(404, "unknown_operation", "there is no operation 45")
    working.do(AskOutcome(44))
    assert ear.wait(Outcome, number=44).operation.status == "failed"
    working.do(AskOutcome(45))
    assert ear.wait(Outcome, number=45).problem.status == 404


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (problem(404, "unknown_tier", "no tier is called x", "GET /state"), "no tier is called x"),
        (Answer(raw=b"hello"), "what answers is not sandod, or another version of it"),
        (Answer(hang_up=True), "the connection was closed"),
    ],
)
def test_what_cannot_be_asked_says_why(working, puppet, ear, answer, detail):
    puppet.answers["GET", "/plan/promote/a"] = puppet.answers["GET", "/operations"] = answer
    working.do(AskPlan(1, "promote", "a"))
    working.do(AskHistory(2, "a"))
    assert detail in ear.wait(Planned).problem.detail
    assert detail in ear.wait(HistoryPage).trouble


@pytest.mark.parametrize(
    ("send", "body", "text"),
    [
        (Send(1, "POST", "/promote/a", {"version": "0.8.2"}), OPERATION, "promote 44 of 0.8.2: started"),
        (Send(1, "POST", "/operations/44/abort", {}), OPERATION, "promote 44 of 0.8.2: told to stop"),
        (Send(1, "POST", "/operations/44/abort", {}), OPERATION | {"status": "aborted"}, "promote 44 of 0.8.2: aborted"),
        (Send(1, "POST", "/backup/fetch", {}), OPERATION | {"kind": "backup", "version": None, "status": []}, "backup 44: []"),
        (Send(1, "POST", "/backup/fetch", {}), OPERATION | {"kind": "backup", "version": None, "code": "already_running"},
         "backup 44: already running"),
        (Send(1, "POST", "/rollback/a", {"abort_running": True}),
         OPERATION | {"kind": "rollback", "status": "queued", "details": {"after": 43}, "code": "aborting"},
         "rollback 44 of 0.8.2: waits for promote 43 to stop"),
        (Send(1, "POST", "/rebuild", {}), OPERATION | {"kind": "build", "version": None, "sha": "1a2b3c4d", "code": "already_built"},
         "build 44 of 1a2b3c4: already built"),
        (Send(1, "POST", "/confirm/a", {}), {"gate": "manual_confirm", "outcome": "passed", "version": "0.8.2", "tier": "a"},
         "0.8.2: manual_confirm passed"),
        (Send(1, "POST", "/confirm/a", {}), {"gate": "manual_confirm", "outcome": "pending", "version": "0.8.2", "tier": "a",
         "message": "1 of 2 approvals"}, "0.8.2: manual_confirm pending: 1 of 2 approvals"),
        (Send(1, "POST", "/lock/a", {"reason": "x"}), {"locked": ["a"], "actor": "max"}, "locked: a"),
        (Send(1, "DELETE", "/lock/a"), {"unlocked": []}, "unlocked: nothing was locked"),
        (Send(1, "POST", "/else", {}), {"x": 1}, "done (200)"),
    ],
)  # fmt: skip
def test_an_act_is_sent_once_and_its_answer_told_in_a_line(working, puppet, ear, send, body, text):
    puppet.answers[send.method, send.path] = Answer(body=body)
    working.do(send)
    told = ear.wait(Answered)
    assert (told.number, told.text, told.problem) == (1, text, None)
    assert (told.operation.id if told.operation else None) == (
        body.get("id") if body.get("status") != [] else None
    )
    assert [a.body for a in puppet.sent(send.method, send.path)] == [send.body]


def test_a_refusal_of_an_act_is_told_whole(working, puppet, ear):
    check = {
        "check": "gate:burn_in",
        "verdict": "blocked",
        "detail": "21h of 24h",
        "gate": "burn_in",
        "clears": "hotfix",
    }
    answer = problem(409, "gates_not_passed", "0.8.2 may not leave tier a", "clears by hotfix")
    puppet.answers["POST", "/promote/b"] = replace_body(answer, blocking=[check])
    working.do(Send(3, "POST", "/promote/b", {"version": "0.8.2"}))
    told = ear.wait(Answered)
    assert (told.number, told.unsure, told.problem.detail) == (3, False, "0.8.2 may not leave tier a")
    assert told.problem.blocking[0].detail == "21h of 24h"


def replace_body(answer: Answer, **more) -> Answer:
    return answer._replace(body=answer.body | more)


def test_an_act_without_an_answer_is_said_to_be_unsure_and_is_not_sent_again(working, puppet, ear):
    puppet.answers["POST", "/promote/a"] = Answer(hang_up=True)
    working.do(Send(1, "POST", "/promote/a", {}))
    told = ear.wait(Answered)
    assert told.unsure
    assert "may have been done" in told.problem.hint
    assert len(puppet.sent("POST", "/promote/a")) == 1


def test_an_act_for_which_nobody_is_there_was_not_sent(working, puppet, ear):
    puppet.stop()
    working.do(Send(1, "POST", "/promote/a", {}))
    told = ear.wait(Answered)
    assert (told.unsure, told.problem.hint) == (False, "nothing was sent")


def test_a_plan_that_takes_long_does_not_stand_before_an_act(working, puppet, ear):
    hold = threading.Event()
    puppet.answers["GET", "/plan/promote/a"] = Answer(body={}, hold=hold)
    puppet.answers["POST", "/rollback/a"] = Answer(202, OPERATION)
    working.do(AskPlan(1, "promote", "a"))
    until(lambda: puppet.sent("GET", "/plan/promote/a"))
    working.do(Send(2, "POST", "/rollback/a", {}))
    ear.wait(Answered)
    assert ear.of(Planned) == []
    hold.set()


# -- logs -----------------------------------------------------------------------------------------------------------


class Growing:
    """A log that grows while somebody reads it."""

    def __init__(self, puppet) -> None:
        self.data, self.ended = b"", False
        puppet.answers["GET", "/operations/44"] = lambda _: Answer(
            body=OPERATION | {"status": "succeeded" if self.ended else "running"}
        )
        puppet.answers["GET", "/operations/44/log"] = self.read

    def read(self, asked) -> Answer:
        data = self.data
        return Answer(raw=data[int(asked.query["offset"]) :], headers={"X-Next-Offset": str(len(data))})


def told(ear: Ear, number: int = 1) -> str:
    return "".join(m.text for m in ear.of(LogMore) if m.number == number)


def test_a_log_is_read_as_it_grows_and_to_its_end(working, puppet, ear):
    log = Growing(puppet)
    log.data = b"one\nzw"
    working.do(FollowLog(1, "a", 44))
    until(lambda: told(ear) == "one\nzw")
    log.data += "ö\nthree\n".encode()
    until(lambda: told(ear) == "one\nzwö\nthree\n")
    log.ended = True
    ear.wait(LogMore, complete=True)
    assert told(ear) == "one\nzwö\nthree\n"


def test_a_log_goes_on_where_it_was_when_the_daemon_comes_back(working, puppet, ear):
    log = Growing(puppet)
    log.data = b"one\n"
    working.do(FollowLog(1, "a", 44))
    until(lambda: told(ear) == "one\n")
    puppet.stop()
    until(lambda: [m for m in ear.of(LogMore) if "nothing listens" in m.trouble])
    log.data += b"two\n"
    puppet.start()
    until(lambda: told(ear) == "one\ntwo\n")


def test_the_log_of_a_tier_is_of_what_runs_there_else_of_the_last(working, puppet, ear):
    Growing(puppet).data = b"text\n"
    done = OPERATION | {"id": 45, "status": "failed"}
    puppet.answers["GET", "/operations"] = Answer(body={"operations": [done, OPERATION], "next": None})
    working.do(FollowLog(1, "a"))
    assert ear.wait(LogMore).operation.id == 44
    puppet.answers["GET", "/operations"] = Answer(body={"operations": [done], "next": None})
    puppet.answers["GET", "/operations/45"] = Answer(body=done)
    puppet.answers["GET", "/operations/45/log"] = Answer(raw=b"")
    working.do(FollowLog(2, "a"))
    assert ear.wait(LogMore, number=2).operation.id == 45


def test_a_tier_where_nothing_was_done_has_no_log(working, ear):
    working.do(FollowLog(1, "a"))
    assert ear.wait(LogMore).trouble == "nothing was ever done on tier a"


def test_a_log_that_is_closed_is_read_no_more(working, puppet, ear):
    Growing(puppet)
    working.do(FollowLog(1, "a", 44))
    ear.wait(LogMore)
    working.do(StopLog())
    asked = len(puppet.sent("GET", "/operations/44/log"))
    working.do(AskOperation(9, 44))
    ear.wait(Planned)
    before = len(ear.of(LogMore))
    puppet.happen()
    ear.wait(Heard)
    assert len(ear.of(LogMore)) <= before + 1
    assert len(puppet.sent("GET", "/operations/44/log")) <= asked + 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_log_that_may_not_be_read_says_why_and_is_not_asked_for_again(working, puppet, ear, status):
    Growing(puppet)
    puppet.answers["GET", "/operations/44/log"] = problem(status, "no", "not for you")
    working.do(FollowLog(1, "a", 44))
    assert ear.wait(LogMore).trouble == "not for you"


# -- when something breaks ------------------------------------------------------------------------------------------


def test_a_thread_that_fails_is_told_and_the_others_go_on(puppet, ear, monkeypatch):
    def fail(self, errand) -> None:
        raise KeyError(errand.number)

    monkeypatch.setattr(errands.Errands, "_do", fail)
    crew = Crew(parse(puppet.url), ear)
    crew.start()
    crew.do(AskOperation(1, 44))
    assert ear.wait(Broken).detail == "Errands: KeyError: 1"
    puppet.happen()
    ear.wait(Heard)
    crew.stop()
