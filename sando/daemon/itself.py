"""What sandod asks of the kernel for itself: that nobody looks into it, and enough descriptors. It knows no other part."""

import contextlib
import ctypes
import resource

FILES = 4096
"""Connections and streams, twice over, and room for what works behind them."""
_SET_DUMPABLE = 4


def hide() -> None:
    """What runs as the same user (a build does) cannot read this process's environment, memory or descriptors.

    Nor is its memory written to disk when it dies. A debugger needs root from here on.
    """
    ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)


def allow_files() -> None:
    """The usual soft limit of 1024 is meant for programs that use select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
