"""A release: the immutable result of one build, and its manifest (SPEC 1, 3)."""

from datetime import datetime

import msgspec
from msgspec import Struct

MANIFEST = "manifest.json"


class FileEntry(Struct, frozen=True, cache_hash=True):
    """One regular file of a release; `path` is relative, with `/`; `mode` is the permission bits."""

    path: str
    size: int
    mode: int
    sha256: str


class Files(Struct, frozen=True):
    """Of a manifest, what a deploy needs."""

    files: tuple[FileEntry, ...]


class Manifest(Struct, frozen=True):
    """`manifest.json`, written last into a release."""

    version: str
    sha: str
    branch: str
    author: str
    subject: str
    built_at: datetime
    builder: str
    files: tuple[FileEntry, ...]
    run: tuple[str, ...] = ()
    """How to start the artifact, with the release as working directory."""

    @property
    def bytes(self) -> int:
        return sum(f.size for f in self.files)


read_manifest = msgspec.json.Decoder(Manifest).decode
"""Made here, while one thread runs: msgspec does not bear that two threads use a new type at once."""


class Release(Struct, frozen=True):
    """A built version as the store knows it; `digest` is the sha256 of its manifest's file list.

    `green` turns true once, when the build tier's active gates passed, and never back: the version
    belongs to this sha from then on. `present` is false once retention removed its folder; `lost`: it was looked for and
    was not there, which says nothing for good, since somebody may put it back.
    """

    version: str
    declared: str
    sha: str
    digest: str
    operation: int
    built_at: datetime
    pushed_at: datetime
    author: str = ""
    subject: str = ""
    branch: str = ""
    bytes: int = 0
    green: bool = False
    present: bool = True
    lost: bool = False

    @property
    def at_hand(self) -> bool:
        """As far as anybody knows its folder is there."""
        return self.present and not self.lost


def name_release(declared: str, sha: str, taken: dict[str, str]) -> str:
    """The version of a new build of `sha` that declares `declared` (SPEC 3).

    `taken` maps every version that belongs to a sha for good to that sha. The declared name goes to
    the first sha, later ones get `declared+g<sha7>`, and another build of a sha that has one already
    counts on with `.2`, `.3`, … A green release is never overwritten.
    """
    if declared not in taken:
        return declared
    base = f"{declared}{'.' if '+' in declared else '+'}g{sha[:7]}"
    built_before = taken[declared] == sha or base in taken
    if not built_before:
        return base
    count = 2
    while f"{base}.{count}" in taken:
        count += 1
    return f"{base}.{count}"
