"""Opens what a checkout holds and nothing else: links are followed only while they stay inside."""

import os
from os.path import realpath
from pathlib import Path, PurePath

from sando.model import names
from sando.model.errors import WorkError
from sando.work.failure import of_the_machine

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO must not hold the open
_FOLDER = os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


def find(root: Path, path: str | PurePath, step: str, key: str) -> Path:
    """The real path of `path` (relative to `root`), every link and `..` resolved.

    WorkError says what is wrong with it, in the words of the config's `key`: it leads out, or is not there.
    """
    shown = show(root, root / path)
    try:
        base, real = Path(realpath(root, strict=True)), Path(realpath(root / path, strict=True))
    except FileNotFoundError:
        if not root.is_dir():
            raise WorkError(step, f"the checkout {root} is gone: the build must not remove it") from None
        raise WorkError(step, _missing(root, root / path, key)) from None
    except OSError as error:
        raise WorkError(
            step, f"cannot use {shown} ({key}): {error.strerror}", errored=of_the_machine(error)
        ) from error
    if not real.is_relative_to(base):
        raise WorkError(step, f"{shown} ({key}) leads out of the checkout, to {names.visible(str(real))}")
    return real


def open_file(root: Path, real: Path) -> int:
    """A descriptor to read a path that `find` answered; OSError when a link has come into it since."""
    base = Path(realpath(root))
    *folders, name = real.relative_to(base).parts
    at = os.open(base, _FOLDER)
    try:
        for folder in folders:
            below = os.open(folder, _FOLDER, dir_fd=at)
            os.close(at)
            at = below
        return os.open(name, _READ, dir_fd=at)
    finally:
        os.close(at)


def show(root: Path, path: Path) -> str:
    """The path as a person knows it: from the top of the checkout, made harmless."""
    plain = os.path.normpath(path)
    return names.visible(os.path.relpath(plain, root) if Path(plain).is_relative_to(root) else plain)


def _missing(root: Path, path: Path, key: str) -> str:
    if path.is_symlink():
        return f"{show(root, path)} ({key}) is a link that leads nowhere"
    parent = path.parent
    while not parent.is_dir():
        path, parent = parent, parent.parent
    near = names.nearest(path.name, sorted(child.name for child in parent.iterdir())[:10_000])
    return f"there is no {show(root, path)} ({key})" + (f"; {near}" if near else "")
