"""Hundreds of connections that trickle, idle, and send without end, at a real sandod that others still need."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ATTACK = Path(__file__).resolve().parents[2] / "contrib" / "bench" / "siege" / "attack.py"
SECONDS = float(os.environ.get("SANDO_SIEGE_S", "12"))
"""Longer than headers may take, so that each slow client is cut off and comes back at least once."""
LATE_S = 30.0
"""Nothing but a bound for a daemon that hangs: the times themselves are measured in contrib/bench/siege."""
SECRET = "sando_for-the-siege"
TOKEN = (
    f'[[token]]\nname = "max"\nscope = "operate"\nsha256 = "{hashlib.sha256(SECRET.encode()).hexdigest()}"'
)
WITH_TOKEN = {"Authorization": f"Bearer {SECRET}"}


def resident(pid: int) -> int:
    """Bytes of memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def besiege(sandod, *words):
    """Asks for /state, one request after the other, until the siege is over; answers how long each took, and who was cut off."""
    argv = [sys.executable, str(ATTACK), str(sandod.port), *words]
    took = []
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as siege:
        try:
            assert siege.stdout.readline() == "ready\n"
            while siege.poll() is None:
                began = time.monotonic()
                assert sandod.get("/state", timeout=LATE_S).status == 200
                took.append(time.monotonic() - began)
            cut = json.loads(siege.stdout.read())
        finally:
            siege.kill()
    took.sort()
    middle, late = took[len(took) // 2], took[len(took) * 99 // 100]
    print(f"{len(took)} answers, p50 {middle:.4f} s, p99 {late:.4f} s, {cut}")  # noqa: T201
    return took, cut


def test_who_has_a_token_is_answered_throughout_a_siege_from_many_sides(sandod):
    sandod.configure(daemon=TOKEN)
    sandod.headers = WITH_TOKEN
    sandod.start()
    for _ in range(200):
        sandod.get("/state")
    before = resident(sandod.pid)
    took, cut = besiege(sandod, str(SECONDS), "patient")
    assert took[-1] < LATE_S
    assert min(cut["slow"], cut["idle"]) >= 200, "each of them has been cut off in its time"
    assert min(cut["endless"], cut["huge"], cut["eager"]) > 0
    grown = resident(sandod.pid) - before
    print(f"grown by {grown / 2**20:.1f} MB")  # noqa: T201
    assert grown < 30 * 2**20
    assert sandod.post("/lock/mm", {"reason": "it still takes commands"}).status == 200
    assert sandod.stop() == 0


def test_who_has_a_token_is_answered_from_the_very_address_that_the_siege_comes_from(sandod):
    sandod.configure(daemon=TOKEN)
    sandod.headers = WITH_TOKEN
    sandod.start()
    took, cut = besiege(sandod, "3", "one")
    assert took[-1] < LATE_S
    assert min(cut["slow"], cut["idle"]) > 0, "what is silent goes for what asks"
    assert sandod.stop() == 0
