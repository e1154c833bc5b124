"""A caller of /v1/watch: httpx gives an application's answer only once it is whole, so this speaks ASGI itself."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlencode

from contract.in_memory import Node

PATIENCE_S = 10.0


class Event(NamedTuple):
    """One server-sent event; a heartbeat has the name "" and no data."""

    name: str
    id: str
    data: Any


class Listener:
    """Reads what a node sends it, or holds back."""

    def __init__(self, takes: int = 0) -> None:
        """`takes`: so many messages, the head among them, and then it holds back; 0: all that come."""
        self._takes = takes
        self.status = 0
        self.headers: dict[str, str] = {}
        self.problem: Any = None
        """what it is told instead, if it may not watch"""
        self.reads = asyncio.Event()
        self.reads.set()
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._hung_up = asyncio.Event()
        self._asked = False

    async def receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        await self.reads.wait()
        self._takes -= 1
        if self._takes == 0:
            self.reads.clear()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        if self.status == 200:
            for block in message.get("body", b"").decode().split("\n\n"):
                if block:
                    self._events.put_nowait(_parsed(block))
        elif message.get("body"):
            self.problem = json.loads(message["body"])
        if not message.get("more_body", False):
            self._events.put_nowait(None)

    def take(self, more: int) -> None:
        self._takes = more
        self.reads.set()

    def hang_up(self) -> None:
        self._hung_up.set()

    async def next(self, *names: str) -> Event:
        """The next event, of these names if any is given; raises where the stream ends first."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                event = await self._events.get()
                assert event is not None, "the stream has ended"
                if event.name in (names or ("state", "watching", "dropped")):
                    return event

    async def states(self, count: int) -> list[Event]:
        return [await self.next("state") for _ in range(count)]

    async def ended(self) -> list[Event]:
        """What came until the end."""
        events: list[Event] = []
        async with asyncio.timeout(PATIENCE_S):
            while (event := await self._events.get()) is not None:
                events.append(event)
        return events

    def nothing_waits(self) -> bool:
        return self._events.empty()


@asynccontextmanager
async def watching(
    node: Node, subjects: Sequence[str] = (), last_event_id: str = "", takes: int = 0
) -> AsyncIterator[Listener]:
    listener = Listener(takes)
    headers = [(b"authorization", b"Bearer " + node.token.encode())]
    if last_event_id:
        headers.append((b"last-event-id", last_event_id.encode()))
    query = urlencode([("subject", name) for name in subjects])
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/v1/watch",
        "raw_path": b"/v1/watch",
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("test", 1),
        "server": ("node", 80),
    }
    answering = asyncio.create_task(node.api(scope, listener.receive, listener.send))
    try:
        yield listener
    finally:
        listener.hang_up()
        listener.reads.set()
        async with asyncio.timeout(PATIENCE_S):
            await answering


def _parsed(block: str) -> Event:
    fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
    data = fields.get("data")
    return Event(fields.get("event", ""), fields.get("id", ""), None if data is None else json.loads(data))
