"""stdout and stderr that take nothing: closed before it began, full, or a pipe that nobody reads any more.

Once something was sent, or ended badly, the exit code is the answer, and what cannot be written is lost. Before that,
a stdout that takes nothing is the end. A stderr that takes nothing never is.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

import click

_UNWRITTEN = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""What a write ends with where there is no room, no disk, or no right to write."""
_BY_CODE = f"{__name__}.by_code"


class PipeClosedError(Exception):
    """Who read has enough, as in `sando history | head`. click would end with 1 where a pipe is broken, and this is none."""


class UnwrittenError(Exception):
    """stdout takes no more; the text is the system's reason."""


def opened() -> None:
    """What was closed (`>&-`), which Python has as None, becomes one that takes all and gives nothing.

    It takes the lowest number that is free: so no connection gets that of stdout.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123  (until the end)


@contextlib.contextmanager
def told_apart() -> Iterator[None]:
    """Errors of stdout are errors of nobody else: click must not take them for its own."""
    try:
        yield
    except BrokenPipeError:
        raise PipeClosedError from None
    except OSError as error:
        if error.errno not in _UNWRITTEN:
            raise
        raise UnwrittenError((error.strerror or str(error)).lower()) from None


def by_code() -> None:
    """From here on this command line is answered by its exit code, whatever can be written."""
    if context := click.get_current_context(silent=True):
        context.meta[_BY_CODE] = True


def taken(stream: TextIO, write: Callable[[], Any]) -> None:
    """`write`, and that it cannot be is no error where nothing depends on it. Raises OSError."""
    try:
        write()
    except OSError:
        context = click.get_current_context(silent=True)
        if stream is sys.stdout and not (context and context.meta.get(_BY_CODE)):
            raise
        to_nowhere(stream)


def to_nowhere(stream: TextIO) -> None:
    """All of it from now on, and what it still holds: Python would fail over that when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
