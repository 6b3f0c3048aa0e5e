"""What a command ends with (SPEC 16): one table from sandod's codes to exit codes. Scripts rely on it. Pure."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the page of `sando --help` needs the table, and no shapes
    from sando.client.shapes import Operation, Problem

DONE = 0
FAILED = 1
USAGE = 2
REFUSED = 3
BUSY = 4
ROLLED_BACK = 5
UNREACHABLE = 6
INTERRUPTED = 130
"""Ctrl-C, as shells count it."""

MEANINGS = (
    (DONE, "done, or accepted where --wait was not asked for"),
    (FAILED, "failed: it ended red or aborted, had not ended within --timeout, or nobody said yes"),
    (USAGE, "usage, and names that sandod does not know"),
    (REFUSED, "refused by a gate or state; a token that is missing or wrong"),
    (BUSY, "busy, locked or frozen: later it may go"),
    (ROLLED_BACK, "a deploy failed, and its nodes are back on what they had"),
    (UNREACHABLE, "sandod cannot be reached, or nobody knows what came of it"),
)

_TABLE = {
    FAILED: (
        "config_rejected internal not_implemented operation_failed operation_errored operation_aborted"
        " operation_superseded operation_interrupted"
    ),
    USAGE: (
        "bad_request bad_json bad_field not_found method_not_allowed too_large unsupported_media_type upgrade_required"
        " headers_too_large idempotency_key_reused unknown_tier unknown_version unknown_sha unknown_gate"
        " unknown_notifier"
    ),
    REFUSED: (
        "auth_required scope_required host_not_allowed origin_not_allowed empty_repository"
        " repository_unusable nothing_new not_promotable not_provisioned nothing_to_promote gates_not_passed"
        " release_missing release_corrupt already_current version_marked_bad tier_mixed no_nodes no_previous_version"
        " not_rollbackable schema_incompatible tier_empty no_such_gate gate_not_active not_current not_running"
        " not_abortable no_backup_configured no_notifiers needs_restart still_running degraded"
    ),
    BUSY: (
        "request_in_progress build_running tier_busy locked frozen starting draining restarting store_unavailable"
        " too_many_streams too_many_connections request_timeout"
    ),
    UNREACHABLE: "unreachable not_sandod outcome_unknown",
}
BY_CODE = {code: exit_code for exit_code, codes in _TABLE.items() for code in codes.split()}

_BY_STATUS = {400: USAGE, 401: REFUSED, 403: REFUSED, 404: USAGE, 409: REFUSED, 412: REFUSED, 422: USAGE, 423: BUSY,
              429: BUSY, 503: BUSY}  # fmt: skip
"""For a code of a newer sandod, which is not in the table yet."""


def of_code(code: str, status: int = 0) -> int:
    return BY_CODE.get(code, _BY_STATUS.get(status, FAILED))


def of_problem(problem: "Problem") -> int:
    if problem.operation and problem.code.startswith("operation_"):
        return of_operation(problem.operation)
    return of_code(problem.code, problem.status)


def of_operation(operation: "Operation") -> int:
    """How an operation ended; a deploy that was rolled back is never a success."""
    if operation.rolled_back:
        return ROLLED_BACK
    return DONE if operation.status == "succeeded" else FAILED
