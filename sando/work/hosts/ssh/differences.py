"""What a node says of each file of a release against what was built, as the sentence that a person reads. It asks nothing."""

import stat
from collections.abc import Sequence
from pathlib import PurePosixPath

from sando.model.release import FileEntry

_HEX = 64


def what_differs(output: bytes, files: Sequence[FileEntry]) -> str:
    """The first difference, in the words of `digest.compare`. `output` is that of `details` of node.sh."""
    links, modes, sums = set(), {}, {}
    for text in output.decode("utf-8", "replace").split("\n"):
        kind, _, rest = text.partition(" ")
        if kind == "link":
            links.add(rest)
        elif kind == "mode":
            mode, size, path = rest.split(" ", 2)
            modes[path] = (int(mode, 16), int(size))
        elif len(kind) == _HEX:
            sums[rest[1:]] = kind
    found = (_difference(f, links, modes.get(f.path), sums.get(f.path)) for f in files)
    return next(filter(None, found), "it is not as it was built")


def _difference(
    wanted: FileEntry, links: set[str], found: tuple[int, int] | None, sha256: str | None
) -> str | None:
    if any(str(folder) in links for folder in PurePosixPath(wanted.path).parents):
        return f"{wanted.path}: is reached through a link"
    if found is None:
        return f"missing: {wanted.path}"
    mode, size = found
    if stat.S_ISLNK(mode):
        return f"{wanted.path}: is reached through a link"
    if not stat.S_ISREG(mode):
        return f"{wanted.path}: is no regular file"
    if size != wanted.size:
        return f"{wanted.path}: has {size} bytes, not {wanted.size}"
    if sha256 != wanted.sha256:
        return f"{wanted.path}: sha256 differs"
    if stat.S_IMODE(mode) != wanted.mode:
        return f"{wanted.path}: mode is {stat.S_IMODE(mode):04o}, not {wanted.mode:04o}"
    return None
