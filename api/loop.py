"""The loop of Waitress's connections, with one poll object for all its turns. It knows nothing of what they carry."""

import select
from typing import Any

from waitress import wasyncore

_READ = select.POLLIN | select.POLLPRI


class Connections(dict[int, Any]):
    """By their descriptors, as Waitress keeps them; `changed` once somebody came or went."""

    changed = True

    def __setitem__(self, fd: int, one: Any) -> None:
        super().__setitem__(fd, one)
        self.changed = True

    def __delitem__(self, fd: int) -> None:
        super().__delitem__(fd)
        self.changed = True


class Loop:
    """Waitress's own asks all connections in each turn what they wait for, and tells it to a new poll object: with sixty
    of them that takes longer than an answer. Here only those are asked that may have changed their mind: who had news in
    the turn before, and all when somebody came or went, or when another thread has called (`wakes_all` is its trigger).
    """

    def __init__(self) -> None:
        self.connections = Connections()
        self.wakes_all: object = None
        self._poll = select.poll()
        self._told: dict[int, int] = {}
        self._asked: list[int] = []

    def ask_all(self) -> None:
        """In the next turn: something has changed that no event tells of, as the time."""
        self.connections.changed = True

    def turn(self, seconds: float) -> None:
        """Waits for so long at most, and lets those read and write that can."""
        connections, asked = self.connections, self._asked
        if connections.changed:
            connections.changed = False
            asked = list(connections)
            for fd in self._told.keys() - connections.keys():
                self._tell(fd, 0)
                del self._told[fd]
        for fd in asked:
            one = connections.get(fd)
            if one is None:  # another thread has closed it just now
                continue
            flags = _READ if one.readable() else 0
            if one.writable() and not one.accepting:
                flags |= select.POLLOUT
            if flags != self._told.get(fd):
                self._tell(fd, flags)
        ready = self._poll.poll(seconds * 1000)
        self._asked = [fd for fd, _ in ready]
        for fd, flags in ready:
            found = connections.get(fd)
            if found is self.wakes_all:
                connections.changed = True
            if found is not None:  # else another of this turn has closed it
                wasyncore.readwrite(found, flags)

    def _tell(self, fd: int, flags: int) -> None:
        if flags:
            self._poll.register(fd, flags)
        elif self._told.get(fd):
            self._poll.unregister(fd)
        self._told[fd] = flags

    def close(self) -> None:
        wasyncore.close_all(self.connections, ignore_all=True)
