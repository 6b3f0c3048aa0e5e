"""What a plan shows of the way from one release to another: read only, and quick (SPEC 12)."""

import re
from pathlib import Path, PurePosixPath

from msgspec import DecodeError

from sando.model.errors import WorkError
from sando.model.names import visible
from sando.model.release import MANIFEST, read_manifest
from sando.model.survey import MOST_COMMITS, Change, Changes, Journey, Survey
from sando.work.cancel import CancelToken
from sando.work.git import log_between

_MOST_CHARS = 200
_NUMBER = re.compile(r"[0-9]{1,18}")


def survey(
    bare: str, store: str, journey: Journey, problem: tuple[str, str] | None, cancel: CancelToken
) -> Survey:
    """`problem` is what a look at the new release's folder said. Raises Cancelled."""
    cancel.check()
    out = _changes(bare, journey.old_sha, journey.new_sha)
    cancel.check()
    back = _changes(bare, journey.new_sha, journey.old_sha) if journey.old_sha else Changes()
    new = _sql(store, journey.new, journey.folder)
    old = _sql(store, journey.old, journey.folder) if journey.old else frozenset()
    return Survey(problem, out, back, _only(new, old), _only(old, new))


def _changes(bare: str, old: str, new: str) -> Changes | None:
    if old == new:
        return Changes()
    try:
        found = log_between(bare, old, new, MOST_COMMITS + 1)
    except WorkError:
        return None
    if found is None:
        return None
    shown = tuple(Change(c.sha, _line(c.author), _line(c.subject)) for c in found[:MOST_COMMITS])
    return Changes(shown, more=len(found) > MOST_COMMITS)


def _line(text: str) -> str:
    """One line that shows what it holds, and does no more."""
    told = visible(" ".join(text.split()))
    return told if len(told) <= _MOST_CHARS else told[: _MOST_CHARS - 1] + "…"


def _only(here: frozenset[str] | None, there: frozenset[str] | None) -> tuple[str, ...] | None:
    """The names of the migrations that are only here, in their order; None where one of the two is not known."""
    if here is None or there is None:
        return None
    return tuple(visible(name) for name in sorted(here - there, key=_order))


def _order(name: str) -> tuple[int, str]:
    """As sqlx applies them: by the number that the name begins with."""
    number = _NUMBER.match(name)
    return (int(number[0]) if number else -1, name)


def _sql(store: str, version: str, folder: str) -> frozenset[str] | None:
    """The migrations of a release, as its manifest lists them; a way down never runs."""
    try:
        manifest = read_manifest(Path(store, version, MANIFEST).read_bytes())
    except (OSError, DecodeError):
        return None
    inside = PurePosixPath(folder)
    paths = (PurePosixPath(f.path) for f in manifest.files)
    return frozenset(
        str(p.relative_to(inside))
        for p in paths
        if p.is_relative_to(inside) and p.suffix == ".sql" and not p.name.endswith(".down.sql")
    )
