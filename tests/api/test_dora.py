"""GET /dora over HTTP: the window, the tiers, and the numbers of what the real actors have done."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.api.house import House
from tests.api.room import NOON, Room
from tests.factories import tier, topology


@pytest.mark.parametrize(("query", "days"), [("", 30), ("?days=1", 1), ("?days=3650", 3650)])
def test_the_window_ends_now_and_has_as_many_days_as_are_asked_for(room: Room, query: str, days: int) -> None:
    answer = room.client.simulate_get(f"/dora{query}")
    assert (answer.status_code, answer.json["days"]) == (200, days)
    ((_, since, until, asked),) = room.store.asked_dora
    assert (since, until, asked) == (NOON - timedelta(days=days), NOON, days)


@pytest.mark.parametrize("days", ["0", "3651", "-1", "1.5", "", "NaN", "x", "9" * 30])
def test_a_window_that_is_none_is_422(room: Room, days: str) -> None:
    answer = room.client.simulate_get("/dora", params={"days": days})
    assert (answer.status_code, answer.json["code"]) == (422, "bad_field")
    assert answer.json["detail"].startswith("days: ")


def test_every_tier_that_is_promoted_to_is_there_in_the_order_of_the_file(tmp_path: Path) -> None:
    house = House(tmp_path)
    told = house.get("/dora").json
    assert [t["name"] for t in told["tiers"]] == ["a", "b", "c"], "neither mm nor what is not provisioned"
    first = told["tiers"][0]
    assert (first["lead_time"], first["change_fail_rate"]["rate"]) == (
        {"count": 0, "median_s": None, "p90_s": None}, None,
    )  # fmt: skip


def test_what_was_promoted_failed_and_rolled_back_is_counted_exactly(tmp_path: Path) -> None:
    house = House(tmp_path, topology(tier("a", 1)))
    house.on("a", "1.0")
    house.green("1.1")
    house.stage.clock.advance(3600)
    house.bring("a", "1.1")
    house.stage.clock.advance(600)
    assert house.post("/rollback/a?wait=1").status_code == 200
    (told,) = house.get("/dora?days=10").json["tiers"]
    assert told["deploys"]["succeeded"] == told["deploy_frequency"]["count"] == 2
    assert told["deploy_frequency"]["per_day"] == 0.2
    assert (told["lead_time"]["count"], told["lead_time"]["p90_s"]) == (2, 3600.0)
    assert told["change_fail_rate"] == {"count": 1, "of": 2, "rate": 0.5}
    assert told["time_to_restore"] == {"count": 1, "open": 0, "median_s": 600.0, "p90_s": 600.0}
    assert told["rollbacks"] == 1
    house.stage.clock.advance(11 * 86400)
    (later,) = house.get("/dora?days=10").json["tiers"]
    assert later["deploys"]["succeeded"] == later["rollbacks"] == 0
