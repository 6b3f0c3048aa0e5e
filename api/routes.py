"""Every path of the HTTP API, in one table: who may use it and what answers. Nothing else adds a route."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from api.resources import commands, events, notify, operations, plans, releases, state

Scope = Literal["open", "read", "build", "operate"]


@dataclass(frozen=True, slots=True)
class Route:
    """`scope` is what a token needs; `open` needs none, ever."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    scope: Scope
    respond: Callable[..., None]


ROUTES = (
    Route("GET", "/state", "read", state.state),
    Route("POST", "/rebuild", "build", commands.rebuild),
    Route("POST", "/promote/{tier}", "operate", commands.promote),
    Route("POST", "/rollback/{tier}", "operate", commands.rollback),
    Route("POST", "/confirm/{tier}", "operate", commands.confirm),
    Route("POST", "/reject/{tier}", "operate", commands.reject),
    Route("POST", "/gates/{tier}/{gate}/run", "operate", commands.run_gate),
    Route("POST", "/backup/fetch", "operate", commands.fetch_backup),
    Route("POST", "/lock/{tier}", "operate", commands.lock),
    Route("DELETE", "/lock/{tier}", "operate", commands.unlock),
    Route("POST", "/reload", "operate", commands.reload),
    Route("POST", "/notify/test", "operate", notify.test),
    Route("GET", "/plan/promote/{tier}", "read", plans.promote),
    Route("GET", "/plan/rollback/{tier}", "read", plans.rollback),
    Route("GET", "/operations", "read", operations.listing),
    Route("GET", "/operations/{operation}", "read", operations.one),
    Route("POST", "/operations/{operation}/abort", "operate", commands.abort),
    Route("GET", "/operations/{operation}/log", "read", operations.log),
    Route("GET", "/releases", "read", releases.listing),
    Route("GET", "/releases/{version}", "read", releases.one),
    Route("GET", "/events", "read", events.events),
    Route("GET", "/metrics", "read", state.metrics),
    Route("GET", "/healthz", "open", state.healthz),
)
