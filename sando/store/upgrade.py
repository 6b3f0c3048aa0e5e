"""A file of an earlier schema is brought up to this one, in one transaction: what it lacks is added, nothing is taken away."""

from datetime import datetime
from typing import Any

import msgspec

from sando.model.operation import Operation
from sando.model.release import Release
from sando.store.deploys import PUT, row_of

_operation = msgspec.json.Decoder(Operation)
_release = msgspec.json.Decoder(Release)


def add_columns(db: Any, version: int) -> None:
    """Before the tables are made, since their indexes may stand on these; `version` 0 is a file that has nothing yet."""
    if 0 < version < 3 and not any(c.name == "version" for c in db.get_columns("stay")):
        db.execute_sql("ALTER TABLE stay ADD COLUMN version TEXT")


def fill(db: Any, version: int) -> None:
    """What follows from the rows that there are."""
    if 0 < version < 3:
        db.execute_sql("UPDATE stay SET version = json_extract(CAST(body AS TEXT), '$.version')")
        bodies = db.execute_sql("SELECT body FROM operation WHERE kind IN ('promote', 'rollback')")
        for (body,) in bodies.fetchall():
            put_deploy(db, _operation.decode(body))


def put_deploy(db: Any, operation: Operation) -> None:
    """The row of a deploy, with its end."""
    row = row_of(operation, None)
    if row is not None:
        db.execute_sql(PUT, row_of(operation, _pushed_at(db, operation)))


def _pushed_at(db: Any, operation: Operation) -> datetime | None:
    found = db.execute_sql("SELECT body FROM release WHERE version = ?", (operation.version,)).fetchone()
    return _release.decode(found[0]).pushed_at if found else None
