"""A network that can fail: a TCP proxy before a PostgreSQL server, on a thread of its own.

    with Proxy("/folder/.s.PGSQL.5432") as proxy:
        connect(host="127.0.0.1", port=proxy.port)
        proxy.refuse()
        proxy.mend()

Nothing here knows the protocol but for one thing: without TLS a statement's text can be seen on its way, so that
its answer, and that one alone, can be lost.
"""

from __future__ import annotations

import asyncio
import ctypes
import re
import socket
import struct
import threading
from contextlib import suppress
from typing import Self

HOST = "127.0.0.1"
PATIENCE = 10.0  # seconds
CHUNK = 65536
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
NOTHING = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
"""A socket filter of one instruction: every packet is dropped, and none is acknowledged."""


class Link:
    """A client's connection, and the server's that belongs to it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self.deaf = False
        """Whether the answer that comes next is to be lost."""

    @property
    def socket(self) -> socket.socket:
        """The client's end."""
        return self.client.get_extra_info("socket")

    def cut(self) -> None:
        """Reset both ends."""
        self.client.transport.abort()
        self.server.transport.abort()


class Proxy:
    """Passes on what it gets, until it is told to fail in one way or another; `mend()` ends whatever was wrong."""

    def __init__(self, server: str) -> None:
        self._server, self._loop = server, asyncio.new_event_loop()
        self._links: set[Link] = set()
        self._listener: asyncio.Server | None = None
        self._held = socket.create_server((HOST, 0), reuse_port=True)  # keeps the number while nobody listens
        self.port: int = self._held.getsockname()[1]
        self._held.close()
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._held.bind((HOST, self.port))
        self._flows = asyncio.Event()
        self._delay, self._marker, self._to_lose = 0.0, re.compile(b""), 0
        self.accepted, self.lost = 0, 0
        """Connections that were accepted; answers that were lost."""

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.mend()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self._do(self._ended())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()
        self._held.close()

    def mend(self) -> None:
        """Pass everything on, at once."""
        self._do(self._mend())

    def refuse(self) -> None:
        """Cut all connections and refuse new ones, as where no server listens."""
        self._do(self._refuse())

    def cut(self) -> int:
        """Reset all connections; new ones are welcome. Gives how many there were."""
        return self._do(self._cut())

    def blackhole(self) -> None:
        """Let nothing through in either direction, and acknowledge nothing, as where a cable is pulled."""
        self._do(self._block())

    def delay(self, seconds: float) -> None:
        """Hold whatever comes for so long, in each direction."""
        self._delay = seconds

    def lose_answers(self, times: int = 1, to: bytes = b"COMMIT\0") -> None:
        """Pass on what matches `to`, wait for its answer, and cut the connection in its place, so many times.

        By default: the server has committed, and the client cannot know. b"" is anything; of a statement that is
        prepared the text is seen once a connection.
        """
        self._marker, self._to_lose = re.compile(to), times

    def drop(self, what: bytes) -> None:
        """Take out of all answers what matches."""
        self._dropped = re.compile(what, re.DOTALL)

    def _do(self, step):
        return asyncio.run_coroutine_threadsafe(step, self._loop).result(PATIENCE)

    async def _mend(self) -> None:
        self._delay, self._to_lose, self._dropped = 0.0, 0, None
        if not self._flows.is_set():
            self._flows.set()
            for one in self._sockets():
                with suppress(OSError):  # one that came meanwhile, and was not blocked
                    one.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, HOST, self.port, reuse_port=True, backlog=500)

    async def _refuse(self) -> None:
        if self._listener:
            self._listener.close()
            self._listener = None
        await self._cut()

    async def _cut(self) -> int:
        cut = list(self._links)
        for link in cut:
            link.cut()
        return len(cut)

    async def _block(self) -> None:
        self._flows.clear()
        for one in self._sockets():
            program = struct.pack("HL", 1, ctypes.addressof(NOTHING))
            one.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)

    def _sockets(self) -> list[socket.socket]:
        listening = self._listener.sockets if self._listener else ()
        return [*listening, *(link.socket for link in self._links)]

    async def _ended(self) -> None:
        self._flows.set()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            answers, server = await asyncio.open_unix_connection(self._server)
        except OSError:
            client.transport.abort()
            return
        link = Link(client, server)
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._ask(reader, server, link))
                both.create_task(self._answer(answers, client, link))
        except* OSError:
            pass
        finally:
            self._links.discard(link)
            link.cut()

    async def _ask(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, link: Link) -> None:
        while data := await reader.read(CHUNK):
            await self._travel()
            if self._to_lose and self._marker.search(data):
                self._to_lose -= 1
                link.deaf = True
            server.write(data)
            await server.drain()
        raise ConnectionResetError

    async def _answer(self, answers: asyncio.StreamReader, client: asyncio.StreamWriter, link: Link) -> None:
        while data := await answers.read(CHUNK):
            await self._travel()
            if link.deaf:
                self.lost += 1
                break
            client.write(self._dropped.sub(b"", data) if self._dropped else data)
            await client.drain()
        raise ConnectionResetError

    async def _travel(self) -> None:
        if self._delay:
            await asyncio.sleep(self._delay)
        await self._flows.wait()
