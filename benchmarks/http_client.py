"""A small HTTP/1.1 client on kept connections: what it costs must not look like the server's time."""

import asyncio
import time
from collections.abc import Mapping
from typing import Self

IDLE_S = 2.0


class Answer:
    """A status and a body."""

    __slots__ = ("body", "status")

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body


class Connection:
    """One connection, for one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        self._reader = reader
        self._writer = writer
        self._head = head
        self._used_at = time.monotonic()

    @classmethod
    async def open(cls, host: str, port: int, headers: Mapping[str, str]) -> Self:
        reader, writer = await asyncio.open_connection(host, port)
        lines = [f"host: {host}:{port}", *(f"{name}: {value}" for name, value in headers.items())]
        return cls(reader, writer, "\r\n".join(lines).encode())

    async def post(self, path: bytes, body: bytes) -> Answer:
        self._writer.write(
            b"POST %b HTTP/1.1\r\n%b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (path, self._head, len(body), body)
        )
        return await self._answer()

    async def get(self, path: bytes) -> Answer:
        self._writer.write(b"GET %b HTTP/1.1\r\n%b\r\n\r\n" % (path, self._head))
        return await self._answer()

    async def _answer(self) -> Answer:
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        place = head.index(b"content-length:") + len(b"content-length:")
        length = int(head[place : head.index(b"\r\n", place)])
        body = await self._reader.readexactly(length) if length else b""
        self._used_at = time.monotonic()
        return Answer(int(head[9:12]), body)

    @property
    def is_open(self) -> bool:
        """Not closed by the server, nor idle for so long that it may be closed while a request is under way."""
        return not self._reader.at_eof() and time.monotonic() - self._used_at < IDLE_S

    def close(self) -> None:
        self._writer.close()


class Pool:
    """Open connections, taken and given back; opens another one when all are in use."""

    def __init__(self, host: str, port: int, headers: Mapping[str, str]) -> None:
        self._where = (host, port, headers)
        self._free: list[Connection] = []

    async def warm(self, count: int) -> None:
        self._free += await asyncio.gather(*(Connection.open(*self._where) for _ in range(count)))

    async def take(self) -> Connection:
        while self._free:
            connection = self._free.pop()
            if connection.is_open:
                return connection
            connection.close()
        return await Connection.open(*self._where)

    def give(self, connection: Connection) -> None:
        self._free.append(connection)

    def close(self) -> None:
        for connection in self._free:
            connection.close()
        self._free.clear()
