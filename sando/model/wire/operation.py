"""An operation, and a page of them."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from sando.model.codes import NOTES
from sando.model.operation import Kind, NodeReport, Status
from sando.model.wire.stamp import Stamp

Note = Annotated[str, Meta(extra_json_schema={"enum": sorted(NOTES)})]


class Operation(Struct, frozen=True):
    """One build, promote, rollback, gate run or backup fetch.

    `created_at` is its acceptance, `started_at` its first effect; `log` is where its output is. `details` has what else
    is known and differs by kind. `code` stands in an answer whose operation was there before, or is not what was asked for.
    """

    id: int
    kind: Kind
    tier: str
    version: str | None
    sha: str | None
    actor: str
    reason: str
    status: Status
    created_at: Stamp
    step: str
    nodes: tuple[NodeReport, ...]
    started_at: Stamp | None
    finished_at: Stamp | None
    error: str | None
    superseded_by: int | None
    rolled_back: bool
    recovered: bool
    log: str
    details: dict[str, Any]
    code: Note | UnsetType = UNSET


class OperationPage(Struct, frozen=True):
    """Newest first; `next` is the `cursor` of the page after this one, null on the last."""

    operations: tuple[Operation, ...]
    next: int | None
