"""`python hang.py SANDOD`: a sandod in which parts stop for as long as a file of their name is in the folder HANG."""

import os
import runpy
import sys
import time
from pathlib import Path

from actors.journal import Journal
from actors.supervisor import Supervisor
from actors.tier import Tier
from api.loop import Loop
from sando.work.runner import Runner
from sando.work.timer import Timer

FOLDER = Path(os.environ["HANG"])


def hang(name: str) -> None:
    while (FOLDER / name).exists():
        time.sleep(0.01)


def before(kind: type, method: str, name: str) -> None:
    real = getattr(kind, method)

    def wrapped(self, *words, **more):
        hang(name)
        return real(self, *words, **more)

    setattr(kind, method, wrapped)


for actor, called in ((Journal, "journal"), (Supervisor, "supervisor"), (Tier, "tier")):
    before(actor, "_receive", called)
before(Timer, "_next", "timer")
before(Runner, "held", "runner")
before(Loop, "turn", "server")
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
