"""A store that is only looked at: read-only, also beside the sandod that writes it. It says where the file is damaged."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import peewee as pw

from sando.model.errors import StoreUnavailable
from sando.model.operation import Operation
from sando.model.release import Release
from sando.store.reading import Reader, StoreRefusedError
from sando.store.schema import BODIES, SCHEMA

MANY = 10_000_000
_SHOWN = 20
_TORN = (
    "SELECT id FROM operation WHERE id IS NOT json_extract(CAST(body AS TEXT), '$.id')"
    " OR status IS NOT json_extract(CAST(body AS TEXT), '$.status')"
)


class Look(Reader):
    """The store at `path` as it stands. Nothing is made, changed or upgraded."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._db: Any = pw.SqliteDatabase(
            f"file:{quote(self.path)}?mode=ro", uri=True, pragmas={"busy_timeout": 5000, "query_only": 1}
        )

    def open(self) -> None:
        """StoreRefusedError where there is none, or none that this program can read."""
        if not Path(self.path).exists():
            raise StoreRefusedError(f"{self.path}: is not there; sandod makes it at its first start")
        try:
            self._db.connect(reuse_if_open=True)
            version = self._db.pragma("user_version")
        except (pw.DatabaseError, sqlite3.Error) as error:
            raise StoreRefusedError(f"{self.path}: cannot be read as the store of sando ({error})") from error
        if version != SCHEMA:
            raise StoreRefusedError(f"{self.path}: has schema {version}, this program reads {SCHEMA}")

    def close(self) -> None:
        self._db.close()

    def damage(self) -> Iterator[str]:
        """What SQLite finds wrong in the file, what cannot be decoded, and gaps in the events; nothing: it is whole."""
        try:
            yield from (row[0] for row in self._rows("PRAGMA integrity_check(20)") if row[0] != "ok")
            yield from (
                f"{row[0]} row {row[1]} refers to nothing" for row in self._rows("PRAGMA foreign_key_check")
            )
            yield from self._spoiled()
            yield from self._gaps()
            yield from self._torn()
        except (StoreUnavailable, pw.DatabaseError, sqlite3.DatabaseError) as error:
            yield str(error)

    def _spoiled(self) -> Iterator[str]:
        """SQLite vouches for its pages, and not for what rows say."""
        for table in BODIES:
            sql = f"SELECT rowid FROM {table} WHERE NOT json_valid(CAST(body AS TEXT)) LIMIT {_SHOWN}"  # noqa: S608
            yield from (f"{table} row {row[0]} cannot be understood" for row in self._rows(sql))

    def _gaps(self) -> Iterator[str]:
        count, first, last = self._rows("SELECT count(*), min(seq), max(seq) FROM event")[0]
        if count and last - first + 1 != count:
            yield f"events {first} to {last} have gaps: there are {count}"

    def _torn(self) -> Iterator[str]:
        """A row is found by its columns and read from its body: both say the same."""
        for (number,) in self._rows(_TORN):
            yield f"operation {number}: its row and its body differ"

    # -- the books ---------------------------------------------------------------------------------------------

    def rollouts(self) -> frozenset[int]:
        return frozenset(row[0] for row in self._rows("SELECT operation FROM rollout"))

    def every_release(self) -> tuple[Release, ...]:
        return tuple(self.releases(limit=MANY))

    def last_operation(self) -> int:
        return int(self._rows("SELECT max(id) FROM operation")[0][0] or 0)

    def named(self, numbers: set[int]) -> dict[int, Operation]:
        found = (self.operation(number) for number in sorted(numbers))
        return {o.id: o for o in found if o is not None}
