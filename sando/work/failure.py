"""Why a command could not be started, said so that a person knows what to do next; it starts nothing itself."""

import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from sando.model.errors import WorkError


def cannot_start(
    step: str,
    argv: Sequence[str],
    cwd: str | Path,
    env: Mapping[str, str],
    number: int,
    where: str,
    text: str,
) -> WorkError:
    """`number` is the errno, `where` says what it is about: "cwd", "argv" or "fork" (then there was no process)."""
    name = argv[0] if argv else "(empty command)"
    return WorkError(step, _reason(name, str(cwd), env, number, where, text), errored=True)


def cannot_open(step: str, path: str | Path, error: OSError) -> WorkError:
    return WorkError(step, f"cannot write {path}: {error.strerror}", errored=True)


def _reason(name: str, cwd: str, env: Mapping[str, str], number: int, where: str, text: str) -> str:
    if where == "cwd":
        return f"cannot enter the folder {cwd}: {os.strerror(number)}"
    if where == "fork":
        return f"cannot start {name}: {text}"
    match number:
        case errno.ENOENT if "/" not in name:
            return f"command not found: {name} (PATH is {env.get('PATH', 'not set')})"
        case errno.ENOENT if Path(cwd, name).exists():
            return f"cannot start {name}: its interpreter is not there (look at its first line)"
        case errno.ENOENT | errno.ENOTDIR:
            return f"command not found: {name} (in {cwd})"
        case errno.EACCES:
            return f"not executable: {name} (chmod +x it, and look at the folders above it)"
        case errno.ENOEXEC:
            return f"cannot start {name}: neither a program of this machine nor a script that begins with #!"
    return f"cannot start {name}: {os.strerror(number) if number else text}"
