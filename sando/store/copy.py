"""A copy of the store that is complete or not there: made by SQLite beside whoever writes, checked, then named."""

import os
import secrets
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from sando.failpoints import reached
from sando.store.reading import StoreRefusedError

_WAIT_S = 30.0


def copy_store(source: str | Path, goal: Path) -> int:
    """Its bytes. The file is readable by its owner only; one of that name is replaced in one step."""
    if not Path(source).exists():
        raise StoreRefusedError(f"{source}: is not there; sandod makes it at its first start")
    part = goal.with_name(f".{goal.name}.{secrets.token_hex(8)}.part")
    try:
        part.touch(mode=0o600, exist_ok=False)
        _vacuum(source, part)
        _check(part)
        _sync(part)
        reached("copy.written")
        part.replace(goal)
        _sync(goal.parent)
    except (sqlite3.Error, OSError) as error:
        raise StoreRefusedError(f"{goal}: cannot copy {source} there: {error}") from error
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
    return goal.stat().st_size


def _vacuum(source: str | Path, part: Path) -> None:
    """One consistent moment, whoever writes meanwhile; an empty file is written into and keeps its mode."""
    with closing(sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True, timeout=_WAIT_S)) as store:
        store.execute("VACUUM INTO ?", (str(part),))


def _check(part: Path) -> None:
    with closing(sqlite3.connect(f"file:{quote(str(part))}?mode=ro", uri=True)) as copy:
        said = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if said != "ok":
            raise sqlite3.DatabaseError(f"the copy is damaged: {said}")


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
