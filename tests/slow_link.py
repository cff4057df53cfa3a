"""A link to a server over which bytes come only so fast."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

from dvid_sandbox.ports import held_port

_PIECE = 1 << 14


@dataclass
class Link:
    """Hands on what comes to `address`.

    Args:
        server_port: of 127.0.0.1, where the server is to listen.
        rate: bytes a second from the server, over all connections; None: as fast as they come.
    """

    address: str = ""
    server_port: int = 0
    rate: float | None = None


@contextmanager
def link() -> Iterator[Link]:
    """A link to a server, which need not be there yet. At its end it is cut."""
    loop, own, ready = asyncio.new_event_loop(), Link(), threading.Event()
    own.server_port = held_port(own)
    free = asyncio.Lock()

    async def up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            while piece := await reader.read(_PIECE):
                writer.write(piece)
                await writer.drain()

    async def down(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            while piece := await reader.read(_PIECE):
                async with free:
                    await asyncio.sleep(len(piece) / own.rate if own.rate else 0)
                writer.write(piece)
                await writer.drain()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError), closing(writer):
            there = await asyncio.open_connection("127.0.0.1", own.server_port)
            await asyncio.gather(up(reader, there[1]), down(there[0], writer))

    async def serve() -> None:
        listening = await asyncio.start_server(client, "127.0.0.1", 0)
        host, port = listening.sockets[0].getsockname()
        own.address = f"{host}:{port}"
        ready.set()
        with suppress(asyncio.CancelledError):
            await listening.serve_forever()

    def run() -> None:
        with closing(loop), asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, name="link")
    thread.start()
    ready.wait()
    try:
        yield own
    finally:
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        thread.join()
