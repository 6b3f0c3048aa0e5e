"""Finds PostgreSQL's programs on this machine, and says which version they are; it starts no server."""

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sando.model.errors import WorkError
from sando.work.cancel import CancelToken
from sando.work.process import clean_env, run_plain

SERVER = ("initdb", "postgres", "psql", "pg_restore")
CLIENT = ("psql", "pg_restore")
FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql*/bin")
LEAST = 13  # trusted extensions, and the oldest that psql's makers mended
_RESTRICTS = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}  # the minor versions from which psql knows \restrict
_ASK_S = 20.0


class Programs(NamedTuple):
    """All of one folder, and so of one version; Debian's wrapper scripts in /usr/bin are none of them."""

    folder: Path
    major: int
    minor: int

    def path(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def restricts(self) -> bool:
        """Whether this psql can be kept from running backslash commands (CVE-2025-8714)."""
        return self.major > max(_RESTRICTS) or self.minor >= _RESTRICTS.get(self.major, 1000)

    def __str__(self) -> str:
        return f"PostgreSQL {self.major}.{self.minor}"


def find(
    names: Sequence[str], least: int, cancel: CancelToken, folders: Sequence[str] | None = None
) -> Programs | None:
    """The first on PATH, then the newest, whose major version is `least` or above; None where there is none at all.

    WorkError (errored) where all are older: it names the version to install.
    """
    found = [
        p
        for p in (
            _look(folder, cancel) for folder in _candidates(names, FOLDERS if folders is None else folders)
        )
        if p
    ]
    fit = next((p for p in found if p.major >= max(least, LEAST)), None)
    if found and not fit:
        newest = max(found, key=lambda p: p.major)
        wanted = max(least, LEAST)
        raise WorkError(
            "postgresql",
            f"PostgreSQL {wanted} or newer is needed, here is {newest}: install it (Debian: apt-get install postgresql-{wanted})",
            errored=True,
        )
    return fit


def _candidates(names: Sequence[str], folders: Sequence[str]) -> Iterator[Path]:
    """Folders that have all of these programs: those on PATH first, then the newest version."""
    path = clean_env()["PATH"]
    on_path = [Path(where).resolve().parent for name in names if (where := shutil.which(name, path=path))]
    others = [folder for pattern in folders for folder in Path("/").glob(pattern.lstrip("/"))]
    seen: set[Path] = set()
    for folder in (*on_path, *sorted(others, key=_number, reverse=True)):
        if folder not in seen and all((folder / name).is_file() for name in names):
            seen.add(folder)
            yield folder


def _number(folder: Path) -> list[int]:
    return [int(digits) for digits in re.findall("[0-9]+", str(folder))]


def _look(folder: Path, cancel: CancelToken) -> Programs | None:
    ended, said = run_plain(
        [str(folder / "psql"), "--version"], log=None, cancel=cancel, timeout=_ASK_S, step="postgresql"
    )
    found = re.match(r"psql \(PostgreSQL\) ([0-9]+)(?:\.([0-9]+))?", said)
    return Programs(folder, int(found[1]), int(found[2] or 0)) if ended.ok and found else None
