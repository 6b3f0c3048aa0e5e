"""Every code of the contract, in one list: the status that goes with it, and when it is said (SPEC 6-9, 12).

A code is what scripts compare; none is ever renamed. Nothing answers with a code that is not here, and a test provokes
each of them over HTTP.
"""

from msgspec import Struct


class Code(Struct, frozen=True):
    """`when` is one sentence for whoever reads the OpenAPI file."""

    name: str
    status: int
    when: str

    @property
    def title(self) -> str:
        return self.name.replace("_", " ").capitalize()


_LISTED = (
    # -- the request itself --
    Code("bad_request", 400, "the request contradicts itself, or is not HTTP as sandod takes it"),
    Code("bad_json", 400, "the body is no JSON, or says a key twice, or has a number that JSON has not"),
    Code("auth_required", 401, "daemon.toml has tokens, and the request brought none that it knows"),
    Code("scope_required", 403, "the token is known, and its scope is too small"),
    Code("host_not_allowed", 403, "the Host is neither the listen address, a loopback name, nor allowed"),
    Code("origin_not_allowed", 403, "the request comes from a page of another site"),
    Code("not_found", 404, "nothing is there, or the name can be no name of what is"),
    Code("method_not_allowed", 405, "the path knows other methods; the header Allow lists them"),
    Code("request_timeout", 408, "the headers took more than 10 s to arrive, or the body more than 30 s"),
    Code("too_large", 413, "the body has more than 64 KiB"),
    Code("unsupported_media_type", 415, "a body is not application/json in UTF-8, or is compressed"),
    Code("bad_field", 422, "a field of the body or the query has a wrong type or value, or is not known"),
    Code("upgrade_required", 426, "the WebSocket handshake asks for another version than 13"),
    Code("headers_too_large", 431, "the request line and the headers have more than 16 KiB"),
    # -- an Idempotency-Key --
    Code("request_in_progress", 409, "a request with the same Idempotency-Key is still being decided"),
    Code("idempotency_key_reused", 422, "the Idempotency-Key came with another request before"),
    # -- names --
    Code("unknown_tier", 404, "sando.toml names no such tier"),
    Code("unknown_version", 404, "no release has this version"),
    Code("unknown_sha", 404, "the repository has no such commit"),
    Code("unknown_gate", 404, "the tier declares no gate of this name"),
    # -- builds --
    Code("empty_repository", 409, "the branch has no commit yet"),
    Code("repository_unusable", 409, "git cannot read the repository"),
    Code("nothing_new", 409, "the tip of the branch is the one that was last accepted, and its build is forgotten"),
    Code("build_running", 409, "a build holds the slot that the gate needs"),
    # -- promotions --
    Code("not_promotable", 409, "versions come to the build tier by a push, not by a promotion"),
    Code("not_provisioned", 409, "the tier is listed with `provisioned = false`"),
    Code("nothing_to_promote", 409, "no version was given, and the tier before has none"),
    Code("gates_not_passed", 409, "a gate of the tier before is not green, or the version was never there"),
    Code("release_missing", 409, "the release is not in the store any more"),
    Code("release_corrupt", 409, "the release in the store is not what was built"),
    Code("already_current", 409, "the version is current there, on every node"),
    Code("version_marked_bad", 409, "a rollback left the version, here or on an earlier tier"),
    Code("tier_mixed", 409, "some nodes are on one version and some on another, and this is a third"),
    Code("tier_busy", 409, "another operation holds the tier"),
    Code("no_nodes", 409, "every node of the tier is left out"),
    Code("locked", 423, "somebody has locked the tier"),
    Code("frozen", 423, "a [[freeze]] window of sando.toml holds"),
    # -- rollbacks --
    Code("no_previous_version", 409, "the tier has no earlier version that is not marked bad"),
    Code("not_rollbackable", 409, "the version is not below the current one, or is marked bad"),
    Code("schema_incompatible", 409, "the release would not run on the schema that it would find"),
    # -- people --
    Code("tier_empty", 409, "nothing runs on the tier yet"),
    Code("no_such_gate", 409, "the tier declares no gate that a person's word is for"),
    Code("gate_not_active", 409, "the gate is not one that is run"),
    Code("not_current", 412, "another version than the one that was named is current"),
    # -- operations --
    Code("not_running", 409, "the operation has ended"),
    Code("not_abortable", 409, "a rollback goes on to its end"),
    Code("operation_failed", 409, "`wait` was asked for: the operation ran and said no"),
    Code("operation_errored", 409, "`wait` was asked for: the operation could not run"),
    Code("operation_aborted", 409, "`wait` was asked for: a person stopped the operation"),
    Code("operation_superseded", 409, "`wait` was asked for: a newer push took the operation's place"),
    Code("operation_interrupted", 409, "`wait` was asked for: sandod ended under the operation"),
    # -- the configuration --
    Code("no_backup_configured", 409, "sando.toml has no [backup] section"),
    Code("no_notifiers", 409, "daemon.toml has no [[notify]]"),
    Code("unknown_notifier", 404, "daemon.toml has no [[notify]] of this name"),
    Code("needs_restart", 409, "the change of the configuration is one that a reload cannot make"),
    Code("still_running", 409, "the new file takes nodes away that hold a running version"),
    Code("config_rejected", 422, "the new configuration is not valid; the old one stays"),
    # -- sandod itself --
    Code("internal", 500, "sandod met an error of its own; its log has the traceback"),
    Code("not_implemented", 501, "the server that runs the API has no WebSockets; sandod has"),
    Code("starting", 503, "sandod has not read its store yet"),
    Code("draining", 503, "sandod is stopping and takes no new work"),
    Code("degraded", 503, "a part of sandod died too often, and was parked"),
    Code("restarting", 503, "the part of sandod that had the request died, and is being restarted"),
    Code("outcome_unknown", 503, "no answer came from inside in time; what was asked may still be done"),
    Code("store_unavailable", 503, "the disk is full, another program has locked the store, or it could not be looked at"),
    Code("too_many_connections", 503, "as many requests from one address are being answered as may"),
    Code("too_many_streams", 503, "as many clients wait or follow as may"),
)  # fmt: skip

CODES = {code.name: code for code in _LISTED}
"""Of refusals, by name."""

_NOTES = (
    Code("already_building", 200, "the same commit is being built; the answer is that operation"),
    Code("already_built", 200, "the commit is green already; the answer is the operation that built it"),
    Code("already_accepted", 200, "the tip was accepted before; the answer is its latest build"),
    Code("already_running", 200, "the gates or the fetch that were asked for run already"),
    Code("aborting", 202, "the rollback is queued: it begins when the promotion that it stops has ended"),
)

NOTES = {note.name: note for note in _NOTES}
"""Of answers that carry an operation: why it is one that was there before, or not the one that was asked for."""

GENERAL = {
    400: "bad_request",
    401: "auth_required",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "too_large",
    415: "unsupported_media_type",
    426: "upgrade_required",
    431: "headers_too_large",
    501: "not_implemented",
}
"""What a status says that nothing more is known of."""


def general(status: int) -> str:
    """The code of an error that is not ours: of the HTTP server, or of the framework."""
    return GENERAL.get(status, "bad_request" if status < 500 else "internal")
