"""The one form of every error (RFC 9457)."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from sando.model.answers import Check
from sando.model.codes import CODES
from sando.model.wire.operation import Operation

CodeName = Annotated[str, Meta(extra_json_schema={"enum": list(CODES)})]


class Problem(Struct, frozen=True):
    """`code` is for programs, `detail` and `hint` are for people. `operation` is the one that is meant or in the way.

    `blocking` lists everything that stands in the way, as a plan lists it.
    """

    type: str
    title: str
    status: int
    code: CodeName
    detail: str
    hint: str | UnsetType = UNSET
    operation: Operation | UnsetType = UNSET
    blocking: tuple[Check, ...] | UnsetType = UNSET
