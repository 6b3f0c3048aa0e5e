#!/usr/bin/env python3
"""How long who has a token waits for GET /state while hundreds of connections trickle, idle and send without end.

Usage: .venv/bin/python contrib/bench/siege [SECONDS]        (default 30, for each kind of siege)

A real sandod with a token. One client asks for /state, each time on a new connection and one request after the other,
first with nobody else there, then while `attack.py` has 440 connections: 200 with headers that trickle, 200 that are
idle, 20 with bodies that trickle, 10 endless bodies, 5 endless headers, 5 with a thousand requests ahead of the answers;
once from an address for each kind and once all from the very address that asks. Who is cut off comes back at once.
"""

import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ATTACK = Path(__file__).resolve().parent / "attack.py"
BAR_S = 1.0
SECRET = "sando_for-the-siege"
QUIET = 500


class Unready(Exception):
    """An answer, and not the one that is meant: before the first state is composed that is a 503."""


class Sando:
    """A sandod of its own with one token and one tier."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        digest = hashlib.sha256(SECRET.encode()).hexdigest()
        (folder / "daemon.toml").write_text(
            f'listen = "127.0.0.1:{self.port}"\ndb_path = "{folder}/sando.db"\ntopology_path = "{folder}/sando.toml"\n'
            f'workdir = "{folder}/work"\nrelease_root = "{folder}/releases"\n'
            f'[[token]]\nname = "max"\nscope = "operate"\nsha256 = "{digest}"\n'
        )
        (folder / "sando.toml").write_text(
            f'[repo]\nbare_path = "{folder}/bare.git"\n[[tier]]\nname = "mm"\nprovisioned = true\n'
        )
        sandod = Path(sys.executable).with_name("sandod")
        environment = os.environ | {"SANDO_CONFIG": str(folder / "daemon.toml")}
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen([str(sandod)], env=environment, stderr=self.log)
        deadline = time.monotonic() + 20
        while not self.answers():
            if time.monotonic() > deadline:
                raise SystemExit(f"sandod does not answer:\n{Path(self.log.name).read_text()}")
            time.sleep(0.01)

    def answers(self) -> bool:
        try:
            self.ask()
        except (OSError, Unready):
            return False
        return True

    def ask(self) -> float:
        """Seconds."""
        began = time.monotonic()
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            link.request("GET", "/state", headers={"Authorization": f"Bearer {SECRET}"})
            answer = link.getresponse()
            answer.read()
        finally:
            link.close()
        if answer.status != 200:
            raise Unready(f"GET /state: {answer.status}")
        return time.monotonic() - began

    def resident(self) -> float:
        """Megabytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(90)
        self.log.close()


def besiege(sando: Sando, *words: str) -> tuple[list[float], dict[str, int]]:
    argv = [sys.executable, str(ATTACK), str(sando.port), *words]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as siege:
        try:
            if siege.stdout.readline() != "ready\n":
                raise SystemExit("the siege did not begin")
            took = []
            while siege.poll() is None:
                took.append(sando.ask())
            return took, json.loads(siege.stdout.read())
        finally:
            siege.kill()


def row(name: str, took: list[float], resident: float) -> str:
    took = sorted(took)
    places = (took[len(took) // 2], took[len(took) * 99 // 100], took[-1])
    times = " | ".join(f"{seconds * 1000:.1f}" for seconds in places)
    return f"| {name} | {len(took)} | {times} | {resident:.0f} |"


def main() -> None:
    seconds = sys.argv[1] if len(sys.argv) > 1 else "30"
    folder = Path(tempfile.mkdtemp(prefix="sando-bench-"))
    sando = None
    try:
        sando = Sando(folder)
        rows = [row("nobody else", [sando.ask() for _ in range(QUIET)], sando.resident())]
        lates, cuts = [], []
        for name, more in (("from six addresses", ()), ("from the asker's own address", ("one",))):
            took, cut = besiege(sando, seconds, *more)
            rows.append(row(f"siege {name}", took, sando.resident()))
            lates.append(sorted(took)[len(took) * 99 // 100])
            cuts.append(
                f"cut off, {name}: " + ", ".join(f"{kind} {count}" for kind, count in sorted(cut.items()))
            )
        print(
            f"{seconds} s each, {os.cpu_count()} cores, which client, siege and sandod share; milliseconds, MB\n"
        )
        print(
            "| GET /state | answers | p50 | p99 | longest | memory |\n| --- | --- | --- | --- | --- | --- |"
        )
        print("\n".join(rows))
        print("\n" + "\n".join(cuts))
        print(f"\np99 of the worse siege = {max(lates):.3f} s (bar: {BAR_S:g})")
    finally:
        if sando is not None:
            sando.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
