"""The newest commit of a branch read from its files, as a fresh push leaves them: it saves the push a process.

Only what is certain is answered. A packed ref or object, another ref format, an encoding other than UTF-8:
None, and git is asked.
"""

import re
import zlib
from pathlib import Path

_MOST = 1 << 20  # no commit is that long; a longer one is git's business
_REF = re.compile(rb"[0-9a-f]{40}\n?")
_AUTHOR = re.compile(rb"^author (.*?) ?<[^>]*> ", re.MULTILINE)


def newest(bare: str, branch: str) -> tuple[str, str, str] | None:
    """sha, author and subject; see gitformat-loose and `git help cat-file` for what stands where."""
    try:
        ref = Path(bare, "refs", "heads", branch).read_bytes()
        if not _REF.fullmatch(ref) or Path(bare, "reftable").exists():
            return None
        sha = ref[:40].decode("ascii")
        packed = Path(bare, "objects", sha[:2], sha[2:]).read_bytes()
        raw = zlib.decompressobj().decompress(packed, _MOST)
    except (OSError, ValueError, zlib.error):
        return None
    head, _, message = raw.partition(b"\n\n")
    kind, _, fields = head.partition(b"\0")
    author = _AUTHOR.search(fields)
    if not kind.startswith(b"commit ") or b"\nencoding " in fields or author is None or len(raw) >= _MOST:
        return None
    # The subject is the first paragraph on one line, as `%s` has it.
    lines = message.lstrip(b"\n").partition(b"\n\n")[0].rstrip(b"\n").split(b"\n")
    subject = b" ".join(line.rstrip() for line in lines)
    return sha, author[1].decode("utf-8", "replace"), subject.decode("utf-8", "replace")
