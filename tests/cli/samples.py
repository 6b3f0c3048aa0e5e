"""Answers of a daemon, as the API gives them."""

from typing import Any

from tests.client.puppet import Answer

SHA = "1a2b3c4" + "0" * 33


def an_operation(number: int = 44, **more: Any) -> dict[str, Any]:
    operation = {
        "id": number, "kind": "promote", "tier": "a", "version": "0.8.2", "sha": SHA, "actor": "max", "reason": "",
        "status": "running", "step": "preflight", "created_at": "2026-11-23T12:00:00.000Z", "nodes": [],
        "started_at": "2026-11-23T12:00:00.000Z", "finished_at": None, "error": None, "superseded_by": None,
        "rolled_back": False, "recovered": False, "log": f"/operations/{number}/log", "details": {},
    }  # fmt: skip
    return operation | more


def done(status: str = "succeeded", **more: Any) -> dict[str, Any]:
    ended = {"status": status, "step": "", "finished_at": "2026-11-23T12:00:03.200Z"}
    return an_operation(**(ended | more))


def refused(status: int, code: str, **more: Any) -> Answer:
    body = {
        "status": status,
        "code": code,
        "title": code,
        "detail": f"{code} is so",
        "hint": "do something else",
    }
    return Answer(status, body | more)


def a_plan(**more: Any) -> dict[str, Any]:
    plan = {
        "act": "promote", "tier": "a", "ready": True, "status": 202, "code": None, "detail": "", "hint": "",
        "kind": "promote", "source": "mm", "from": "0.8.1", "to": "0.8.2", "on_failure": "rollback",
        "nodes": [{"name": "a-1", "version": "0.8.1", "observed": "0.8.1", "does": "switch", "uploads": True}],
        "commits": [{"sha": SHA, "author": "Max", "subject": "faster"}], "migrations": ["0042_more.sql"],
        "rollback_safe": {"0.8.1": "yes"}, "checks": [],
    }  # fmt: skip
    return plan | more
