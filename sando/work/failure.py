"""Why a command could not be started or a file not be read, said so that a person knows what to do next; it does neither."""

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sando.model.errors import WorkError


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the system said: `where` is "cwd", "argv", or "fork" (then there was no process at all)."""

    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    errno: int
    where: str
    text: str


def cannot_start(step: str, refusal: Refusal) -> WorkError:
    return WorkError(step, _reason(refusal), errored=True)


def cannot_open(step: str, path: str | Path, error: OSError) -> WorkError:
    return WorkError(step, f"cannot write {path}: {error.strerror}", errored=True)


def of_the_machine(error: OSError) -> bool:
    """It says nothing about what was to be read: no descriptor or no memory was to be had."""
    return error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM}


def _reason(r: Refusal) -> str:
    name = r.argv[0] if r.argv else "(an empty command)"
    if r.where == "cwd":
        return f"cannot enter the folder {r.cwd}: {os.strerror(r.errno)}"
    if r.where == "fork":
        return f"cannot start {name}: {r.text}"
    match r.errno:
        case errno.ENOENT if "/" not in name:
            return f"command not found: {name} (PATH is {r.env.get('PATH', 'not set')})"
        case errno.ENOENT if Path(r.cwd, name).exists():
            return f"cannot start {name}: its interpreter is not there (look at its first line)"
        case errno.ENOENT | errno.ENOTDIR:
            return f"command not found: {name} (in {r.cwd})"
        case errno.EACCES:
            return f"not executable: {name} (chmod +x it, and look at the folders above it)"
        case errno.ENOEXEC:
            return f"cannot start {name}: neither a program of this machine nor a script that begins with #!"
    return f"cannot start {name}: {os.strerror(r.errno) if r.errno else r.text}"
