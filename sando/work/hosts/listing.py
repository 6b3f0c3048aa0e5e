"""What a node is asked about a release: the names of its files, and what its tools have to print for them. It runs nothing."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from sando.model.errors import WorkError
from sando.model.release import FileEntry

_ODD = re.compile(r"[\\\x00-\x1f\x7f-\x9f]")
_REGULAR = 0o100000
_KEPT = 16


class State(NamedTuple):
    """What `modes` and `sums` of node.sh print for a complete release: one digest over modes, sizes and names, one over contents."""

    modes: str
    sums: str


def state(files: Sequence[FileEntry]) -> State:
    return _state(tuple(files))


@lru_cache(_KEPT)
def _state(files: tuple[FileEntry, ...]) -> State:
    """Many nodes are asked about the same release, each several times."""
    modes = "".join(f"{_REGULAR | f.mode:x} {f.size} {f.path}\n" for f in files)
    sums = "".join(f"{f.sha256}  {f.path}\n" for f in files)
    return State(*(hashlib.sha256(text.encode()).hexdigest() for text in (modes, sums)))


def names(paths: Iterable[str]) -> bytes:
    """NUL after each: what `xargs -0` takes."""
    return b"".join(path.encode() + b"\0" for path in paths)


def folders(files: Iterable[FileEntry]) -> list[str]:
    """All folders of a release but itself, each before what is in it."""
    found: set[str] = set()
    for f in files:
        path = f.path.rpartition("/")[0]
        while path and path not in found:
            found.add(path)
            path = path.rpartition("/")[0]
    return sorted(found)


def refuse_odd_names(files: Sequence[FileEntry]) -> None:
    """Names that the tools of a node print in a way of their own. None is usual; all are told before anything is sent."""
    if (odd := _odd(tuple(files))) is not None:
        raise WorkError(
            "release",
            f"the name {odd!r} cannot be sent over ssh (a backslash or a control character is in it): "
            "rename it in the build",
            errored=True,
        )


@lru_cache(_KEPT)
def _odd(files: tuple[FileEntry, ...]) -> str | None:
    return next((f.path for f in files if _ODD.search(f.path)), None)
