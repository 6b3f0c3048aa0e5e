"""Boots a release on a node, as a gate does: a free port there, and a start that the node itself ends. It judges nothing."""

from collections.abc import Mapping, Sequence
from random import SystemRandom

from sando.work.cancel import CancelToken
from sando.work.hosts.ssh.commands import Remote
from sando.work.hosts.ssh.line import Line
from sando.work.log import OpLog
from sando.work.probe import OpenTcp

BOOT_SLACK_S = 60.0
_PORTS = range(15000, 32000)  # below those that a kernel gives to clients
_CHANCE = SystemRandom()


def any_port() -> int:
    return _CHANCE.choice(_PORTS)


def free_port(open_tcp: OpenTcp, seconds: float) -> int | None:
    """A port of the node on which nobody answers now; None: five in a row were taken."""
    for port in _CHANCE.sample(_PORTS, 5):
        try:
            open_tcp("127.0.0.1", port, seconds).close()
        except OSError:
            return port
    return None


class Starter:
    """Starts what boots on the node; the node itself ends it after `limit` seconds, should the connection be lost."""

    def __init__(self, line: Line, cancel: CancelToken, limit: float) -> None:
        self._line = line
        self._cancel = cancel
        self._limit = limit

    def spawn(
        self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], log: OpLog, step: str
    ) -> Remote:
        return Remote(
            self._line,
            tuple(argv),
            cwd=cwd,
            env=env,
            log=log,
            cancel=self._cancel,
            step=step,
            limit=self._limit,
        )
