"""Every path of the HTTP API, in one table: who may use it, what it takes and what it answers. Nothing else adds a route.

The application, the authorisation, openapi.json, the tests of both and the README's table all come from these rows.
"""

from functools import cache

from api import bodies, query, shown
from api.call import JSON, Answer, Call
from api.openapi import describe
from api.resources import commands, dora, events, notify, operations, plans, releases, state
from api.resources.names import TIER_OR_ALL
from api.route import Route
from sando.model import wire
from sando.model.forecast import Forecast


def document(_: Call[query.NoQuery, bodies.NoBody]) -> Answer:
    """GET /openapi.json, made at its first use."""
    return 200, JSON, _document()


@cache
def _document() -> bytes:
    return shown.encode(describe(ROUTES))


_TEXT = "text/plain; charset=utf-8"
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
_OPERATION = {200: wire.Operation, 202: wire.Operation}
_WAITED = ("operation_failed", "operation_errored", "operation_aborted", "operation_superseded", "operation_interrupted")  # fmt: skip
_STREAM = ("too_many_streams",)
_READS = ("store_unavailable",)
_ASKS = ("draining", "restarting", "outcome_unknown", "store_unavailable")
_MOVES = ("not_provisioned", "already_current", "tier_busy", "no_nodes", *_WAITED, *_STREAM)
_WORD = ("not_provisioned", "no_such_gate", "tier_empty", "not_current")

AT_ONCE = frozenset({"/state", "/healthz"})
"""A GET of these is answered from memory, on the thread that reads the request."""

ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/state", "read", state.state,
        "tiers with versions, gates, nodes, locks; build; backup; `ETag`, `If-None-Match`",
        {200: wire.State, 304: None}, ("starting",), headers=("ETag",),
    ),
    Route(
        "POST", "/rebuild", "build", commands.rebuild,
        "202 operation; ends the build in flight (latest wins)",
        _OPERATION, ("unknown_sha", "empty_repository", "repository_unusable", "nothing_new", *_WAITED, *_STREAM),
        query.Wait, bodies.RebuildBody,
    ),
    Route(
        "POST", "/promote/{tier}", "operate", commands.promote,
        "202 operation, or 409 or 423 with what blocks",
        _OPERATION, (
            "not_promotable", "nothing_to_promote", "unknown_version", "gates_not_passed", "release_missing",
            "release_corrupt", "version_marked_bad", "tier_mixed", "locked", "frozen", *_MOVES,
        ),
        query.Wait, bodies.PromoteBody,
    ),
    Route(
        "POST", "/rollback/{tier}", "operate", commands.rollback,
        "202 operation; makes the tier whole first, then steps back",
        _OPERATION, ("no_previous_version", "not_rollbackable", "schema_incompatible", "release_missing", *_MOVES),
        query.Wait, bodies.RollbackBody,
    ),
    Route(
        "GET", "/plan/promote/{tier}", "read", plans.promote,
        "what the promotion would do and answer, see below",
        {200: Forecast}, _ASKS, query.PromotePlan,
    ),
    Route(
        "GET", "/plan/rollback/{tier}", "read", plans.rollback,
        "the same of a rollback",
        {200: Forecast}, _ASKS, query.RollbackPlan,
    ),
    Route(
        "POST", "/confirm/{tier}", "operate", commands.confirm,
        "a person's yes to the tier's current version",
        {200: wire.Confirmation}, _WORD, query.Wait, bodies.VerdictBody,
    ),
    Route(
        "POST", "/reject/{tier}", "operate", commands.reject,
        "a person's no",
        {200: wire.Confirmation}, _WORD, query.Wait, bodies.VerdictBody,
    ),
    Route(
        "POST", "/gates/{tier}/{gate}/run", "operate", commands.run_gate,
        "202 operation",
        _OPERATION, ("unknown_gate", "gate_not_active", "tier_empty", "tier_busy", "build_running", *_WAITED, *_STREAM),
        query.Wait, bodies.ReasonBody,
    ),
    Route(
        "POST", "/lock/{tier}", "operate", commands.lock,
        "blocks promotions into a tier, or into `all`",
        {200: wire.Locked}, ("locked",), query.Wait, bodies.LockBody, {"tier": TIER_OR_ALL},
    ),
    Route(
        "DELETE", "/lock/{tier}", "operate", commands.unlock,
        "lifts the lock",
        {200: wire.Unlocked}, (), query.Wait, bodies.NoBody, {"tier": TIER_OR_ALL},
    ),
    Route(
        "POST", "/backup/fetch", "operate", commands.fetch_backup,
        "202 operation; `file://`, `rsync://`, `ssh://`",
        _OPERATION, ("no_backup_configured", *_WAITED, *_STREAM), query.Wait, bodies.ReasonBody,
    ),
    Route(
        "POST", "/reload", "operate", commands.reload,
        "what changed",
        {200: wire.Reloaded}, ("config_rejected", "tier_busy", "needs_restart", "still_running"),
        query.Wait, bodies.ReloadBody,
    ),
    Route(
        "POST", "/notify/test", "operate", notify.test,
        "what came of a test event that each notifier, or the one of that name, was sent now",
        {200: wire.Notified}, ("no_notifiers", "unknown_notifier", *_STREAM), query.NoQuery, bodies.NotifyTestBody,
    ),
    Route(
        "GET", "/operations", "read", operations.listing,
        "history, newest first; `next` is the cursor of the next page",
        {200: wire.OperationPage}, _READS, query.Operations,
    ),
    Route(
        "GET", "/operations/{operation}", "read", operations.one,
        "one operation; `wait` holds until it has ended",
        {200: wire.Operation}, (*_READS, *_STREAM), query.Wait,
    ),
    Route(
        "POST", "/operations/{operation}/abort", "operate", commands.abort,
        "stops at the next safe point",
        _OPERATION, ("not_running", "not_abortable", *_WAITED, *_STREAM), query.Wait, bodies.ReasonBody,
    ),
    Route(
        "GET", "/operations/{operation}/log", "read", operations.log,
        "its output, from a byte on; `X-Next-Offset`; `visible=1` for a terminal",
        {200: _TEXT}, (*_READS, *_STREAM), query.Log, headers=("X-Next-Offset",),
    ),
    Route(
        "GET", "/releases", "read", releases.listing,
        "what was built, newest first",
        {200: wire.ReleasePage}, _READS, query.Page,
    ),
    Route(
        "GET", "/releases/{version}", "read", releases.one,
        "its manifest, where it runs, its gates by tier, marks, and the way back from it (`rollback_safe`)",
        {200: wire.ReleaseDetail}, ("unknown_version", "starting", *_READS),
    ),
    Route(
        "GET", "/dora", "read", dora.dora,
        "lead time, deploy frequency, change-fail rate, time to restore, by tier",
        {200: wire.Dora}, ("starting", *_READS), query.Days,
    ),
    Route(
        "GET", "/events", "read", events.events,
        "WebSocket; without an upgrade JSON, with `wait` as a long poll",
        {101: None, 200: wire.EventPage}, ("starting", "upgrade_required", "not_implemented", *_READS, *_STREAM),
        query.Events,
    ),
    Route("GET", "/metrics", "read", state.metrics, "Prometheus", {200: _EXPOSITION}, ("starting",)),
    Route("GET", "/healthz", "open", state.healthz, "liveness; needs no token", {200: wire.Health}),
    Route("GET", "/openapi.json", "read", document, "all of this, for programs", {200: JSON}),
)  # fmt: skip
