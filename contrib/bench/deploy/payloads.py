"""What is deployed: a binary of real programs or a tree of 2,000 files, new in every round, and its 1 % changed successor.

It only makes folders of the release; it knows no node. Bytes of one round have nothing in common with those of another.
"""

import hashlib
import os
import random
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SUMS = "SHA256SUMS"
FILES = 2000
_TREE_BYTES = 20_000_000
POOL_BYTES = 64_000_000
_PROGRAMS = ("bin/*", "sbin/*", "lib/*", "lib/*/*")
_BLOCK = 4096
_STRETCH = 65536
_NOISE = 0.15  # of the bytes are random: with real programs around them the whole is about half compressible
_TINY = b"#!/bin/sh\nexit 0\n"


@dataclass(frozen=True)
class Kind:
    """`size` 0 means the tree."""

    name: str
    size: int

    @property
    def artifact(self) -> str:
        return "server" if self.size else "app"

    @property
    def entry(self) -> str:
        """The file of the release that the health command looks for."""
        return "server" if self.size else "app/server"


@dataclass(frozen=True)
class Release:
    """`folder` has the artifact and SHA256SUMS: every way begins with it."""

    version: str
    kind: Kind
    folder: Path

    def discard(self) -> None:
        shutil.rmtree(self.folder)


def kind(name: str) -> Kind:
    """`tree`, or a size such as `5MB`. ValueError else."""
    if name == "tree":
        return Kind(name, 0)
    if not name.endswith("MB"):
        raise ValueError(f"{name!r} is no payload: write 5MB, 50MB or tree")
    found = Kind(name, int(name[:-2]) * 1_000_000)
    if not 0 < found.size <= POOL_BYTES:
        raise ValueError(f"{name!r} is no payload: from 1MB to {POOL_BYTES // 1_000_000}MB")
    return found


class Workshop:
    """Makes releases in `folder`. `noise` true: every byte random, nothing to compress."""

    def __init__(self, folder: Path, *, noise: bool) -> None:
        folder.mkdir()
        self.folder = folder
        self.random = random.Random(7)
        self.count = 0
        self.pool = os.urandom(POOL_BYTES) if noise else _programs()
        self.compressed_to = len(zlib.compress(self._bytes(8_000_000), 6)) / 8_000_000

    def fresh(self, kind: Kind) -> Release:
        files = self._tree() if kind.size == 0 else {kind.entry: self._bytes(kind.size)}
        return self._write(kind, files)

    def tiny(self, kind: Kind) -> Release:
        """A release of a few bytes, to warm what is to be warm."""
        return self._write(kind, {kind.entry: _TINY + str(self.count).encode()})

    def changed(self, former: Release) -> Release:
        """A successor with 1 % of the bytes, of the tree 1 % of the files, new."""
        files = {name: (former.folder / name).read_bytes() for name in _names(former.folder)}
        if former.kind.size:
            files = {name: self._edit(data) for name, data in files.items()}
        else:
            for name in self.random.sample(sorted(files), len(files) // 100):
                files[name] = os.urandom(len(files[name]))
        return self._write(former.kind, files)

    def _edit(self, data: bytes) -> bytes:
        """Blocks of 4 KB at random places, half of them overwritten and half inserted."""
        blocks = max(2, len(data) // 100 // _BLOCK)
        places = sorted(self.random.sample(range(0, len(data) - _BLOCK, _BLOCK), blocks))
        parts, at = [], 0
        for number, place in enumerate(places):
            parts += [data[at:place], os.urandom(_BLOCK)]
            at = place + (_BLOCK if number % 2 else 0)
        return b"".join([*parts, data[at:]])

    def _bytes(self, size: int) -> bytes:
        """A stretch of the pool, every byte replaced by a permutation of this call: as compressible, and all new."""
        start = self.random.randrange(len(self.pool) - size + 1)
        table = bytes(self.random.sample(range(256), 256))
        data = bytearray(self.pool[start : start + size].translate(table))
        for at in range(0, size, _STRETCH):
            noise = int(min(_STRETCH, size - at) * _NOISE)
            data[at : at + noise] = os.urandom(noise)
        return bytes(data)

    def _tree(self) -> dict[str, bytes]:
        data, at, files = self._bytes(2 * _TREE_BYTES), 0, {}
        for number in range(FILES):
            size = self.random.randrange(200, 2 * _TREE_BYTES // FILES - 200)
            files[f"app/{number % 40:02}/file{number:04}"] = data[at : at + size]
            at += size
        files["app/server"] = files.pop(f"app/00/file{0:04}")
        return files

    def _write(self, kind: Kind, files: dict[str, bytes]) -> Release:
        self.count += 1
        version = f"0.0.{self.count}"
        folder = self.folder / version
        for name, data in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (folder / kind.entry).chmod(0o755)
        sums = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())]
        (folder / SUMS).write_text("".join(sums))
        return Release(version, kind, folder)


def _names(folder: Path) -> Iterator[str]:
    return (str(p.relative_to(folder)) for p in sorted(folder.rglob("*")) if p.is_file() and p.name != SUMS)


def _programs() -> bytes:
    """Real programs and libraries of this machine, one after the other, each once."""
    pool, seen = bytearray(), set()
    for path in (p for pattern in _PROGRAMS for p in sorted(Path("/usr").glob(pattern))):
        try:
            info = path.stat()
            if (
                path.is_file()
                and (info.st_dev, info.st_ino) not in seen
                and 50_000 < info.st_size < 8_000_000
            ):
                seen.add((info.st_dev, info.st_ino))
                data = path.read_bytes()
                pool += data if data.startswith(b"\x7fELF") else b""
        except OSError:
            continue
        if len(pool) >= POOL_BYTES:
            break
    # A machine with few programs: the rest cannot be had honestly, so it is random.
    return bytes(pool[:POOL_BYTES]) + os.urandom(max(0, POOL_BYTES - len(pool)))
