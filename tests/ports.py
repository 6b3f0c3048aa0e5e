"""Ports for the servers of the tests: no two tests of a run get the same one."""

import itertools
import os
import random
import socket
from contextlib import suppress

FIRST, END = 12000, 32000
"""Below the range from which the kernel gives ports to clients, so that one stays free while its server restarts."""


def _mine() -> list[int]:
    """The share of this worker of pytest-xdist."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = list(range(FIRST, END))[worker :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    random.SystemRandom().shuffle(ports)
    return ports


_ports = itertools.cycle(_mine())


def free_port(address: str = "127.0.0.1") -> int:
    """What is free now may be taken before its server listens, and a test would then speak to the server of another one:
    so two workers have no port in common, and one worker gives none again before all others.
    """
    for port in _ports:
        with socket.socket() as sock, suppress(OSError):
            sock.bind((address, port))
            return port
    raise AssertionError
