"""The migrations of a release, as sqlx reads them from their folder; it reaches no database."""

import hashlib
import os
import re
from pathlib import Path
from typing import NamedTuple

from sando.model.names import visible
from sando.work import inside

NO_TRANSACTION = b"-- no-transaction"
_VERSION = re.compile(r"[+-]?[0-9]{1,19}")
_MOST_BYTES = 64 * 2**20


class Unfit(Exception):
    """What sqlx would say: these migrations cannot be applied, whatever is in the database."""


class Migration(NamedTuple):
    name: str
    """Of the file."""
    text: bytes
    version: int | None = None
    description: str = ""

    @property
    def checksum(self) -> str:
        """SHA-384, in hex."""
        return hashlib.sha384(self.text).hexdigest()

    @property
    def in_transaction(self) -> bool:
        return not self.text.startswith(NO_TRANSACTION)


class Migrations(NamedTuple):
    """In the order in which they are applied. `versioned`: in sqlx's manner, with what is applied recorded in a table."""

    files: tuple[Migration, ...]
    versioned: bool
    below: tuple[str, ...] = ()
    """SQL in folders further down: another tool's manner."""


def read(root: Path, folder: str, step: str) -> Migrations:
    """What lies in `folder` of `root`; nothing when it is not there. Unfit; WorkError where it leads out of `root`."""
    if not (root / folder).exists():
        return Migrations((), versioned=False)
    real = inside.find(root, folder, step, "dir of migration_dry_run")
    names = sorted(
        entry.name for entry in os.scandir(real) if entry.name.endswith(".sql") and entry.is_file()
    )
    up = [name for name in names if not name.endswith(".down.sql")]
    if not any(_split(name) for name in up):
        files = tuple(Migration(name, _text(root, real, name, step)) for name in up)
        return Migrations(files, versioned=False, below=() if files else _below(real))
    files = tuple(found for name in up if (found := _versioned(root, real, name, step)))
    return Migrations(tuple(sorted(_unique(files), key=lambda m: m.version or 0)), versioned=True)


def _split(name: str) -> tuple[int, str] | None:
    """Version and the rest of `<version>_<description>.sql`."""
    version, _, rest = name.partition("_")
    return (int(version), rest) if rest and _VERSION.fullmatch(version) else None


def _versioned(root: Path, folder: Path, name: str, step: str) -> Migration | None:
    """None for a name that sqlx passes over."""
    found = _split(name)
    if found is None:
        if "_" not in name:
            return None
        raise Unfit(
            f"{visible(name)}: its name does not begin with a number and `_`, as sqlx wants it (01_foo.sql)"
        )
    version, rest = found
    if not -(2**63) <= version < 2**63:
        raise Unfit(f"{visible(name)}: its version is too large a number")
    description = rest.removesuffix(".up.sql" if rest.endswith(".up.sql") else ".sql").replace("_", " ")
    return Migration(name, _text(root, folder, name, step), version, description)


def _unique(files: tuple[Migration, ...]) -> tuple[Migration, ...]:
    seen: dict[int | None, str] = {}
    for file in files:
        if file.version in seen:
            raise Unfit(f"{visible(seen[file.version])} and {visible(file.name)} have the same version")
        seen[file.version] = file.name
    return files


def _text(root: Path, folder: Path, name: str, step: str) -> bytes:
    fd = inside.open_file(
        root, inside.find(root, (folder / name).relative_to(os.path.realpath(root)), step, "migration")
    )
    with os.fdopen(fd, "rb") as file:
        text = file.read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        raise Unfit(f"{visible(name)}: is larger than {_MOST_BYTES // 2**20} MiB")
    return text


def _below(folder: Path) -> tuple[str, ...]:
    found = (Path(where, name).relative_to(folder) for where, _, names in os.walk(folder) for name in names)
    return tuple(sorted(str(path) for path in found if path.suffix == ".sql"))[:3]
