"""A release, a page of them, and all that is known of one."""

from msgspec import Struct

from sando.model.release import FileEntry
from sando.model.safety import Safe
from sando.model.wire.stamp import Stamp
from sando.model.wire.state import Gate


class Release(Struct, frozen=True):
    """What one build made. `green`: the build tier's gates passed once; `present`: its folder is in the store."""

    version: str
    declared: str
    sha: str
    digest: str
    operation: int
    built_at: Stamp
    pushed_at: Stamp
    author: str
    subject: str
    branch: str
    bytes: int
    green: bool
    present: bool


class ReleasePage(Struct, frozen=True):
    """Newest first; `next` is the `cursor` of the page after this one, null on the last."""

    releases: tuple[Release, ...]
    next: int | None


class Manifest(Struct, frozen=True):
    """What lies in the release's folder."""

    version: str
    sha: str
    branch: str
    author: str
    subject: str
    built_at: Stamp
    builder: str
    files: tuple[FileEntry, ...]
    run: tuple[str, ...]


class RunsOn(Struct, frozen=True):
    """A tier on which it is current, or some nodes of which are on it."""

    tier: str
    current: bool
    nodes: tuple[str, ...]


class Mark(Struct, frozen=True):
    """A rollback has left it on this tier."""

    tier: str
    at: Stamp
    actor: str
    reason: str
    operation: int


class ReleaseDetail(Release, frozen=True):
    """`gates` are by tier, for the last stay there; `rollback_safe` by the release that one would go back to."""

    manifest: Manifest | None
    runs_on: tuple[RunsOn, ...]
    gates: dict[str, tuple[Gate, ...]]
    marks: tuple[Mark, ...]
    rollback_safe: dict[str, Safe]
