"""The table of contents of an archive of pg_dump: what it needs first, and what of it is left out."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sando.work.scratch import extensions, wholeness
from sando.work.scratch.dump import Dump, Reading
from sando.work.scratch.job import Job
from sando.work.scratch.judge import Judge
from sando.work.scratch.lexer import Lexer
from sando.work.scratch.opening import Scratch
from sando.work.scratch.scouts import Extensions, Publications, Roles

J = TypeVar("J", bound=Judge)

_ENTRY = re.compile(r"[0-9]+; [0-9]+ [0-9]+ (.*)")
_LEFT_OUT = re.compile(
    r"(?:(COMMENT - (?:EXTENSION|LANGUAGE|DATABASE) |COMMENT - SCHEMA public\b)|(SCHEMA - public\b|(?:PROCEDURAL )?LANGUAGE - plpgsql\b)"
    r"|(SUBSCRIPTION |EVENT TRIGGER |PUBLICATION TABLES IN SCHEMA ))"
)
_WHAT = (
    "comments of what belongs to the server",
    "what is there already",
    "subscriptions and event triggers",
)
_MOST_JOBS = 4


@contextmanager
def seekable(dump: Dump, folder: Path, job: Job) -> Iterator[int]:
    """A descriptor of the archive that pg_restore can open again and read from anywhere: unpacked where it is packed."""
    if not dump.packing:
        yield dump.fd
        return
    path = folder / "unpacked"
    job.say(f"restore: unpack it from {dump.packing}")
    with path.open("wb") as file:
        for piece in Reading(dump).pieces(job, 2**20):
            file.write(piece)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    path.unlink()
    try:
        yield fd
    finally:
        os.close(fd)


def prepare(scratch: Scratch, dump: Dump, fd: int, job: Job) -> list[str]:
    """Make what it needs, and answer the words for pg_restore. WorkError (errored) where it cannot be read or provided."""
    wholeness.check(dump, fd, job)
    entries = [line for line in scratch.client.read_archive(["-l"], fd, dump.path.name) if _ENTRY.match(line)]
    wanted = _look(scratch, dump, fd, [e for e in entries if _of(e, "EXTENSION")], Extensions()).found
    provided = extensions.provide(scratch, wanted, job)
    roles = extensions.Roles(scratch)
    for role in _look(scratch, dump, fd, [e for e in entries if _of(e, "POLICY")], Roles()).found:
        roles.need(role)
    everything = _look(
        scratch, dump, fd, [e for e in entries if _of(e, "PUBLICATION -")], Publications()
    ).found
    made = {f"EXTENSION - {name} " for name in provided.extensions} | {
        f"SCHEMA - {name} " for name in provided.schemas
    }
    kept = _kept(entries, tuple(made), tuple(f"PUBLICATION - {name} " for name in everything), job)
    jobs = 1 if dump.kind.form == "tar" else min(_MOST_JOBS, os.cpu_count() or 1)
    return [
        "-L", scratch.client.file("list", "\n".join(kept) + "\n"), "-j", str(jobs), "--exit-on-error", "--no-owner",
        "--no-privileges", "--no-security-labels", "--no-tablespaces",
    ]  # fmt: skip


def _look(scratch: Scratch, dump: Dump, fd: int, entries: list[str], judge: J) -> J:
    """What a judge finds in the SQL of these entries."""
    if entries:
        listed = scratch.client.file("look", "\n".join(entries) + "\n")
        text = "\n".join(scratch.client.read_archive(["-L", listed, "-f", "-"], fd, dump.path.name))
        lexer = Lexer(judge)
        lexer.feed(text.encode())
        lexer.end()
    return judge


def _kept(entries: list[str], made: tuple[str, ...], everything: tuple[str, ...], job: Job) -> list[str]:
    kept, left_out = [], Counter[str]()
    for entry in entries:
        text = _ENTRY.sub(r"\1", entry) + " "
        found = _LEFT_OUT.match(text)
        if found:
            left_out[_WHAT[(found.lastindex or 1) - 1]] += 1
        elif text.startswith(everything):
            left_out["publications of all tables"] += 1
        elif text.startswith(made):
            left_out["extensions, which are there"] += 1
        else:
            kept.append(entry)
    for what, count in left_out.items():
        job.say(f"restore: left out: {what} ({count})")
    return kept


def _of(entry: str, kind: str) -> bool:
    return _ENTRY.sub(r"\1", entry).startswith(f"{kind} ")
