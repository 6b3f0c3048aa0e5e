"""Badly behaved commands for the process tests, and how to find what is left of them in /proc."""

import os
import secrets
import time
from pathlib import Path

# A shell that ignores SIGTERM, with children that fork, leave the session, ignore SIGTERM and SIGHUP.
WILD = """
trap '' TERM
(trap '' TERM HUP; sleep 300) &
setsid sh -c "trap '' TERM HUP; sleep 300 & sleep 300" &
nohup setsid sh -c '(sleep 300 &) ; sleep 300' >/dev/null 2>&1 &
setsid sh -c 'setsid sleep 300 & exit' &
sleep 0.05
echo ready
"""

# Each process forks its successor in a session of its own and ends at once: never the same pid twice.
RABBIT = """
import os, time
print("ready", flush=True)
for _ in range(20000):
    if os.fork():
        os._exit(0)
    os.setsid()
    time.sleep(0.002)
"""


def until(condition, seconds=40.0):
    """Poll with a deadline; answers the first true value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)
    return value


class Mark:
    """A word in the environment of a job, by which every process of its tree is found."""

    def __init__(self):
        self.word = "SANDO_TEST_MARK_" + secrets.token_hex(8)
        self.env = {"PATH": os.environ["PATH"], self.word: "1"}

    def alive(self):
        """The pids of processes that carry the mark; zombies carry nothing and are looked for apart."""
        return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and self._carried_by(p)]

    def _carried_by(self, folder):
        try:
            return self.word.encode() in (folder / "environ").read_bytes()
        except OSError:
            return False


def zombies_below(pid):
    table = list(_table())
    below = {pid}
    for _ in table:
        below |= {number for number, parent, _ in table if parent in below}
    return [number for number, _, state in table if number in below and state == "Z"]


def _table():
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            except OSError:
                continue
            yield int(folder.name), int(parent), state
