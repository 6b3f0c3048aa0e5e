"""What descends from a process, read from /proc, and how all of it is killed; it waits for nobody and reaps nobody."""

import contextlib
import os
import signal
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple


class Proc(NamedTuple):
    pid: int
    parent: int
    group: int
    name: str


def tree(root: int, skip: Collection[int] = ()) -> list[Proc]:
    """The living descendants of `root`, parents before children; subtrees of `skip` are left out."""
    children: dict[int, list[Proc]] = {}
    for pid in _pids():
        if proc := _look(pid):
            children.setdefault(proc.parent, []).append(proc)
    found: list[Proc] = []
    todo = [root]
    while todo:
        born = [p for p in children.get(todo.pop(0), ()) if p.pid not in skip]
        found += born
        todo += [p.pid for p in born]
    return [p for p in found if p.group]


def slay(root: int, skip: Collection[int] = ()) -> int:
    """SIGKILL to all of the tree; how many took it. One round: call it until nothing is left."""
    killed = 0
    for (
        pid
    ) in _pids():  # a chain of short-lived forks is gone before a whole scan is done: direct children at once
        proc = _look(pid)
        if proc and proc.group and proc.parent == root and pid not in skip:
            killed += send(pid, signal.SIGKILL)
    own = os.getpgrp()
    procs = tree(root, skip)
    for group in {p.group for p in procs} - {own, root}:
        with contextlib.suppress(OSError):  # one call for a whole group: its forks cannot slip through
            os.killpg(group, signal.SIGKILL)
    return killed + sum(send(p.pid, signal.SIGKILL) for p in procs)


def send(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except OSError:  # gone, or another user's
        return False
    return True


def _pids() -> list[int]:
    """All pids, youngest first."""
    last = int(Path("/proc/loadavg").read_text("ascii").split()[-1])
    numbers = (int(n) for n in os.listdir("/proc") if n.isdigit())  # noqa: PTH208  (a Path for each costs too much)
    return sorted(numbers, key=lambda pid: (last - pid) % 2**22)


def _look(pid: int) -> Proc | None:
    """One process; group 0 stands for a zombie, which needs no killing but may still have children."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:  # noqa: PTH123  (a Path for each costs too much)
            head, _, rest = stream.read().rpartition(b")")
    except OSError:
        return None
    state, parent, group = rest.split()[:3]
    name = head.partition(b"(")[2].decode("utf-8", "replace")
    return Proc(pid, int(parent), 0 if state in {b"Z", b"X"} else int(group), name)
