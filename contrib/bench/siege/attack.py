"""Clients that mean no good, all in one process: `attack.py PORT SECONDS [one] [patient] [KIND=COUNT …]`.

It says `ready` once every one of them has been connected, and at the end, as JSON, how often each kind was cut off.
A client that is cut off comes back at once. Each kind has a loopback address of its own; with `one` all have the same. With
`patient` it goes on, on a busy machine, until as many slow and idle ones have been cut off as there are, up to five times as long.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable

HEAD = b"GET /state HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /promote/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNK = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"

Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A header that never ends, a byte every half second."""
    writer.write(HEAD + b"X-Slow: ")
    while not reader.at_eof():
        writer.write(b"x")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.read(4096), 0.5)


async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body that never ends, a byte every half second."""
    writer.write(POST + b"Content-Length: 60000\r\n\r\n{")
    while not reader.at_eof():
        writer.write(b" ")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.read(4096), 0.5)


async def idle(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read(4096)


async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body in chunks, as fast as they are taken."""
    writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(CHUNK)
        await writer.drain()


async def huge(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A header as fast as it is taken."""
    writer.write(HEAD)
    while True:
        writer.write(b"X-Huge: " + b"y" * 8000 + b"\r\n")
        await writer.drain()


async def eager(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A thousand requests ahead of their answers."""
    writer.write((HEAD + b"\r\n") * 1000)
    while await reader.read(65536):
        pass


KINDS: dict[str, tuple[Client, int]] = {
    "slow": (slow, 200),
    "idle": (idle, 200),
    "trickle": (trickle, 20),
    "endless": (endless, 10),
    "huge": (huge, 5),
    "eager": (eager, 5),
}


class Siege:
    def __init__(
        self, port: int, seconds: float, counts: dict[str, int], *, one: bool, patient: bool
    ) -> None:
        self.port = port
        self.homes = {kind: f"127.0.0.{1 if one else number}" for number, kind in enumerate(KINDS, 2)}
        self.until = time.monotonic() + seconds
        self.most = self.until + 4 * seconds * patient
        self.counts = counts
        self.cut: Counter[str] = Counter()
        self.all_cut = asyncio.Event()
        self.connected = 0

    async def run(self) -> None:
        kinds = [kind for kind, count in self.counts.items() for _ in range(count)]
        clients = [asyncio.create_task(self.again(kind)) for kind in kinds]
        await asyncio.sleep(max(0.0, self.until - time.monotonic()))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.all_cut.wait(), max(0.0, self.most - time.monotonic()))
        print(json.dumps(self.cut), flush=True)
        assert not any(client.done() for client in clients)
        os._exit(0)  # five hundred clients need not say goodbye

    async def again(self, kind: str) -> None:
        first = True
        while True:
            try:
                home = (self.homes[kind], 0)
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=home)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            if first:
                self.arrived()
            first = False
            with contextlib.suppress(OSError):
                try:
                    await KINDS[kind][0](reader, writer)
                finally:
                    writer.transport.abort()
            self.cut[kind] += 1
            if all(self.cut[k] >= self.counts.get(k, 0) for k in ("slow", "idle")):
                self.all_cut.set()

    def arrived(self) -> None:
        self.connected += 1
        if self.connected == sum(self.counts.values()):
            print("ready", flush=True)


def main() -> None:
    port, seconds, *chosen = sys.argv[1:]
    counts = {kind: count for kind, (_, count) in KINDS.items()}
    if some := [word.partition("=") for word in chosen if "=" in word]:
        counts = {kind: int(count) for kind, _, count in some}
    siege = Siege(int(port), float(seconds), counts, one="one" in chosen, patient="patient" in chosen)
    asyncio.run(siege.run())


if __name__ == "__main__":
    main()
