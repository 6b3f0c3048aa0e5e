"""The peer: asyncio and `websockets`, as its documentation has it. Run by __main__, not by hand; it speaks as `ours.py`."""

import asyncio
import sys
import time

import msgspec
from made import event, say
from websockets.asyncio.server import ServerConnection, broadcast, serve

THERE: set[ServerConnection] = set()


async def handle(connection: ServerConnection) -> None:
    THERE.add(connection)
    try:
        await connection.wait_closed()
    finally:
        THERE.remove(connection)


async def main() -> None:
    count, sent = int(sys.argv[1]), 0
    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        say(next(iter(server.sockets)).getsockname()[1])
        while await asyncio.to_thread(sys.stdin.readline):
            began = time.monotonic()
            for seq in range(sent + 1, sent + count + 1):
                broadcast(THERE, msgspec.json.encode(event(seq)).decode())
                await asyncio.sleep(0)
            sent += count
            say(began)


asyncio.run(main())
