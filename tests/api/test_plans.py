"""GET /plan: from the query to the message, from the answer to the response; and what is known of a way back."""

import pytest

from actors import messages as m
from sando.model.answers import Refusal, Told, holds
from sando.model.forecast import bare
from tests.api.room import Room, a_release

WISHES = [
    ("/plan/promote/b", m.Promote("b")),
    ("/plan/promote/b?version=0.8.2", m.Promote("b", "0.8.2")),
    ("/plan/promote/b?version=0.8.2%2Bg1a2b3c4", m.Promote("b", "0.8.2+g1a2b3c4")),
    ("/plan/promote/b?version=0.8.2+g1a2b3c4", m.Promote("b", "0.8.2+g1a2b3c4")),
    ("/plan/promote/b?hotfix=1&reset_burn_in=true", m.Promote("b", hotfix=True, reset_burn_in=True)),
    ("/plan/promote/b?hotfix=0&force=1", m.Promote("b", force=True)),
    ("/plan/promote/b?override_freeze=1&reason=fire", m.Promote("b", override_freeze=True, reason="fire")),
    ("/plan/rollback/b", m.Rollback("b")),
    ("/plan/rollback/b?version=0.8.1&force=1", m.Rollback("b", "0.8.1", force=True)),
    ("/plan/rollback/b?abort_running=1", m.Rollback("b", abort_running=True)),
]


@pytest.mark.parametrize("path, wish", WISHES)
def test_a_plan_asks_for_what_the_act_would_be_given(room: Room, path, wish):
    answer = room.client.simulate_get(path)
    assert (answer.status_code, answer.json["ready"], answer.json["to"]) == (200, True, wish.version)
    assert room.told == [m.Plan(wish)]


@pytest.mark.parametrize(
    "path, field",
    [
        ("/plan/promote/b?hotfx=1", "hotfx"),
        ("/plan/promote/b?abort_running=1", "abort_running"),
        ("/plan/rollback/b?hotfix=1", "hotfix"),
        ("/plan/promote/b?hotfix=yes", "hotfix"),
        ("/plan/promote/b?force=", "force"),
        ("/plan/promote/b?force=1&force=0", "force"),
        ("/plan/promote/b?version=", "version"),
        ("/plan/promote/b?version=../x", "version"),
        ("/plan/rollback/b?version=0.8.1&version=0.8.2", "version"),
        ("/plan/promote/b?reason=" + "x" * 1001, "reason"),
        ("/plan/promote/b?%1b[2J=1", "\\x1b[2J"),
    ],
)
def test_a_query_that_the_act_would_not_take_is_422_and_asks_nobody(room: Room, path, field):
    answer = room.client.simulate_get(path)
    assert (answer.status_code, answer.json["code"]) == (422, "bad_field")
    assert answer.json["detail"].startswith(f"{field}: ")
    assert room.told == []


@pytest.mark.parametrize("path", ["/plan/promote/B", "/plan/rollback/all", "/plan/promote/-x"])
def test_a_name_that_no_tier_can_have_is_404(room: Room, path):
    answer = room.client.simulate_get(path)
    assert (answer.status_code, answer.json["code"], room.told) == (404, "unknown_tier", [])


def test_what_cannot_be_planned_is_a_problem_like_any_other(room: Room):
    room.answer = Refusal(404, "unknown_tier", "no tier is called x", "there are mm, a")
    answer = room.client.simulate_get("/plan/promote/x")
    assert (answer.status_code, answer.json["code"]) == (404, "unknown_tier")
    assert answer.headers["content-type"] == "application/problem+json"


def test_no_answer_from_inside_says_that_a_plan_changes_nothing(room: Room):
    room.answer = None
    answer = room.client.simulate_get("/plan/rollback/b")
    assert (answer.status_code, answer.json["code"]) == (503, "outcome_unknown")
    assert "changes nothing" in answer.json["detail"]


def test_half_a_surrogate_in_a_plan_breaks_no_answer(room: Room):
    room.answer = Told(bare("promote", "b", holds("marks", "x\ud800y")))
    (check,) = room.client.simulate_get("/plan/promote/b").json["checks"]
    assert check["detail"] == "x?y"


@pytest.mark.parametrize("path", ["/plan/promote/b", "/plan/rollback/b"])
def test_a_plan_is_only_asked_for(room: Room, path):
    answer = room.client.simulate_post(path)
    assert (answer.status_code, answer.headers["allow"], room.told) == (405, "GET, HEAD, OPTIONS", [])


def test_a_release_tells_what_is_known_of_the_way_back_from_it(room: Room):
    room.store.kept_releases = [a_release("0.8.1"), a_release("0.8.2")]
    room.store.kept_safety = {("0.8.2", "0.8.1"): "no", ("0.8.1", "0.8.0"): "yes"}
    assert room.client.simulate_get("/releases/0.8.2").json["rollback_safe"] == {"0.8.1": "no"}
    assert room.client.simulate_get("/releases/0.8.1").json["rollback_safe"] == {"0.8.0": "yes"}
