"""What a hostile or slow caller meets on a real connection: deadlines, limits, and an answer that is no ALLOW."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from contract.in_memory import PARTITIONS, Node, question

from consentry.partition import partition_of
from consentry.settings import Settings
from streams.query.server import Server, listen, server_of, url_of

HEAD = (
    b"POST /access/v1/evaluation HTTP/1.1\r\n"
    b"Host: node\r\nAuthorization: Bearer all\r\nContent-Type: application/json\r\n"
)
BODY = json.dumps(question("search.service", "search_log")).encode()
PATIENT = 30


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))
        await self.writer.drain()

    async def rest(self) -> bytes:
        """All that comes until the node closes."""
        return await asyncio.wait_for(self.reader.read(), PATIENT)

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENT)


class Listening:
    def __init__(self, url: str, server: Server) -> None:
        self.server = server
        self.host, self.port = url.removeprefix("http://").split(":")
        self._opened: list[asyncio.StreamWriter] = []

    async def asked(self, node: Node) -> None:
        """Until the question has reached what the node waits for."""
        async with asyncio.timeout(PATIENT):
            while not node.log.waited_for:
                await asyncio.sleep(0.01)

    async def connect(self) -> Connection:
        reader, writer = await asyncio.open_connection(self.host, int(self.port))
        self._opened.append(writer)
        return Connection(reader, writer)

    async def close(self) -> None:
        for writer in self._opened:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@asynccontextmanager
async def listening(node: Node | None = None, **limits: int) -> AsyncIterator[Listening]:
    node = node or Node(settings=Settings(http_port=0, **limits))
    listener = listen(node.settings)
    server = server_of(node.settings, node.api)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    served = Listening(url_of(listener), server)
    try:
        yield served
    finally:
        await served.close()
        server.should_exit = True
        await serving


async def test_a_head_that_never_ends_is_given_up() -> None:
    async with listening(request_timeout_ms=100) as node:
        silent, dripping = await node.connect(), await node.connect()
        await dripping.send(HEAD)
        assert await silent.rest() == b""
        assert await dripping.rest() == b""


async def test_a_second_head_that_never_ends_is_given_up_too() -> None:
    async with listening(request_timeout_ms=100) as node:
        connection = await node.connect()
        await connection.send(HEAD, b"Content-Length: %d\r\n\r\n" % len(BODY), BODY, HEAD)
        assert (await connection.rest()).count(b"HTTP/1.1") == 1


async def test_a_body_that_does_not_arrive_in_time_is_408() -> None:
    async with listening(request_timeout_ms=100) as node:
        connection = await node.connect()
        await connection.send(HEAD, b"Content-Length: %d\r\n\r\n" % len(BODY), BODY[:10])
        assert (await connection.head()).startswith(b"HTTP/1.1 408")


async def test_a_caller_that_waits_for_its_answer_is_not_cut_off() -> None:
    node, body = slow_answer(Settings(http_port=0, request_timeout_ms=50))
    async with listening(node) as served:
        connection = await served.connect()
        await connection.send(HEAD, b"Content-Length: %d\r\n\r\n" % len(body), body)
        assert (await connection.head()).startswith(b"HTTP/1.1 200")


async def test_a_request_under_way_is_answered_by_a_node_that_is_told_to_stop() -> None:
    node, body = slow_answer(Settings(http_port=0))
    async with listening(node) as served:
        connection = await served.connect()
        await connection.send(HEAD, b"Content-Length: %d\r\n\r\n" % len(body), body)
        await served.asked(node)
        served.server.should_exit = True
        assert (await connection.rest()).startswith(b"HTTP/1.1 200")


def slow_answer(settings: Settings) -> tuple[Node, bytes]:
    """A node that takes its time, and the question that makes it."""
    node = Node(settings=settings)

    async def visible_late(*_: object) -> bool:
        node.log.waited_for = True
        await asyncio.sleep(0.3)
        return True

    node.log.wait_for = visible_late  # type: ignore[method-assign]
    position = f"e1.p{partition_of('account:u-1', PARTITIONS)}.o0"
    return node, json.dumps(question("search.service", "search_log", min_position=position)).encode()


async def test_a_body_announced_as_too_large_is_refused_before_it_is_read() -> None:
    async with listening(max_body_bytes=100) as node:
        connection = await node.connect()
        await connection.send(HEAD, b"Content-Length: 101\r\n\r\n")
        assert (await connection.head()).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("end", [b"", b"\r\n0\r\n\r\n"])
async def test_a_body_in_chunks_is_refused_as_soon_as_it_is_too_large(end: bytes) -> None:
    async with listening(max_body_bytes=100) as node:
        connection = await node.connect()
        await connection.send(HEAD, b"Transfer-Encoding: chunked\r\n\r\n65\r\n", b"x" * 101, end)
        assert (await connection.head()).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("garbage", [b"\x00\xff\x13", b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n"])
async def test_what_is_no_http_is_refused(garbage: bytes) -> None:
    async with listening() as node:
        connection = await node.connect()
        await connection.send(garbage, b"\r\n\r\n")
        assert (await connection.rest()).startswith(b"HTTP/1.1 400")


async def test_as_many_connections_as_the_limit_are_served_and_one_more_is_told_503() -> None:
    async with listening(max_connections=2) as node:
        await node.connect()
        second = await node.connect()
        await second.send(HEAD, b"Content-Length: %d\r\n\r\n" % len(BODY), BODY)
        assert (await second.head()).startswith(b"HTTP/1.1 200")
        third = await node.connect()
        await third.send(HEAD, b"Content-Length: %d\r\n\r\n" % len(BODY), BODY)
        assert (await third.head()).startswith(b"HTTP/1.1 503")


async def test_a_caller_that_hangs_up_in_the_middle_harms_nobody() -> None:
    async with listening() as node:
        rude = await node.connect()
        await rude.send(HEAD, b"Content-Length: %d\r\n\r\n" % len(BODY), BODY[:10])
        rude.writer.transport.abort()
        polite = await node.connect()
        await polite.send(HEAD, b"Content-Length: %d\r\n\r\n" % len(BODY), BODY)
        assert (await polite.head()).startswith(b"HTTP/1.1 200")
