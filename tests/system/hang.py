"""`python hang.py SANDOD`: a sandod in which parts stop for as long as a file of their name is in the folder HANG.

Of actors the name is that of their kind. One actor alone, `a`, stops at its next message where there is `a.once`, which
is then called `a.taken`, and goes on when that is gone. HANG_AFTER: who has a message in hand for so many seconds hangs.
"""

import contextlib
import os
import runpy
import sys
import time
from pathlib import Path

import actors.base
import actors.root
from actors.base import Actor
from api.loop import Loop
from sando.work.runner import Runner
from sando.work.timer import Timer

FOLDER = Path(os.environ["HANG"])


def hang(name: str) -> None:
    while (FOLDER / name).exists():
        time.sleep(0.01)


def hang_once(name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        (FOLDER / f"{name}.once").rename(FOLDER / f"{name}.taken")
        hang(f"{name}.taken")


def before(kind: type, method: str, name: str) -> None:
    real = getattr(kind, method)

    def wrapped(self, *words, **more):
        hang(name)
        return real(self, *words, **more)

    setattr(kind, method, wrapped)


def receive(self, message, real=Actor._receive):
    hang(type(self).__name__.lower())
    hang_once(self.name)
    real(self, message)


Actor._receive = receive
if "HANG_AFTER" in os.environ:
    actors.base.HANG_S, actors.root.ROUND_S = float(os.environ["HANG_AFTER"]), 0.1
before(Timer, "_next", "timer")
before(Runner, "held", "runner")
before(Loop, "turn", "server")
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
